//! What becomes of FRR-K8s' definition and, while it is there, of the FRRConfigurations that no
//! speaker of ours wrote; and whether users have lines of their own for FRR.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ObjectMeta};
use kube::runtime::watcher;
use kube::{Client, Resource};
use metallb_crds::frrk8s::{FRR_CONFIGURATIONS, FRRConfiguration};
use metallb_crds::names::WRITTEN_FROM_LABEL;
use metallb_kit::sleep;
use metallb_kit::watch::{Change, watch_with};
use serde::Deserialize;
use serde_json::Value;

use super::{Config, FrrNews};

/// A definition, read no further than needed.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = CustomResourceDefinition)]
struct Definition {
    metadata: ObjectMeta,
    #[serde(default)]
    status: Value,
}

/// An FRRConfiguration as others write it, in whatever version of its definition.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = FRRConfiguration)]
pub(super) struct Written {
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: Value,
}

type Changes<K> = BoxStream<'static, Change<K>>;

struct Watch {
    client: Client,
    definition: Changes<Definition>,
    /// While there is a definition.
    configs: Option<Changes<Written>>,
    /// Until when [`FrrNews::Synced`] is held back; nothing once it was said.
    patience: Option<Instant>,
}

/// All of it, for ever.
pub(crate) fn news(client: &Client) -> BoxStream<'static, FrrNews> {
    let this = watcher::Config::default().fields(&format!("metadata.name={FRR_CONFIGURATIONS}"));
    let watch = Watch {
        client: client.clone(),
        definition: watch_with(Api::all(client.clone()), this),
        configs: None,
        patience: Some(Instant::now() + PATIENCE),
    };
    stream::unfold(watch, |mut watch| async move {
        let news = watch.next().await;
        Some((news, watch))
    })
    .boxed()
}

impl Watch {
    async fn next(&mut self) -> FrrNews {
        loop {
            tokio::select! {
                Some(change) = self.definition.next() => {
                    if let Some(news) = self.define(change) {
                        return news;
                    }
                }
                Some(change) = next_of(&mut self.configs) => match change {
                    Change::Synced if self.patience.take().is_some() => return FrrNews::Synced,
                    Change::Synced | Change::Listing => {}
                    Change::Delete(key) => return FrrNews::Config(Change::Delete(key)),
                    Change::Apply(written) => return FrrNews::Config(Config::read(&written)),
                },
                // Another's definition, and who serves it, must not hold us up.
                () = sleep::until(self.patience) => {
                    self.patience = None;
                    return FrrNews::Synced;
                }
            }
        }
    }

    fn define(&mut self, change: Change<Definition>) -> Option<FrrNews> {
        match change {
            Change::Apply(definition) if is_established(&definition) => {
                if self.configs.is_none() {
                    let others =
                        watcher::Config::default().labels(&format!("!{WRITTEN_FROM_LABEL}"));
                    self.configs = Some(watch_with(Api::all(self.client.clone()), others));
                }
                Some(FrrNews::Defined(true))
            }
            Change::Apply(_) | Change::Delete(_) => {
                self.configs = None;
                Some(FrrNews::Defined(false))
            }
            Change::Listing => None,
            Change::Synced => {
                let all = self.configs.is_none() && self.patience.take().is_some();
                all.then_some(FrrNews::Synced)
            }
        }
    }
}

async fn next_of<K>(changes: &mut Option<Changes<K>>) -> Option<Change<K>> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

fn is_established(definition: &Definition) -> bool {
    let conditions = definition.status["conditions"].as_array();
    let is_it = |it: &Value| it["type"] == "Established" && it["status"] == "True";
    conditions.is_some_and(|all| all.iter().any(is_it))
}

/// Whether users have lines of their own for FRR.
pub(crate) fn extras(client: &Client, namespace: &str) -> BoxStream<'static, Change<bool>> {
    let this = watcher::Config::default().fields(&format!("metadata.name={EXTRAS}"));
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let read = |change| match change {
        Change::Apply(map) => Change::Apply(has_lines(&map)),
        Change::Delete(key) => Change::Delete(key),
        Change::Listing => Change::Listing,
        Change::Synced => Change::Synced,
    };
    watch_with(api, this).map(read).boxed()
}

fn has_lines(map: &ConfigMap) -> bool {
    let extras = map.data.as_ref().and_then(|data| data.get("extras"));
    extras.is_some_and(|lines| !lines.trim().is_empty())
}

/// The ConfigMap with users' own lines for FRR.
pub(crate) const EXTRAS: &str = "bgpextras";
/// How long another's objects may take to come before we go on without.
const PATIENCE: Duration = Duration::from_secs(10);
