//! The definitions of our kinds on a real API server: it takes what their rules cost, and they let
//! through and refuse what they should, with nothing else installed.

use std::{collections::BTreeMap, fs, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::product::{NAMESPACE, newest_version, path};
use metallb_tests::stories::{Stage, Story, tell};
use metallb_tests::{Cluster, Kubectl, Options, Terminal, eventually};
use serde::Deserialize;
use serde_json::{Value, json};

/// In the order in which they are told.
const STORIES: &[Story<Cluster>] = &[
    (
        "what_was_stored_before_a_rule_stays_editable",
        stored_before,
    ),
    ("rules_let_through_what_webhooks_let_through", accepted),
    ("rules_refuse_and_say_why", refused),
];

fn main() -> ExitCode {
    let stage = Stage {
        up,
        print_what_happened: |_| {},
        down: |cluster| Cluster::down(cluster.name()),
    };
    tell(&stage, STORIES)
}

/// A cluster with our definitions and the namespace of the objects.
fn up() -> Result<Cluster> {
    let options = Options {
        name: "definitions".parse()?,
        nodes: 1,
        ..Options::default()
    };
    Cluster::down(&options.name)?;
    let cluster = Cluster::up(&options, &mut Terminal::start())?;
    let kubectl = cluster.admin();
    kubectl.output(&["create", "namespace", NAMESPACE])?;
    for definition in definitions()? {
        kubectl.apply(&definition.to_string())?;
    }
    kubectl.output(&["wait", "--for=condition=Established", "crd", "--all"])?;
    Ok(cluster)
}

/// Bad objects that are there already can be labelled, mended in other fields, and deleted.
fn stored_before(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.admin();
    let mut all = definitions()?;
    for definition in &mut all {
        remove_rules(definition);
        kubectl.apply(&definition.to_string())?;
    }
    let bad = [
        ("IPAddressPool", json!({"addresses": ["10.0.0.1"]})),
        (
            "BGPPeer",
            json!({"myASN": 0, "peerASN": 1, "peerAddress": "10.0.0.1"}),
        ),
    ];
    for (kind, spec) in &bad {
        let object = object(kind, "old", spec);
        eventually("the rules are gone", SOON, || {
            let applied = kubectl.apply(&object.to_string());
            Ok(applied.map_err(|error| format!("{error:#}")))
        })?;
    }
    for definition in definitions()? {
        kubectl.apply(&definition.to_string())?;
    }
    for (kind, spec) in &bad {
        let new = object(kind, "new", spec).to_string();
        eventually("the rules are there", SOON, || {
            let (taken, said) = created(&kubectl, &[&new])?;
            Ok(if said.contains("invalid") {
                Ok(())
            } else {
                Err(format!("{taken:?} {said}"))
            })
        })?;
        let name = format!("{kind}/old");
        let on = |arguments: &[&str]| kubectl.output(&[&["-n", NAMESPACE], arguments].concat());
        on(&["label", &name, "a=b"])?;
        on(&[
            "patch",
            &name,
            "--type=merge",
            "-p",
            r#"{"metadata":{"finalizers":["example.com/a"]}}"#,
        ])?;
        on(&[
            "patch",
            &name,
            "--type=merge",
            "-p",
            r#"{"metadata":{"finalizers":[]}}"#,
        ])?;
    }
    // A field that has no part in it, where the rule is about one field; not the field itself.
    let patch = |spec: &Value| {
        let patch = json!({ "spec": spec }).to_string();
        kubectl.output(&[
            "-n",
            NAMESPACE,
            "patch",
            "IPAddressPool/old",
            "--type=merge",
            "-p",
            &patch,
        ])
    };
    patch(&json!({"autoAssign": false}))?;
    let worse = patch(&json!({"addresses": ["10.0.0.2"]}));
    ensure!(format!("{worse:?}").contains("invalid CIDR"), "{worse:?}");
    patch(&json!({"addresses": ["10.0.0.1/32"]}))?;
    for (kind, _) in &bad {
        kubectl.output(&["-n", NAMESPACE, "delete", &format!("{kind}/old")])?;
    }
    Ok(())
}

fn accepted(cluster: &Cluster) -> Result<()> {
    for (kind, cases) in cases()? {
        let specs: Vec<_> = cases
            .accepted
            .iter()
            .chain(&cases.left_to_webhooks)
            .collect();
        let (taken, said) = tried(&cluster.admin(), &kind, &specs)?;
        ensure!(taken.len() == specs.len(), "{kind}: {said}");
    }
    Ok(())
}

fn refused(cluster: &Cluster) -> Result<()> {
    for (kind, cases) in cases()? {
        let (messages, specs): (Vec<_>, Vec<_>) = cases
            .refused
            .iter()
            .flat_map(|(message, specs)| specs.iter().map(move |spec| (message, spec)))
            .unzip();
        let (taken, said) = tried(&cluster.admin(), &kind, &specs)?;
        ensure!(taken.is_empty(), "{kind}: these were taken: {taken:?}");
        // Each object's name, and what is wrong with it.
        let blocks: Vec<_> = said.split("\"case-").skip(1).collect();
        ensure!(blocks.len() == specs.len(), "{kind}: {said}");
        for ((message, spec), block) in messages.iter().zip(&specs).zip(&blocks) {
            ensure!(
                block.contains(*message),
                "{kind} {spec}: {message:?} is not in {block}"
            );
        }
    }
    Ok(())
}

/// Tries to create an object of each spec, in their order: what was taken, and what was said.
fn tried(kubectl: &Kubectl, kind: &str, specs: &[&Value]) -> Result<(Vec<String>, String)> {
    let objects = specs
        .iter()
        .enumerate()
        .map(|(i, spec)| object(kind, &format!("case-{i}"), spec).to_string());
    let objects: Vec<_> = objects.collect();
    created(kubectl, &objects)
}

/// What a dry run of the creation prints, line by line, and what it complains about.
fn created(kubectl: &Kubectl, objects: &[impl AsRef<str>]) -> Result<(Vec<String>, String)> {
    let stream: Vec<_> = objects.iter().map(AsRef::as_ref).collect();
    let file =
        std::env::temp_dir().join(format!("metallb-definitions-{}.yaml", std::process::id()));
    fs::write(&file, stream.join("\n---\n"))?;
    let name = file.display().to_string();
    let output = kubectl
        .command(&["create", "--dry-run=server", "-f", &name])
        .output();
    fs::remove_file(&file)?;
    let output = output?;
    let taken = String::from_utf8(output.stdout)?
        .lines()
        .map(str::to_owned)
        .collect();
    Ok((taken, String::from_utf8(output.stderr)?))
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("metallb.io/{}", newest_version(kind)),
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    })
}

// --- files ---

/// Specs of one kind, as crds/tests/rules.rs has them.
#[derive(Deserialize)]
struct Cases {
    accepted: Vec<Value>,
    left_to_webhooks: Vec<Value>,
    refused: BTreeMap<String, Vec<Value>>,
}

fn cases() -> Result<BTreeMap<String, Cases>> {
    let text = fs::read_to_string(path("crds/tests/rules/cases.yaml"))?;
    Ok(serde_saphyr::from_str(&text)?)
}

fn definitions() -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for file in fs::read_dir(path("crds"))? {
        let path = file?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = fs::read_to_string(&path)?;
            all.push(serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?);
        }
    }
    Ok(all)
}

fn remove_rules(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("x-kubernetes-validations");
            fields.values_mut().for_each(remove_rules);
        }
        Value::Array(list) => list.iter_mut().for_each(remove_rules),
        _ => {}
    }
}

/// A definition takes a moment to come into effect.
const SOON: Duration = Duration::from_secs(30);
