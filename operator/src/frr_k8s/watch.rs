//! What becomes of FRR-K8s' definition and, while it is there, of the FRRConfigurations that no
//! speaker of ours wrote; and whether users have lines of their own for FRR.

use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta};
use kube::runtime::watcher;
use kube::{Client, Resource};
use metallb_crds::frrk8s::{FRR_CONFIGURATIONS, FRRConfiguration};
use metallb_crds::names::WRITTEN_FROM_LABEL;
use metallb_kit::watch::{Change, watch_with};
use serde::Deserialize;
use serde_json::Value;

use super::{Config, FrrNews};
use crate::defined::{Defined, while_defined};

/// An FRRConfiguration as others write it, in whatever version of its definition.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = FRRConfiguration)]
pub(super) struct Written {
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: Value,
}

/// All of it, for ever.
pub(crate) fn news(client: &Client) -> BoxStream<'static, FrrNews> {
    let api = Api::<Written>::all(client.clone());
    let others = watcher::Config::default().labels(&format!("!{WRITTEN_FROM_LABEL}"));
    let watch = move || watch_with(api.clone(), others.clone());
    while_defined(client, FRR_CONFIGURATIONS, watch)
        .map(|news| match news {
            Defined::Definition(is_there) => FrrNews::Defined(is_there),
            Defined::Synced => FrrNews::Synced,
            Defined::Object(Change::Apply(written)) => FrrNews::Config(Config::read(&written)),
            Defined::Object(Change::Delete(key)) => FrrNews::Config(Change::Delete(key)),
            Defined::Object(Change::Listing) => FrrNews::Config(Change::Listing),
            Defined::Object(Change::Synced) => FrrNews::Config(Change::Synced),
        })
        .boxed()
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
