//! What is sound and does nothing, or is at odds with the cluster around it: users lose hours to it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use metallb_crds::names::EXCLUDE_FROM_EXTERNAL_LOAD_BALANCERS;

use crate::config::Config;
use crate::labels::{LabelSet as _, LabelText};
use crate::objects::Kind;
use crate::pool::Pool;
use crate::range::{AddrRange, Family};
use crate::scope::Scope;

/// What is known of the cluster that a configuration is for. What is not known asks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The nodes, by name.
    pub nodes: BTreeMap<String, Node>,
    /// Where Services have their cluster-internal addresses.
    pub service_ranges: Vec<AddrRange>,
    /// An address that a pod has.
    pub pod: Option<IpAddr>,
    /// kube-proxy balances by IPVS, and has nodes answer ARP for what other nodes have.
    pub answers_for_others: bool,
}

/// A node, as far as a configuration can be at odds with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its labels.
    pub labels: LabelText,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// Its `podCIDRs`: where its pods have their addresses, unless the network's plugin has other
    /// plans.
    pub pod_ranges: Vec<AddrRange>,
}

/// One thing that somebody should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The object that it is about, if it is about one.
    pub about: Option<(Kind, String)>,
    /// The same in one word.
    pub reason: &'static str,
    /// For people: what is so, and what comes of it.
    pub text: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.about {
            Some((kind, name)) => write!(f, "{kind} {name}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl Config {
    /// What somebody should know of a sound configuration, the gravest first: what does harm, what
    /// makes all of it do nothing, what does nothing itself.
    pub fn advice(&self, around: &Surroundings) -> Vec<Advice> {
        let mut all = Vec::new();
        for pool in self.pools.values() {
            all.extend(overlaps(pool, around));
        }
        all.extend(self.stray_answers(around));
        all.extend(self.no_node(around));
        for pool in self.pools.values() {
            all.extend(self.unannounced(pool));
        }
        for (kind, name, scope) in self.scopes() {
            all.extend(self.selects_nothing(kind, name, scope, around));
        }
        for peer in self.peers.values() {
            let mut advertisements = self.bgp_advertisements.values();
            if !advertisements.any(|it| it.selects_peer(&peer.name)) {
                let text = "no BGPAdvertisement is for this peer: it is told nothing";
                all.push(about(
                    Kind::BGPPeer,
                    &peer.name,
                    "PeerWithoutAdvertisement",
                    text,
                ));
            }
        }
        all.extend(self.nobody_to_tell());
        all
    }

    fn scopes(&self) -> impl Iterator<Item = (Kind, &str, &Scope)> {
        let l2 = self.l2_advertisements.values();
        let l2 = l2.map(|it| (Kind::L2Advertisement, it.name.as_str(), &it.scope));
        let bgp = self.bgp_advertisements.values();
        l2.chain(bgp.map(|it| (Kind::BGPAdvertisement, it.name.as_str(), &it.scope)))
    }

    /// With IPVS every node has every address of a Service on an interface, and Linux answers for
    /// what it has on any.
    fn stray_answers(&self, around: &Surroundings) -> Option<Advice> {
        let announces = around.answers_for_others && !self.l2_advertisements.is_empty();
        announces.then(|| Advice {
            about: None,
            reason: "StrictARPOff",
            text: "kube-proxy balances by IPVS with strictARP off: every node answers ARP for \
                   every address, beside the one that announces it. Set ipvs.strictARP to true in \
                   the ConfigMap kube-proxy in kube-system, and restart kube-proxy"
                .to_owned(),
        })
    }

    fn no_node(&self, around: &Surroundings) -> Option<Advice> {
        let announces = self.scopes().next().is_some();
        let mut nodes = around.nodes.values();
        let label = EXCLUDE_FROM_EXTERNAL_LOAD_BALANCERS;
        let excluded = nodes.all(|node| node.labels.value(label).is_some());
        (announces && excluded && !around.nodes.is_empty()).then(|| Advice {
            about: None,
            reason: ALL_NODES_EXCLUDED,
            text: format!(
                "every node has the label {label}: none announces. Take it off the nodes \
                 that are to announce"
            ),
        })
    }

    fn unannounced(&self, pool: &Pool) -> Option<Advice> {
        let by_l2 = self.l2_advertisements_of(pool).next();
        let by_bgp = self.bgp_advertisements_of(pool).next();
        let text = "no advertisement selects this pool: Services get addresses that nobody \
                    announces";
        (by_l2.is_none() && by_bgp.is_none()).then(|| {
            about(
                Kind::IPAddressPool,
                &pool.name,
                "PoolWithoutAdvertisement",
                text,
            )
        })
    }

    fn selects_nothing(
        &self,
        kind: Kind,
        name: &str,
        scope: &Scope,
        around: &Surroundings,
    ) -> Option<Advice> {
        if !self.pools.values().any(|pool| scope.selects_pool(pool)) {
            let text = "selects no pool: it announces nothing";
            return Some(about(kind, name, "AdvertisementWithoutPool", text));
        }
        let mut nodes = around.nodes.values();
        let none = !around.nodes.is_empty() && !nodes.any(|it| scope.selects_node(&it.labels));
        let text = "its nodeSelectors select no node: it announces nothing";
        none.then(|| about(kind, name, "AdvertisementWithoutNode", text))
    }

    fn nobody_to_tell(&self) -> Vec<Advice> {
        let mut all = Vec::new();
        let mut say = |name: &str, text: &str| {
            let reason = "AdvertisementWithoutPeer";
            all.push(about(Kind::BGPAdvertisement, name, reason, text));
        };
        for advertisement in self.bgp_advertisements.values() {
            if self.peers.is_empty() {
                say(&advertisement.name, "there is no BGPPeer to announce to");
            }
            for peer in &advertisement.peers {
                if !self.peers.contains_key(peer) {
                    let text = format!("names a peer that there is not: {peer}");
                    say(&advertisement.name, &text);
                }
            }
        }
        all
    }
}

/// Where addresses of the pool belong to somebody else: of each kind the first, since more of them
/// say no more.
fn overlaps(pool: &Pool, around: &Surroundings) -> Vec<Advice> {
    let say = |reason, text: String| about(Kind::IPAddressPool, &pool.name, reason, &text);
    let has = |ip: &IpAddr| pool.ranges().iter().any(|range| range.contains(*ip));
    let meets = |other: &AddrRange| {
        let mut ranges = pool.ranges().iter();
        ranges.find(|range| range.overlaps(other)).copied()
    };
    let nodes = || around.nodes.iter();
    let node = nodes().find_map(|(name, node)| {
        let ip = node.addresses.iter().find(|ip| has(ip))?;
        let text =
            format!("{ip} is the address of node {name}: a Service that gets it cuts the node off");
        Some(say("PoolOverlapsNode", text))
    });
    let pods = nodes().find_map(|(name, node)| {
        let (theirs, ours) = first_met(&node.pod_ranges, meets)?;
        let text = format!("{ours} overlaps {theirs}, where pods of node {name} have addresses");
        Some(say("PoolOverlapsPods", text))
    });
    let pods = pods.filter(|_| around.pods_are_where_nodes_say());
    let services = first_met(&around.service_ranges, meets).map(|(theirs, ours)| {
        let text = format!("{ours} overlaps {theirs}, where Services have their ClusterIPs");
        say("PoolOverlapsServices", text)
    });
    [node, pods, services].into_iter().flatten().collect()
}

impl Surroundings {
    /// Calico and Cilium may give pods addresses of pools of their own; what nodes say of that is
    /// then used by nobody, and shows in a pod whose address no node says it has. Where that cannot
    /// be known nodes are believed: for a pod with its node's address, or one of another family.
    fn pods_are_where_nodes_say(&self) -> bool {
        let Some(pod) = self.pod else {
            return true;
        };
        let mut ranges = self.nodes.values().flat_map(|it| &it.pod_ranges);
        let mut addresses = self.nodes.values().flat_map(|it| &it.addresses);
        addresses.any(|it| *it == pod)
            || ranges.clone().all(|it| it.family() != Family::of(pod))
            || ranges.any(|it| it.contains(pod))
    }
}

/// The first of `theirs` that meets one of ours, and that one.
fn first_met(
    theirs: &[AddrRange],
    meets: impl Fn(&AddrRange) -> Option<AddrRange>,
) -> Option<(AddrRange, AddrRange)> {
    theirs.iter().find_map(|it| Some((*it, meets(it)?)))
}

fn about(kind: Kind, name: &str, reason: &'static str, text: &str) -> Advice {
    Advice {
        about: Some((kind, name.to_owned())),
        reason,
        text: text.to_owned(),
    }
}

/// The reason of the advice that is none where speakers do not heed the label.
pub const ALL_NODES_EXCLUDED: &str = "AllNodesExcluded";

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::objects::Objects;
    use crate::parse::parse;

    fn object<K: DeserializeOwned>(name: &str, spec: &Value) -> K {
        let object = json!({ "metadata": { "name": name }, "spec": spec });
        serde_json::from_value(object).expect("an object")
    }

    /// A pool with these addresses, announced on layer 2 as `advertisement` says.
    fn announced(addresses: &str, advertisement: &Value) -> Config {
        let pools = [object("web", &json!({ "addresses": [addresses] }))];
        let l2_advertisements = [object("all", advertisement)];
        let objects = Objects {
            pools: &pools,
            l2_advertisements: &l2_advertisements,
            ..Objects::default()
        };
        parse(&objects).config
    }

    fn range(text: &str) -> AddrRange {
        text.parse().expect("a range")
    }

    fn node(label: &str) -> Node {
        Node {
            labels: Some(&[(label.to_owned(), String::new())].into()).into(),
            addresses: vec!["192.0.2.7".parse().expect("an address")],
            pod_ranges: vec![range("10.244.1.0/24")],
        }
    }

    fn around(label: &str) -> Surroundings {
        Surroundings {
            nodes: [("one".to_owned(), node(label))].into(),
            service_ranges: vec![range("10.96.0.0/16"), range("fd00::/112")],
            ..Surroundings::default()
        }
    }

    fn said(config: &Config, around: &Surroundings) -> Vec<String> {
        let advice = config.advice(around).into_iter();
        advice.map(|it| format!("{}: {it}", it.reason)).collect()
    }

    #[test]
    fn a_pool_must_not_have_what_belongs_to_somebody_else() {
        for (addresses, wanted) in [
            ("192.0.2.8-192.0.2.20", None),
            (
                "192.0.2.0/29",
                Some(
                    "PoolOverlapsNode: IPAddressPool web: 192.0.2.7 is the address of node one: a Service that gets it cuts the node off",
                ),
            ),
            (
                "10.244.1.128/28",
                Some(
                    "PoolOverlapsPods: IPAddressPool web: 10.244.1.128/28 overlaps 10.244.1.0/24, where pods of node one have addresses",
                ),
            ),
            (
                "10.96.255.0-10.97.0.9",
                Some(
                    "PoolOverlapsServices: IPAddressPool web: 10.96.255.0-10.97.0.9 overlaps 10.96.0.0/16, where Services have their ClusterIPs",
                ),
            ),
            (
                "fd00::42/128",
                Some(
                    "PoolOverlapsServices: IPAddressPool web: fd00::42/128 overlaps fd00::/112, where Services have their ClusterIPs",
                ),
            ),
        ] {
            let config = announced(addresses, &json!({}));
            let wanted: Vec<_> = wanted.into_iter().collect();
            assert_eq!(said(&config, &around("linux")), wanted, "{addresses}");
            assert_eq!(
                said(&config, &Surroundings::default()),
                [""; 0],
                "nothing known"
            );
        }
    }

    #[test]
    fn where_pods_have_other_addresses_than_nodes_say_nobody_is_warned() {
        let config = announced("10.244.1.128/28", &json!({}));
        for (pod, is_warned) in [
            ("10.244.1.5", true),
            // Calico's own, Cilium's own.
            ("192.168.17.4", false),
            ("10.0.2.9", false),
            // With its node's network.
            ("192.0.2.7", true),
            // Nodes say nothing of this family.
            ("fd00:1::5", true),
        ] {
            let mut around = around("linux");
            around.pod = Some(pod.parse().expect("an address"));
            let warned = !said(&config, &around).is_empty();
            assert_eq!(warned, is_warned, "{pod}");
        }
    }

    #[test]
    fn nodes_that_all_are_excluded_are_told_of() {
        let config = announced("192.0.2.16/28", &json!({}));
        let mut around = around(EXCLUDE_FROM_EXTERNAL_LOAD_BALANCERS);
        let told = said(&config, &around);
        assert!(
            told[0].starts_with("AllNodesExcluded: every node has the label"),
            "{told:?}"
        );
        around.nodes.insert("two".to_owned(), node("linux"));
        assert_eq!(said(&config, &around), [""; 0], "one is enough");
    }

    #[test]
    fn strict_arp_matters_where_layer_2_announces() {
        let ipvs = Surroundings {
            answers_for_others: true,
            ..Surroundings::default()
        };
        let told = said(&announced("192.0.2.16/28", &json!({})), &ipvs);
        assert!(told[0].starts_with("StrictARPOff: "), "{told:?}");
        assert_eq!(said(&Config::default(), &ipvs), [""; 0]);
    }

    #[test]
    fn an_advertisement_that_selects_no_node_is_told_of() {
        let selector = json!({ "nodeSelectors": [{ "matchLabels": { "rack": "a" } }] });
        let config = announced("192.0.2.16/28", &selector);
        assert_eq!(
            said(&config, &around("linux")),
            [
                "AdvertisementWithoutNode: L2Advertisement all: its nodeSelectors select no node: it \
              announces nothing"
            ]
        );
        assert_eq!(said(&config, &Surroundings::default()), [""; 0]);
    }
}
