//! A cluster to decide about, told as the API server tells it.

#![expect(
    clippy::needless_pass_by_value,
    reason = "`json!` reads better without a `&`"
)]

use metallb_kit::watch::{Change, ObjectKey};
use metallb_membership::Presence;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Index, Member, Touched};
use crate::brain::News;
use crate::decide::{Decision, Own, decide};

/// Nodes with speakers that are alive, a pool `192.0.2.0/24` and `2001:db8::/64`, an
/// L2Advertisement of everything, and the Service `default/web` with an endpoint on each node.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) index: Index,
    ignore_exclude_lb: bool,
}

impl Cluster {
    pub(crate) fn of(nodes: &[&str]) -> Self {
        let mut cluster = Self {
            index: Index::new(None, Some("speaker-ours")),
            ignore_exclude_lb: false,
        };
        for node in nodes {
            cluster = cluster.node(node, json!({}));
        }
        cluster
            .alive(nodes)
            .pool(
                "pool",
                json!({ "addresses": ["192.0.2.0/24", "2001:db8::/64"] }),
            )
            .advertisement("all", json!({}))
            .service("web", json!({}))
            .ips("web", &["192.0.2.1"])
            .endpoints("web", nodes)
    }

    pub(crate) fn alive(mut self, nodes: &[&str]) -> Self {
        let member = Member {
            presence: Presence::Ready,
            state: None,
        };
        let members = nodes.iter().map(|&node| (node.into(), member.clone()));
        self.index.members(members.collect());
        self
    }

    pub(crate) fn unwatched(mut self) -> Self {
        self.index.members = None;
        self
    }

    /// The node says this of itself: whether it has been back for long enough, and the names of its
    /// interfaces, those without a carrier in brackets.
    pub(crate) fn says(mut self, node: &str, ready: bool, ports: &[&str]) -> Self {
        let port = |name: &&str| metallb_l2::Port {
            name: name.trim_matches(['(', ')']).to_owned(),
            mac: metallb_l2::MacAddr::zero(),
            running: !name.starts_with('('),
            broadcast: true,
            link_local: Some(std::net::Ipv6Addr::LOCALHOST),
        };
        let state = metallb_l2::NodeState {
            interfaces: ports.iter().map(port).collect(),
        };
        let member = Member {
            presence: if ready {
                Presence::Ready
            } else {
                Presence::Returning
            },
            state: Some(state),
        };
        let mut members = self.index.members.clone().unwrap_or_default();
        members.insert(node.into(), member);
        self.index.members(members);
        self
    }

    pub(crate) fn ignore_exclude_lb(mut self) -> Self {
        self.ignore_exclude_lb = true;
        self
    }

    pub(crate) fn node(mut self, name: &str, labels: Value) -> Self {
        self.index.node(apply(
            json!({ "metadata": { "name": name, "labels": labels } }),
        ));
        self
    }

    pub(crate) fn no_network(mut self, name: &str) -> Self {
        let conditions = json!([{ "type": "NetworkUnavailable", "status": "True" }]);
        self.index.node(apply(json!({
            "metadata": { "name": name }, "status": { "conditions": conditions }
        })));
        self
    }

    /// Somebody wants to stop the node.
    pub(crate) fn drain(mut self, name: &str) -> Self {
        let taints = json!([{ "key": "metallb.io/drain", "effect": "NoSchedule" }]);
        let node = json!({ "metadata": { "name": name }, "spec": { "taints": taints } });
        self.index.node(apply(node));
        self
    }

    /// On these nodes and no others run MetalLB's own speakers.
    pub(crate) fn upstream(mut self, nodes: &[&str]) -> Self {
        let pod = |name: &str, node: &str, annotations: Value, works: &str| {
            apply(json!({
                "metadata": { "namespace": "metallb-system", "name": name, "annotations": annotations },
                "spec": { "nodeName": node },
                "status": {
                    "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": works }],
                },
            }))
        };
        let mark = json!({ "metallb.io/heartbeats": "ring" });
        self.index.pod(pod("speaker-ours", "ours", mark, "True"));
        let all: Vec<_> = self.index.nodes.keys().cloned().collect();
        for node in all {
            let works = if nodes.contains(&&*node) {
                "True"
            } else {
                "False"
            };
            let name = format!("theirs-{node}");
            self.index.pod(pod(&name, &node, json!({}), works));
        }
        self
    }

    pub(crate) fn pool(mut self, name: &str, spec: Value) -> Self {
        let object = json!({ "metadata": named(name), "spec": spec });
        self.index.configuration.pool(apply(object));
        self
    }

    pub(crate) fn advertisement(mut self, name: &str, spec: Value) -> Self {
        let object = json!({ "metadata": named(name), "spec": spec });
        self.index.configuration.l2_advertisement(apply(object));
        self
    }

    /// An advertisement by BGP.
    pub(crate) fn bgp(mut self, name: &str, spec: Value) -> Self {
        let object = json!({ "metadata": named(name), "spec": spec });
        self.index.configuration.bgp_advertisement(apply(object));
        self
    }

    /// A router, which is in AS 64501 unless `spec` says otherwise.
    pub(crate) fn peer(mut self, name: &str, mut spec: Value) -> Self {
        for (field, value) in [("myASN", 64500), ("peerASN", 64501)] {
            let spec = spec.as_object_mut().expect("an object");
            spec.entry(field).or_insert_with(|| json!(value));
        }
        let object = json!({ "metadata": named(name), "spec": spec });
        self.index.configuration.bgp_peer(apply(object));
        self
    }

    pub(crate) fn bfd_profile(mut self, name: &str, spec: Value) -> Self {
        let object = json!({ "metadata": named(name), "spec": spec });
        self.index.configuration.bfd_profile(apply(object));
        self
    }

    pub(crate) fn no_advertisement(mut self) -> Self {
        let gone = Change::Delete(ObjectKey::new("metallb-system", "all"));
        self.index.configuration.l2_advertisement(gone);
        self
    }

    pub(crate) fn service(mut self, name: &str, metadata: Value) -> Self {
        self.index
            .service(apply(service(name, metadata, &["192.0.2.1"])));
        self
    }

    pub(crate) fn service_at(mut self, name: &str, metadata: Value, ips: &[&str]) -> Self {
        self.index.service(apply(service(name, metadata, ips)));
        self
    }

    pub(crate) fn ips(mut self, name: &str, ips: &[&str]) -> Self {
        self.index.service(apply(service(name, json!({}), ips)));
        self
    }

    pub(crate) fn local(mut self, name: &str) -> Self {
        let mut object = service(name, json!({}), &["192.0.2.1"]);
        object["spec"]["externalTrafficPolicy"] = json!("Local");
        self.index.service(apply(object));
        self
    }

    /// A Service that is there gets another traffic policy.
    pub(crate) fn local_again(mut self, name: &str) -> Self {
        let key = ObjectKey::new("default", name);
        let service = self.index.services.get(&key);
        let mut service = service.expect("it is there").clone();
        service.local = true;
        self.index.services.insert(&key, service);
        self
    }

    pub(crate) fn endpoints(mut self, name: &str, nodes: &[&str]) -> Self {
        let endpoints: Vec<_> = nodes
            .iter()
            .map(|node| json!({ "nodeName": node }))
            .collect();
        self.index.slice(apply(slice(name, json!(endpoints))));
        self
    }

    pub(crate) fn interfaces(mut self, names: &[&str]) -> Self {
        self.index
            .interfaces(names.iter().map(|&name| name.to_owned()).collect());
        self
    }

    /// What the speaker on `node` decides about `default/web`.
    pub(crate) fn decide(&self, node: &str) -> Decision {
        self.decide_about(node, "web")
    }

    /// What it decides about another Service.
    pub(crate) fn decide_about(&self, node: &str, name: &str) -> Decision {
        let own = Own {
            node: node.to_owned(),
            ignore_exclude_lb: self.ignore_exclude_lb,
        };
        let key = ObjectKey::new("default", name);
        let mut decisions = decide(&self.index, &own, &key).into_iter();
        let decision = decisions.find(|(it, _)| *it == key);
        decision.expect("it is among them").1
    }

    /// The nodes that announce `default/web`.
    pub(crate) fn announcers(&self) -> Vec<&str> {
        self.announcers_of("web")
    }

    /// The nodes that announce another Service.
    pub(crate) fn announcers_of(&self, name: &str) -> Vec<&str> {
        let nodes = self.index.nodes.keys().map(AsRef::as_ref);
        nodes
            .filter(|node| matches!(self.decide_about(node, name), Decision::Announce(_)))
            .collect()
    }
}

/// The key of `default/web`.
pub(crate) fn web() -> ObjectKey {
    ObjectKey::new("default", "web")
}

pub(crate) fn touches_web() -> Touched {
    Touched::Service(web())
}

/// A change to an object given as JSON.
pub(crate) fn apply<K: DeserializeOwned>(object: Value) -> Change<K> {
    Change::Apply(serde_json::from_value(object).unwrap())
}

/// A Service of type `LoadBalancer`; `metadata` is added to what is there.
pub(crate) fn service(name: &str, metadata: Value, ips: &[&str]) -> Value {
    let ingress: Vec<_> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
    let mut object = json!({
        "metadata": { "namespace": "default", "name": name, "uid": "u1" },
        "spec": { "type": "LoadBalancer" },
        "status": { "loadBalancer": { "ingress": ingress } },
    });
    if let Value::Object(fields) = metadata {
        object["metadata"].as_object_mut().unwrap().extend(fields);
    }
    object
}

/// An EndpointSlice of a Service.
pub(crate) fn slice(service: &str, endpoints: Value) -> Value {
    json!({
        "metadata": {
            "namespace": "default", "name": format!("{service}-1"),
            "labels": { "kubernetes.io/service-name": service },
        },
        "endpoints": endpoints,
    })
}

/// Everything that exists has been told.
pub(crate) fn synced() -> [News; 10] {
    [
        News::Service(Change::Synced),
        News::Slice(Change::Synced),
        News::Node(Change::Synced),
        News::Pool(Change::Synced),
        News::L2Advertisement(Change::Synced),
        News::BgpAdvertisement(Change::Synced),
        News::BgpPeer(Change::Synced),
        News::BfdProfile(Change::Synced),
        News::Community(Change::Synced),
        News::Pod(Change::Synced),
    ]
}

fn named(name: &str) -> Value {
    json!({
        "namespace": "metallb-system", "name": name,
        "creationTimestamp": "2026-01-01T00:00:00Z", "labels": { "name": name },
    })
}
