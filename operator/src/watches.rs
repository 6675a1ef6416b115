//! All watches of the operator as one stream of news.

use futures::StreamExt as _;
use futures::stream::{BoxStream, SelectAll};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::watcher::Config;
use metallb_crds::v1beta1::MetalLB;
use metallb_kit::watch::{Change, watch, watch_with};

use crate::index::News;
use crate::object::Kind;
use crate::observed::{Operand, PlainObject, Pod, PodObject, WorkloadObject};
use crate::render::{INVENTORY_LABEL, MEMBERLIST_SECRET};

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
    all
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
        return watch_with(api, config)
            .map(move |change| News::Operand(kind, map(change, Operand::of_webhooks)))
            .boxed();
    }
    let config = match kind {
        // The only Secret that the operator may read.
        Kind::Secret => config.fields(&format!("metadata.name={MEMBERLIST_SECRET}")),
        _ => config,
    };
    let api = if kind.is_namespaced() {
        Api::<PlainObject>::namespaced_with(client.clone(), namespace, &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    };
    watch_with(api, config)
        .map(move |change| {
            News::Operand(
                kind,
                map(change, |object| Operand::of(&object.metadata, None)),
            )
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
