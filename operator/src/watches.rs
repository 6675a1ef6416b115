//! All watches of the operator as one stream of news.

use std::collections::BTreeSet;
use std::future::ready;

use futures::StreamExt as _;
use futures::stream::{BoxStream, SelectAll, select_all};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::watcher::Config;
use metallb_admission::{OPERATOR_CONFIGURATION, SECRET as WEBHOOK_SECRET};
use metallb_crds::v1beta1::MetalLB;
use metallb_crds::v1beta2::BGPPeer;
use metallb_kit::watch::{Change, watch, watch_with};

use crate::defined::{Defined, while_defined};
use crate::index::News;
use crate::object::Kind;
use crate::observed::{Operand, PlainObject, Pod, PodObject, WorkloadObject};
use crate::render::{INVENTORY_LABEL, MEMBERLIST_SECRET, METRICS_TOKEN};
use crate::{api_server, classes, definitions, frr_k8s, surroundings};

/// All news, as they come.
pub(crate) type Feed = SelectAll<BoxStream<'static, News>>;

/// News of everything that decisions are made from, for ever.
pub(crate) fn news(client: &Client, namespace: &str) -> Feed {
    let mut all: Feed = Kind::ALL
        .into_iter()
        .map(|kind| operands(client, namespace, kind))
        .collect();
    all.push(metallbs(client));
    all.push(pods(client, namespace));
    all.push(peers(client, namespace));
    all.push(frr_k8s::news(client).map(News::FrrK8s).boxed());
    all.push(definitions::missing(client).map(News::Definitions).boxed());
    all.push(frr_k8s::extras(client, namespace).map(News::Extras).boxed());
    // Nothing is decided by these, so nothing waits for them.
    all.push(
        surroundings::advice(client, namespace)
            .map(News::Advice)
            .boxed(),
    );
    all.push(
        classes::news(client)
            .map(|(class, change)| News::Class(class, change))
            .boxed(),
    );
    all.push(api_server::service(client).map(News::ApiService).boxed());
    all.push(
        api_server::endpoints(client)
            .map(News::ApiEndpoints)
            .boxed(),
    );
    all
}

/// Routers, for the Secrets that they name.
fn peers(client: &Client, namespace: &str) -> BoxStream<'static, News> {
    watch(Api::<BGPPeer>::namespaced(client.clone(), namespace))
        .map(|change| News::Peer(Box::new(change)))
        .boxed()
}

/// In all namespaces, so that an object in the wrong one can be told.
fn metallbs(client: &Client) -> BoxStream<'static, News> {
    watch(Api::<MetalLB>::all(client.clone()))
        .map(|change| News::MetalLB(Box::new(change)))
        .boxed()
}

/// What carries our label. Of most kinds only the metadata is read.
fn operands(client: &Client, namespace: &str, kind: Kind) -> BoxStream<'static, News> {
    let config = Config::default().labels(&format!("{INVENTORY_LABEL}={namespace}"));
    let resource = kind.api_resource();
    if kind.is_workload() {
        let api = Api::<WorkloadObject>::namespaced_with(client.clone(), namespace, &resource);
        return watch_with(api, config)
            .map(move |change| News::Operand(kind, map(change, Operand::of_workload)))
            .boxed();
    }
    if kind == Kind::ValidatingWebhookConfiguration {
        let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
        // The operator's own belongs to no MetalLB object.
        let own = Config::default().fields(&format!("metadata.name={OPERATOR_CONFIGURATION}"));
        return together([config, own].map(|which| watch_with(api.clone(), which)))
            .map(move |change| News::Operand(kind, map(change, Operand::of_webhooks)))
            .boxed();
    }
    let api = if kind.is_namespaced() {
        Api::<PlainObject>::namespaced_with(client.clone(), namespace, &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    };
    if let Some(definition) = kind.definition() {
        let watch = move || watch_with(api.clone(), config.clone());
        return while_defined(client, definition, watch)
            .map(move |news| match news {
                Defined::Definition(is_there) => News::Served(kind, is_there),
                Defined::Object(change) => News::Operand(kind, map(change, read)),
                Defined::Synced => News::Operand(kind, Change::Synced),
            })
            .boxed();
    }
    let changes = match kind {
        // The only ones that the operator may read.
        Kind::Secret => together(
            [MEMBERLIST_SECRET, WEBHOOK_SECRET, METRICS_TOKEN].map(|name| {
                let this = config.clone().fields(&format!("metadata.name={name}"));
                watch_with(api.clone(), this)
            }),
        ),
        _ => watch_with(api, config),
    };
    changes
        .map(move |change| News::Operand(kind, map(change, read)))
        .boxed()
}

fn read(object: &PlainObject) -> Operand {
    Operand::of(&object.metadata, None)
}

/// Several watches of one kind as one, which is in sync once all of them are.
fn together<K: Send + 'static, const N: usize>(
    watches: [BoxStream<'static, Change<K>>; N],
) -> BoxStream<'static, Change<K>> {
    let mut missing: BTreeSet<usize> = (0..N).collect();
    let numbered = watches
        .into_iter()
        .enumerate()
        .map(|(nth, watch)| watch.map(move |change| (nth, change)).boxed());
    select_all(numbered)
        .filter_map(move |(nth, change)| {
            let is_told = match change {
                Change::Synced => {
                    missing.remove(&nth);
                    missing.is_empty()
                }
                _ => true,
            };
            ready(is_told.then_some(change))
        })
        .boxed()
}

/// The operands' pods, for what the conditions say of them.
fn pods(client: &Client, namespace: &str) -> BoxStream<'static, News> {
    let config = Config::default().labels("app=metallb,component in (controller, speaker)");
    let resource = ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        plural: "pods".to_owned(),
    };
    let api = Api::<PodObject>::namespaced_with(client.clone(), namespace, &resource);
    watch_with(api, config)
        .map(|change| News::Pod(map(change, Pod::of)))
        .boxed()
}

fn map<A, B>(change: Change<A>, read: impl FnOnce(&A) -> B) -> Change<B> {
    match change {
        Change::Apply(object) => Change::Apply(read(&object)),
        Change::Delete(key) => Change::Delete(key),
        Change::Listing => Change::Listing,
        Change::Synced => Change::Synced,
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn two_watches_are_in_sync_when_both_are() {
        let one = stream::iter([Change::Apply(1), Change::Synced]).boxed();
        let other = stream::iter([Change::Apply(2), Change::Apply(3), Change::Synced]).boxed();
        let told: Vec<_> = together([one, other]).collect().await;
        assert_eq!(told.len(), 4);
        assert_eq!(told[3], Change::Synced);
    }
}
