//! The configuration beside the cluster that it is for, and what somebody should know of both.
//!
//! It stands beside what the operator decides from: nothing waits for it, and what may not be read
//! asks nothing. Nodes report every few minutes, so news are told only when the advice is another.

mod objects;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream, SelectAll};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::api::Api;
use kube::runtime::watcher;
use kube::{Client, Resource};
use metallb_config::{AddrRange, Advice, Config, Objects, References, Surroundings, parse};
use metallb_crds::v1beta1::{
    BFDProfile, BGPAdvertisement, Community, IPAddressPool, L2Advertisement,
};
use metallb_crds::v1beta2::BGPPeer;
use metallb_kit::sleep;
use metallb_kit::watch::{Change, ObjectKey, watch, watch_with};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use self::objects::{NodeObject, answers_for_others, node, ranges};
use crate::render::KUBE_PROXY;

/// What somebody should know, whenever that is something else; for ever.
pub(crate) fn advice(client: &Client, namespace: &str) -> BoxStream<'static, Vec<Advice>> {
    let mut seen = Seen::default();
    seen.around.pod = own_address();
    let adviser = Adviser {
        news: news(client, namespace),
        seen,
        due: None,
        told: None,
    };
    stream::unfold(adviser, |mut adviser| async move {
        let advice = adviser.next().await;
        Some((advice, adviser))
    })
    .boxed()
}

/// The address of this pod, as one that the network's plugin gave; with which it would speak to the
/// API server. Nothing is sent for that.
fn own_address() -> Option<IpAddr> {
    let server: IpAddr = std::env::var("KUBERNETES_SERVICE_HOST")
        .ok()?
        .parse()
        .ok()?;
    let any = match server {
        IpAddr::V4(_) => "0.0.0.0:0",
        IpAddr::V6(_) => "[::]:0",
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect((server, 443)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// One piece of news.
#[derive(Clone, Debug)]
enum News {
    Pool(Change<IPAddressPool>),
    L2Advertisement(Change<L2Advertisement>),
    BgpAdvertisement(Change<BGPAdvertisement>),
    Peer(Change<BGPPeer>),
    BfdProfile(Change<BFDProfile>),
    Community(Change<Community>),
    Node(Change<NodeObject>),
    ServiceRange(Change<ServiceCIDR>),
    KubeProxy(Change<ConfigMap>),
}

fn news(client: &Client, namespace: &str) -> SelectAll<BoxStream<'static, News>> {
    fn of<K>(
        client: &Client,
        namespace: &str,
        news: fn(Change<K>) -> News,
    ) -> BoxStream<'static, News>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug
            + Send
            + 'static,
    {
        watch(Api::<K>::namespaced(client.clone(), namespace))
            .map(news)
            .boxed()
    }
    let this = watcher::Config::default().fields(&format!("metadata.name={KUBE_PROXY}"));
    let kube_proxy = Api::<ConfigMap>::namespaced(client.clone(), "kube-system");
    let ranges = {
        let client = client.clone();
        stream::once(async move { has_service_ranges(&client).await.then_some(client) })
            .filter_map(std::future::ready)
            .flat_map(|client| watch(Api::<ServiceCIDR>::all(client)).map(News::ServiceRange))
    };
    stream::select_all([
        of(client, namespace, News::Pool),
        of(client, namespace, News::L2Advertisement),
        of(client, namespace, News::BgpAdvertisement),
        of(client, namespace, News::Peer),
        of(client, namespace, News::BfdProfile),
        of(client, namespace, News::Community),
        watch(Api::<NodeObject>::all(client.clone()))
            .map(News::Node)
            .boxed(),
        watch_with(kube_proxy, this).map(News::KubeProxy).boxed(),
        ranges.boxed(),
    ])
}

/// Clusters before Kubernetes 1.33 do not say where Services have their addresses.
async fn has_service_ranges(client: &Client) -> bool {
    let served = client
        .list_api_group_resources("networking.k8s.io/v1")
        .await;
    served.is_ok_and(|it| it.resources.iter().any(|it| it.name == "servicecidrs"))
}

struct Adviser {
    news: SelectAll<BoxStream<'static, News>>,
    seen: Seen,
    /// When to look at what has changed.
    due: Option<Instant>,
    /// What was told last, if anything was.
    told: Option<Vec<Advice>>,
}

impl Adviser {
    async fn next(&mut self) -> Vec<Advice> {
        loop {
            tokio::select! {
                Some(news) = self.news.next() => if self.seen.handle(news) {
                    self.due.get_or_insert_with(|| Instant::now() + SETTLE);
                },
                () = sleep::until(self.due) => {
                    self.due = None;
                    let advice = self.seen.advice();
                    if advice != self.told && let Some(advice) = advice {
                        self.told = Some(advice.clone());
                        return advice;
                    }
                }
            }
        }
    }
}

/// All that advice depends on.
#[derive(Debug, Default)]
struct Seen {
    pools: Kept<IPAddressPool>,
    l2_advertisements: Kept<L2Advertisement>,
    bgp_advertisements: Kept<BGPAdvertisement>,
    peers: Kept<BGPPeer>,
    bfd_profiles: Kept<BFDProfile>,
    communities: Kept<Community>,
    around: Surroundings,
    nodes_synced: bool,
    service_ranges: BTreeMap<ObjectKey, Vec<AddrRange>>,
}

/// Objects of one kind.
#[derive(Debug)]
struct Kept<K> {
    objects: BTreeMap<ObjectKey, K>,
    synced: bool,
}

impl<K> Default for Kept<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            synced: false,
        }
    }
}

impl<K: Resource<DynamicType = ()> + Clone> Kept<K> {
    /// True if it changes anything.
    fn handle(&mut self, change: Change<K>) -> bool {
        match change {
            Change::Apply(object) => {
                let generation = object.meta().generation;
                let labels = object.meta().labels.clone();
                let before = self.objects.insert(ObjectKey::of(&object), object);
                // Not when only the status is another.
                before.is_none_or(|it| {
                    (it.meta().generation, &it.meta().labels) != (generation, &labels)
                })
            }
            Change::Delete(key) => self.objects.remove(&key).is_some(),
            Change::Listing => false,
            Change::Synced => !std::mem::replace(&mut self.synced, true),
        }
    }

    fn all(&self) -> Vec<K> {
        self.objects.values().cloned().collect()
    }
}

impl Seen {
    /// Takes in news; true if the advice may be another.
    fn handle(&mut self, news: News) -> bool {
        match news {
            News::Pool(change) => self.pools.handle(change),
            News::L2Advertisement(change) => self.l2_advertisements.handle(change),
            News::BgpAdvertisement(change) => self.bgp_advertisements.handle(change),
            News::Peer(change) => self.peers.handle(change),
            News::BfdProfile(change) => self.bfd_profiles.handle(change),
            News::Community(change) => self.communities.handle(change),
            News::Node(change) => self.see_node(change),
            News::ServiceRange(change) => self.see_service_range(change),
            News::KubeProxy(change) => {
                let answers = match change {
                    Change::Apply(map) => answers_for_others(&map),
                    Change::Delete(_) => false,
                    Change::Listing | Change::Synced => return false,
                };
                std::mem::replace(&mut self.around.answers_for_others, answers) != answers
            }
        }
    }

    fn see_service_range(&mut self, change: Change<ServiceCIDR>) -> bool {
        match change {
            Change::Apply(object) => {
                let key = ObjectKey::of(&object);
                self.service_ranges.insert(key, ranges(&object));
            }
            Change::Delete(key) => drop(self.service_ranges.remove(&key)),
            Change::Listing | Change::Synced => return false,
        }
        let all: Vec<_> = self.service_ranges.values().flatten().copied().collect();
        let changes = all != self.around.service_ranges;
        self.around.service_ranges = all;
        changes
    }

    fn see_node(&mut self, change: Change<NodeObject>) -> bool {
        match change {
            Change::Apply(object) => {
                let name = object.metadata.name.clone().unwrap_or_default();
                let node = node(&object);
                if self.around.nodes.get(&name) == Some(&node) {
                    return false;
                }
                self.around.nodes.insert(name, node);
                true
            }
            Change::Delete(key) => self.around.nodes.remove(key.name()).is_some(),
            Change::Listing => false,
            Change::Synced => !std::mem::replace(&mut self.nodes_synced, true),
        }
    }

    /// Nothing before the configuration is known as a whole.
    fn advice(&self) -> Option<Vec<Advice>> {
        let synced = [
            self.pools.synced,
            self.l2_advertisements.synced,
            self.bgp_advertisements.synced,
            self.peers.synced,
            self.bfd_profiles.synced,
            self.communities.synced,
        ];
        if synced.contains(&false) {
            return None;
        }
        let config = self.config();
        if self.nodes_synced {
            return Some(config.advice(&self.around));
        }
        // Half of the nodes may well be those that are excluded.
        Some(config.advice(&Surroundings {
            nodes: BTreeMap::new(),
            service_ranges: self.around.service_ranges.clone(),
            ..self.around
        }))
    }

    fn config(&self) -> Config {
        let objects = Objects {
            pools: &self.pools.all(),
            l2_advertisements: &self.l2_advertisements.all(),
            bgp_advertisements: &self.bgp_advertisements.all(),
            bgp_peers: &self.peers.all(),
            bfd_profiles: &self.bfd_profiles.all(),
            communities: &self.communities.all(),
            nodes: &[],
            // Whoever uses them says what is not there.
            references: References::MayFollow,
        };
        parse(&objects).config
    }
}

/// Objects that belong together come one after the other: a pool, and what announces it.
const SETTLE: Duration = Duration::from_secs(1);
