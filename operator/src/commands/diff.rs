//! `operator diff`: what the operator would change on this cluster, for the `MetalLB` object that
//! there is or another one, by the same decisions and the API server's own word of what they come
//! to. Nothing is written.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::Api;
use metallb_admission::{placed, validate};
use metallb_crds::names::METALLB_NAME;
use metallb_crds::v1beta1::MetalLB;
use metallb_kit::client;
use metallb_kit::events::Events;
use metallb_kit::words::in_words;
use serde_json::Value;
use similar::TextDiff;

use super::print;
use crate::apply::Applier;
use crate::args::DiffArgs;
use crate::decide::{Plan, complete, own_key, stale, wanted};
use crate::index::Index;
use crate::object::{Key, Kind, Object};
use crate::platform::Platform;
use crate::render::OPERATOR_DEPLOYMENT;
use crate::settings::Settings;
use crate::{VERSION, watches, yaml};

/// Prints it. Ends as `kubectl diff` does: with 1 if something differs, with more if that cannot be
/// told.
pub(crate) fn diff(args: &DiffArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(differences(args)));
    match result {
        Ok(differences) => {
            for text in &differences {
                print!("{text}");
            }
            ExitCode::from(u8::from(!differences.is_empty()))
        }
        Err(error) => {
            eprintln!("operator: {}", in_words(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

async fn differences(args: &DiffArgs) -> Result<Vec<String>> {
    let client = client::connect("metallb-diff", VERSION).await?;
    let mut settings = settings(&client, args).await?;
    settings.platform = Platform::detect(&client).await;
    let events = Events::start(client.clone(), "metallb-operator", None);
    let applier = Applier::new(client.clone(), &settings.namespace, events);
    let mut index = known(&client, &settings, &applier).await?;
    let metallb = object(args, &index, &settings)?;
    // Randomness is no difference: a key that is there stays.
    index
        .memberlist
        .learn(applier.memberlist_key().await?, || [0; 16]);
    if index.frr_k8s.must_look() {
        index.frr_k8s.written = Some(applier.frr_configurations().await?);
    }
    let now = Instant::now();
    index.note(now);
    let mut plan = Plan::default();
    let settings = settings.under(&metallb.spec);
    let objects = wanted(&index, &settings, &metallb, &metallb.spec, &mut plan, now);
    let stale: Vec<Key> = stale(&index, &objects)
        .map(|(key, _)| key.clone())
        .collect();
    let mut all = Vec::new();
    for mut object in objects {
        if !index.serves(object.key.kind) {
            continue;
        }
        // Of an account that is to be made the uid is not known.
        complete(&index, &mut object);
        let seen = index.operands.get(&object.key);
        if !seen.is_some_and(|it| it.unmanaged) {
            all.extend(difference(&applier, &object).await?);
        }
    }
    for key in stale {
        if let Some(live) = applier.live(&key).await? {
            all.extend(unified(&key, Some(live), None));
        }
    }
    Ok(all)
}

/// As the operator there has been told; where it runs itself, as it is told.
async fn settings(client: &Client, args: &DiffArgs) -> Result<Settings> {
    let own = |name: &str| std::env::var(name).ok();
    if own("OPERATOR_NAMESPACE").is_some() {
        return Ok(Settings::parse(own)?);
    }
    let api: Api<Deployment> = Api::namespaced(client.clone(), &args.namespace);
    let deployment = api.get_opt(OPERATOR_DEPLOYMENT).await;
    let deployment = deployment.context("cannot see what the operator has been told")?;
    if deployment.is_none() && args.image.is_none() {
        bail!(
            "there is no operator in namespace {}: say where it is by --namespace or, for one that \
             is still to be installed, which image by --image",
            args.namespace
        );
    }
    let told = deployment.map(|it| environment(&it)).unwrap_or_default();
    Ok(Settings::parse(|name| match (name, &args.image) {
        ("OPERATOR_NAMESPACE", _) => Some(args.namespace.clone()),
        ("CONTROLLER_IMAGE" | "SPEAKER_IMAGE", Some(image)) => Some(image.clone()),
        _ => told.get(name).cloned(),
    })?)
}

fn environment(deployment: &Deployment) -> BTreeMap<String, String> {
    let pod = deployment
        .spec
        .as_ref()
        .and_then(|it| it.template.spec.as_ref());
    let containers = pod.into_iter().flat_map(|it| &it.containers);
    let variables = containers.flat_map(|it| it.env.iter().flatten());
    variables
        .filter_map(|it| Some((it.name.clone(), it.value.clone()?)))
        .collect()
}

/// All that decisions are made from, as the running operator learns it.
async fn known(client: &Client, settings: &Settings, applier: &Applier) -> Result<Index> {
    let mut index = Index::default();
    let mut news = watches::news(client, &settings.namespace);
    let synced = async {
        while !index.missing().is_empty() {
            let Some(more) = news.next().await else { break };
            index.handle(more);
        }
    };
    if tokio::time::timeout(PATIENCE, synced).await.is_err() {
        let rights = applier.missing_rights().await?.needed;
        if rights.is_empty() {
            bail!(
                "the API server does not tell all that there is: {:?}",
                index.missing()
            );
        }
        bail!("rights are missing, to: {}", rights.join("; "));
    }
    Ok(index)
}

/// The object to compare with.
fn object(args: &DiffArgs, index: &Index, settings: &Settings) -> Result<MetalLB> {
    let own = own_key(settings);
    let live = index.metallbs.get(&own);
    let metallb = match &args.file {
        None => live.cloned().with_context(|| {
            format!("there is no MetalLB object {own}: name the file with the one to compare")
        })?,
        Some(file) => {
            let mut metallb = print::read(file)?;
            let namespace = metallb.metadata.namespace.as_deref();
            let name = metallb.metadata.name.as_deref().unwrap_or(METALLB_NAME);
            placed(
                namespace.unwrap_or_else(|| own.namespace()),
                name,
                own.namespace(),
            )?;
            let uid = live.and_then(|it| it.metadata.uid.clone());
            metallb.metadata.uid = uid.or_else(|| Some(NO_UID.to_owned()));
            metallb
        }
    };
    validate(&metallb.spec, settings.frr_k8s_namespace.as_deref())?;
    Ok(metallb)
}

async fn difference(applier: &Applier, object: &Object) -> Result<Option<String>> {
    let live = applier.live(&object.key).await?;
    let preview = applier.preview(object).await;
    let preview = preview.with_context(|| format!("{} would be refused", object.key))?;
    Ok(unified(&object.key, live, Some(preview)))
}

/// One object before and after, if that differs.
fn unified(key: &Key, before: Option<Value>, after: Option<Value>) -> Option<String> {
    let secret = key.kind == Kind::Secret;
    let masks = secret.then(|| masks(before.as_ref(), after.as_ref()));
    let [before, after] = [before, after].map(|object| {
        let mut object = object?;
        clean(&mut object);
        if let Some(masks) = &masks {
            hide(&mut object, masks);
        }
        Some(yaml::documents([&object]))
    });
    let [before, after] = [before, after].map(Option::unwrap_or_default);
    if before == after {
        return None;
    }
    let diff = TextDiff::from_lines(&before, &after);
    let [old, new] = [&before, &after].map(|it| if it.is_empty() { "none" } else { "cluster" });
    let new = if new == "none" { new } else { "wanted" };
    let header = (format!("{old}/{key}"), format!("{new}/{key}"));
    let mut unified = diff.unified_diff();
    Some(unified.header(&header.0, &header.1).to_string())
}

/// What the API server keeps for itself.
fn clean(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in [
            "managedFields",
            "resourceVersion",
            "generation",
            "uid",
            "creationTimestamp",
        ] {
            metadata.remove(field);
        }
        // It counts what is written.
        if let Some(annotations) = metadata.get_mut("annotations") {
            annotations
                .as_object_mut()
                .map(|it| it.remove("deprecated.daemonset.template.generation"));
        }
    }
}

/// What stands for each secret text: those that are the same look the same.
fn masks(before: Option<&Value>, after: Option<&Value>) -> BTreeMap<String, &'static str> {
    let values = |object: Option<&Value>| -> Vec<String> {
        let data = object.and_then(|it| it["data"].as_object());
        let data = data.into_iter().flat_map(serde_json::Map::values);
        data.filter_map(|it| it.as_str().map(str::to_owned))
            .collect()
    };
    let mut masks: BTreeMap<_, _> = values(after)
        .into_iter()
        .map(|it| (it, "(secret, another)"))
        .collect();
    masks.extend(values(before).into_iter().map(|it| (it, "(secret)")));
    masks
}

fn hide(object: &mut Value, masks: &BTreeMap<String, &'static str>) {
    let data = object["data"].as_object_mut();
    for value in data.into_iter().flat_map(|it| it.values_mut()) {
        let mask = value.as_str().and_then(|it| masks.get(it)).copied();
        *value = mask.unwrap_or("(secret)").into();
    }
}

/// How long the API server may take to tell all that there is.
const PATIENCE: Duration = Duration::from_secs(20);
/// Owners have one; that of an object that is still to be made is not known.
const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(value: &str, version: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "key", "resourceVersion": version, "uid": "1" },
            "data": { "secretkey": value },
        })
    }

    #[test]
    fn only_what_somebody_means_is_a_difference_and_secrets_stay_hidden() {
        let key = Key::new(Kind::Secret, "key");
        let same = unified(&key, Some(secret("YQ==", "1")), Some(secret("YQ==", "2")));
        assert_eq!(same, None);
        let other = unified(&key, Some(secret("YQ==", "1")), Some(secret("Yg==", "2")));
        let other = other.expect("they differ");
        assert!(
            !other.contains("YQ==") && !other.contains("Yg=="),
            "{other}"
        );
        assert!(
            other.starts_with("--- cluster/Secret key\n+++ wanted/Secret key\n"),
            "{other}"
        );
        assert!(
            other.contains("-  secretkey: (secret)\n+  secretkey: (secret, another)"),
            "{other}"
        );
    }

    #[test]
    fn what_is_new_or_to_go_is_shown_as_a_whole() {
        let key = Key::new(Kind::ConfigMap, "map");
        let map = || Some(json!({ "kind": "ConfigMap", "metadata": { "name": "map" } }));
        let made = unified(&key, None, map()).expect("it is new");
        assert!(
            made.starts_with("--- none/ConfigMap map\n+++ wanted/"),
            "{made}"
        );
        assert!(made.contains("+kind: ConfigMap"), "{made}");
        let gone = unified(&key, map(), None).expect("it goes");
        assert!(
            gone.starts_with("--- cluster/ConfigMap map\n+++ none/"),
            "{gone}"
        );
        assert!(gone.contains("-kind: ConfigMap"), "{gone}");
    }

    #[test]
    fn the_operator_there_has_been_told_by_its_environment() {
        let deployment: Deployment = serde_json::from_value(json!({ "spec": {
            "selector": {},
            "template": { "spec": { "containers": [{ "name": "manager", "env": [
                { "name": "SPEAKER_IMAGE", "value": "speaker:1" },
                { "name": "OPERATOR_NAMESPACE", "valueFrom": {} },
            ] }] } },
        } }))
        .expect("a Deployment");
        let told = environment(&deployment);
        assert_eq!(
            told.get("SPEAKER_IMAGE").map(String::as_str),
            Some("speaker:1")
        );
        assert_eq!(told.len(), 1);
    }
}
