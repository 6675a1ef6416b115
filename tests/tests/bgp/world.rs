//! A cluster with three routers beside it, a pool that is announced by BGP alone, and the words to
//! ask a router what it knows.

#![expect(
    clippy::needless_pass_by_value,
    reason = "`json!` reads better without a `&`"
)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use metallb_tests::routers::{NODES_ASN, router_asn};
use metallb_tests::{Cluster, Kubectl, Options, Place, Router, Terminal, eventually, product};
use serde_json::{Value, json};

/// A cluster on which the web Service has addresses of the routed pool.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) kubectl: Kubectl,
}

/// The three routers, by the programs that they run.
pub(crate) const FRR: Place = Place::Router(1);
pub(crate) const BIRD: Place = Place::Router(2);
pub(crate) const GOBGP: Place = Place::Router(3);

/// A route as a router has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Where it leads.
    pub(crate) next_hops: BTreeSet<IpAddr>,
    /// As the router shows them, all in one.
    pub(crate) text: String,
}

impl World {
    pub(crate) fn up() -> Result<Self> {
        let image = std::env::var_os("METALLB_IMAGE").map(PathBuf::from);
        let image = image.context("METALLB_IMAGE names no image; `cargo xtask test` builds one")?;
        let options = Options {
            name: "routers".parse()?,
            routers: vec![Router::Frr, Router::Bird, Router::Gobgp],
            ..Options::default()
        };
        Cluster::down(&options.name)?;
        let cluster = Cluster::up(&options, &mut Terminal::start())?;
        let world = Self {
            kubectl: cluster.admin(),
            cluster,
        };
        world.cluster.load(&image)?;
        product::install_operator(&world.kubectl, product::IMAGE)?;
        let metallb = product::demo_object("metallb")?;
        let metallb = format!("{metallb}spec:\n  bgpBackend: frr\n");
        world.kubectl.apply(&metallb)?;
        world.kubectl.apply(&product::demo_object("web")?)?;
        product::available(&world.kubectl)?;
        product::rolled_out(&world.kubectl, "default", "deployment/web")?;
        for router in [FRR, BIRD, GOBGP] {
            for (family, address) in families(router) {
                world.peer(&peer_name(router, family), &address, json!({}))?;
            }
        }
        world.apply(
            "IPAddressPool",
            "routed",
            json!({ "addresses": [V4_POOL, V6_POOL] }),
        )?;
        world.advertise(json!({ "ipAddressPools": ["routed"] }))?;
        Ok(world)
    }

    /// Applies an object of the API group.
    pub(crate) fn apply(&self, kind: &str, name: &str, spec: Value) -> Result<()> {
        let version = product::newest_version(kind);
        let object = json!({
            "apiVersion": format!("metallb.io/{version}"), "kind": kind,
            "metadata": { "name": name, "namespace": product::NAMESPACE }, "spec": spec,
        });
        self.kubectl.apply(&object.to_string())
    }

    /// The one advertisement of the routed pool.
    pub(crate) fn advertise(&self, spec: Value) -> Result<()> {
        self.apply("BGPAdvertisement", "routed", spec)
    }

    /// A line of FRR's configuration of BGP.
    pub(crate) fn frr(&self, line: &str) -> Result<()> {
        let bgp = format!("router bgp {}", router_asn(1));
        self.cluster.configure_router(FRR, &[&bgp, line])
    }

    /// Removes an object of the API group.
    pub(crate) fn remove(&self, kind: &str, name: &str) -> Result<()> {
        let arguments = ["-n", product::NAMESPACE, "delete", kind, name];
        self.kubectl.output(&arguments).map(drop)
    }

    /// A BGPPeer for a router at this address; fields of `more` win.
    pub(crate) fn peer(&self, name: &str, address: &Address, more: Value) -> Result<()> {
        let mut spec = json!({
            "myASN": NODES_ASN, "peerASN": router_asn(address.router),
            "peerAddress": address.ip.to_string(),
            "holdTime": "9s", "keepaliveTime": "3s", "connectTime": "1s",
        });
        let fields = more.as_object().cloned().unwrap_or_default();
        spec.as_object_mut().context("an object")?.extend(fields);
        self.apply("BGPPeer", name, spec)
    }

    /// The BGPPeer `r1-v4` without a field that it has otherwise.
    pub(crate) fn peer_without(&self, address: &Address, field: &str, more: Value) -> Result<()> {
        let mut spec = json!({
            "myASN": NODES_ASN, "peerASN": router_asn(address.router),
            "peerAddress": address.ip.to_string(),
        });
        let fields = spec.as_object_mut().context("an object")?;
        fields.remove(field);
        fields.extend(more.as_object().cloned().unwrap_or_default());
        self.apply("BGPPeer", "r1-v4", spec)
    }

    /// A Service in front of the web pods, with addresses of the routed pool.
    pub(crate) fn service(&self, name: &str, more: Value) -> Result<()> {
        let mut spec = json!({
            "type": "LoadBalancer", "selector": { "app": "web" }, "ipFamilyPolicy": "PreferDualStack",
            "ports": [{ "port": 80, "targetPort": "http", "protocol": "TCP" }],
        });
        let fields = more.as_object().cloned().unwrap_or_default();
        spec.as_object_mut().context("an object")?.extend(fields);
        let object = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": name, "namespace": "default" }, "spec": spec,
        });
        self.kubectl.apply(&object.to_string())
    }

    /// What a router knows of an address; nothing if it has no route for exactly that.
    pub(crate) fn known(&self, router: Place, ip: IpAddr) -> Result<Known> {
        let prefix = match ip {
            IpAddr::V4(_) => format!("{ip}/32"),
            IpAddr::V6(_) => format!("{ip}/128"),
        };
        let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
        match router {
            FRR => {
                let question = format!("show bgp {family} unicast {prefix} json");
                let text = self.cluster.ask_router(router, &question)?;
                Ok(of_frr(&text))
            }
            BIRD => {
                let text = self
                    .cluster
                    .ask_router(router, &format!("show route for {prefix} all"))
                    .unwrap_or_default();
                Ok(of_bird(&text, &prefix))
            }
            _ => {
                let question = format!("global rib -a {family} {prefix}");
                let text = self.cluster.ask_router(router, &question);
                Ok(of_gobgp(&text.unwrap_or_default()))
            }
        }
    }

    /// Waits until a router knows an address by way of exactly these nodes.
    pub(crate) fn known_by(&self, router: Place, ip: IpAddr, nodes: &[u8]) -> Result<Known> {
        let expected: BTreeSet<_> = nodes.iter().map(|node| node_address(*node, ip)).collect();
        eventually(&format!("{router} knows {ip} by {nodes:?}"), SOON, || {
            let known = self.known(router, ip)?;
            Ok(if known.next_hops == expected {
                Ok(known)
            } else {
                Err(format!("{known:?}"))
            })
        })
    }

    /// The web Service's addresses, one of each family.
    pub(crate) fn addresses(&self) -> Result<Vec<IpAddr>> {
        product::assigned(&self.kubectl, "web", 2)
    }

    /// How often FRR has had a session with each node come up, by address.
    pub(crate) fn established(&self) -> Result<Vec<(String, u64)>> {
        let text = self.cluster.ask_router(FRR, "show bgp neighbors json")?;
        let all: Value = serde_json::from_str(&text)?;
        let all = all.as_object().context("an object by neighbour")?;
        let count = |it: &Value| it["connectionsEstablished"].as_u64().unwrap_or_default();
        Ok(all.iter().map(|(ip, it)| (ip.clone(), count(it))).collect())
    }

    /// Waits for an Event about a BGPPeer with these words in its message.
    pub(crate) fn event(&self, peer: &str, reason: &str, words: &str) -> Result<()> {
        let field =
            format!("--field-selector=involvedObject.kind=BGPPeer,involvedObject.name={peer}");
        eventually(
            &format!("an Event {reason} on BGPPeer {peer}"),
            SOON,
            || {
                let arguments = ["-n", product::NAMESPACE, "get", "events", &*field];
                let events = self.kubectl.json(&arguments)?;
                let all = events["items"].as_array().cloned().unwrap_or_default();
                let said: Vec<_> = all
                    .iter()
                    .map(|it| format!("{}: {}", it["reason"], it["message"]))
                    .collect();
                let is_it = |it: &String| it.contains(reason) && it.contains(words);
                Ok(match said.iter().find(|it| is_it(it)) {
                    Some(it) => {
                        println!("  {it}");
                        Ok(())
                    }
                    None => Err(format!("{said:?}, wanted {words:?}")),
                })
            },
        )
    }

    pub(crate) fn print_what_happened(&self) {
        let speakers = [
            "-n",
            product::NAMESPACE,
            "logs",
            "-l",
            "component=speaker",
            "--tail=60",
        ];
        for told in [
            self.kubectl.output(&speakers),
            self.cluster.show_router(FRR),
            self.cluster.show_router(BIRD),
            self.cluster.show_router(GOBGP),
        ] {
            match told {
                Ok(text) => println!("{text}"),
                Err(error) => println!("{error:#}"),
            }
        }
    }
}

/// Where a router is.
pub(crate) struct Address {
    pub(crate) router: u8,
    pub(crate) ip: IpAddr,
}

/// A router's addresses, by family.
pub(crate) fn families(router: Place) -> [(&'static str, Address); 2] {
    let Place::Router(number) = router else {
        unreachable!("it is a router");
    };
    let address = router.address();
    [
        ("v4", IpAddr::V4(address.v4)),
        ("v6", IpAddr::V6(address.v6)),
    ]
    .map(|(family, ip)| {
        let router = number;
        (family, Address { router, ip })
    })
}

pub(crate) fn peer_name(router: Place, family: &str) -> String {
    format!("{router}-{family}")
}

/// A node's address of the same family.
fn node_address(node: u8, like: IpAddr) -> IpAddr {
    let address = Place::Node(node).address();
    match like {
        IpAddr::V4(_) => address.v4.into(),
        IpAddr::V6(_) => address.v6.into(),
    }
}

fn of_frr(text: &str) -> Known {
    let Ok(all) = serde_json::from_str::<Value>(text) else {
        return Known::default();
    };
    let paths = all["paths"].as_array().cloned().unwrap_or_default();
    let hops = paths.iter().flat_map(|path| {
        let hops = path["nexthops"].as_array().cloned().unwrap_or_default();
        let hops = hops.into_iter().filter(|it| it["scope"] != "link-local");
        hops.filter_map(|it| it["ip"].as_str()?.parse().ok())
            .collect::<Vec<_>>()
    });
    Known {
        next_hops: hops.collect(),
        text: Value::Array(paths).to_string(),
    }
}

fn of_bird(text: &str, prefix: &str) -> Known {
    if !text.contains(prefix) {
        return Known::default();
    }
    let hops = text.lines().filter_map(|line| {
        let hop = line.trim().strip_prefix("BGP.next_hop: ")?;
        hop.split_whitespace().next()?.parse().ok()
    });
    Known {
        next_hops: hops.collect(),
        text: text.to_owned(),
    }
}

fn of_gobgp(text: &str) -> Known {
    let Ok(all) = serde_json::from_str::<Value>(text) else {
        return Known::default();
    };
    // By prefix, or the paths alone.
    let paths: Vec<_> = match &all {
        Value::Object(by_prefix) => by_prefix
            .values()
            .filter_map(Value::as_array)
            .flatten()
            .collect(),
        Value::Array(paths) => paths.iter().collect(),
        _ => Vec::new(),
    };
    let hops = paths.iter().flat_map(|path| {
        let attributes = path["attrs"].as_array().cloned().unwrap_or_default();
        attributes
            .into_iter()
            .filter_map(|it| it["nexthop"].as_str()?.parse().ok())
    });
    Known {
        next_hops: hops.collect(),
        text: text.to_owned(),
    }
}

const V4_POOL: &str = "198.51.100.0/28";
const V6_POOL: &str = "2001:db8:f::/124";
/// Long enough for anything that is decided by a watch, also on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);
