//! What the brain learns from the API server.

use std::collections::BTreeSet;

use futures::stream::{BoxStream, StreamExt as _};
use kube::runtime::watcher;
use kube::{Api, Client};
use metallb_kit::watch::{watch as watch_kind, watch_with};
use tokio::sync::watch;

use crate::bgp;
use crate::brain::{Kind, News};

/// What must be known before anything is decided.
pub(crate) fn unknown(heartbeats: bool) -> BTreeSet<Kind> {
    let mut unknown = BTreeSet::from([
        Kind::Service,
        Kind::Slice,
        Kind::Node,
        Kind::Pool,
        Kind::L2Advertisement,
        Kind::BgpAdvertisement,
        Kind::BgpPeer,
        Kind::BfdProfile,
        Kind::Community,
        Kind::Interfaces,
    ]);
    if heartbeats {
        unknown.extend([Kind::Speakers, Kind::Alive]);
    }
    unknown
}

/// All that the brain learns from the API server. `labels` are those of the speakers' pods.
pub(super) fn watches(
    client: &Client,
    namespace: &str,
    labels: Option<&str>,
    secrets: watch::Receiver<BTreeSet<String>>,
) -> Vec<BoxStream<'static, News>> {
    let slices = watcher::Config::default().labels("kubernetes.io/service-name");
    let mut all = vec![
        watch_kind(Api::all(client.clone()))
            .map(News::Service)
            .boxed(),
        watch_with(Api::all(client.clone()), slices)
            .map(News::Slice)
            .boxed(),
        watch_kind(Api::all(client.clone())).map(News::Node).boxed(),
        watch_kind(Api::namespaced(client.clone(), namespace))
            .map(News::Pool)
            .boxed(),
        watch_kind(Api::namespaced(client.clone(), namespace))
            .map(News::L2Advertisement)
            .boxed(),
        watch_kind(Api::namespaced(client.clone(), namespace))
            .map(News::BgpAdvertisement)
            .boxed(),
        watch_kind(Api::namespaced(client.clone(), namespace))
            .map(News::BgpPeer)
            .boxed(),
        watch_kind(Api::namespaced(client.clone(), namespace))
            .map(News::BfdProfile)
            .boxed(),
        watch_kind(Api::namespaced(client.clone(), namespace))
            .map(News::Community)
            .boxed(),
        bgp::secrets(client, namespace, secrets)
            .map(News::Secrets)
            .boxed(),
    ];
    if let Some(labels) = labels {
        let pods = watcher::Config::default().labels(labels);
        let api = Api::namespaced(client.clone(), namespace);
        all.push(watch_with(api, pods).map(News::Pod).boxed());
    }
    all
}
