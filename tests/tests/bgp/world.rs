//! A cluster with three routers beside it, a pool that is announced by BGP alone, and the words to
//! ask a router what it knows.

#![expect(
    clippy::needless_pass_by_value,
    reason = "`json!` reads better without a `&`"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::interop::Row;
use metallb_tests::routers::{Epoch, NODES_ASN, Nodes, router_asn};
use metallb_tests::{Cluster, Kubectl, Options, Place, Router, Terminal, eventually, product};
use serde_json::{Value, json};

/// A cluster on which the web Service has addresses of the routed pool.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) kubectl: Kubectl,
}

/// The sessions of all routers with the addresses of nodes.
pub(crate) type Sessions = BTreeMap<(Place, IpAddr), Epoch>;

/// The three routers, by the programs that they run.
pub(crate) const FRR: Place = Place::Router(1);
pub(crate) const BIRD: Place = Place::Router(2);
pub(crate) const GOBGP: Place = Place::Router(3);

/// All of them.
pub(crate) const ROUTERS: [Place; 3] = [FRR, BIRD, GOBGP];

impl World {
    pub(crate) fn up() -> Result<Self> {
        let image = std::env::var_os("METALLB_IMAGE").map(PathBuf::from);
        let image = image.context("METALLB_IMAGE names no image; `cargo xtask test` builds one")?;
        let options = Options {
            name: "routers".parse()?,
            routers: vec![Router::Frr, Router::Bird, Router::Gobgp],
            // Who ended FRR on which node.
            audit: true,
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
        world.peers(&ROUTERS, &Nodes::default(), |_| json!({}))?;
        world.apply(
            "IPAddressPool",
            "routed",
            json!({ "addresses": [V4_POOL, V6_POOL] }),
        )?;
        world.advertise(json!({ "ipAddressPools": ["routed"] }))?;
        Ok(world)
    }

    /// The routers that a line of the table of docs/bgp.md is shown on.
    pub(crate) fn routers_of(&self, row: &Row) -> Vec<Place> {
        let all = self.cluster.routers().into_iter();
        let shown = all.filter(|(_, router)| row.why_not(*router).is_none());
        shown.map(|(place, _)| place).collect()
    }

    /// Has routers expect this of the nodes, and their BGPPeers say it with these fields: all
    /// begin anew.
    pub(crate) fn agree(
        &self,
        routers: &[Place],
        nodes: &Nodes,
        fields: impl Fn(Place) -> Value,
    ) -> Result<()> {
        // Meanwhile nobody refuses anybody, which would have to be waited for.
        routers
            .iter()
            .try_for_each(|it| self.cluster.stop_router(*it))?;
        self.peers(routers, nodes, fields)?;
        routers
            .iter()
            .try_for_each(|it| self.cluster.start_router(*it, nodes))
    }

    /// Has routers keep the nodes' routes while a speaker is replaced.
    pub(crate) fn agree_on_restart(&self, routers: &[Place]) -> Result<()> {
        let nodes = Nodes {
            restart: true,
            ..Nodes::default()
        };
        self.agree(
            routers,
            &nodes,
            |_| json!({ "enableGracefulRestart": true }),
        )
    }

    /// Has all routers and BGPPeers be as they were in the beginning.
    pub(crate) fn as_ever(&self, routers: &[Place]) -> Result<()> {
        self.agree(routers, &Nodes::default(), |_| json!({}))?;
        self.all_know(routers, &told(""))
    }

    /// The BGPPeers of routers, made anew; fields that are null are left out.
    fn peers(
        &self,
        routers: &[Place],
        nodes: &Nodes,
        fields: impl Fn(Place) -> Value,
    ) -> Result<()> {
        let mut objects = Vec::new();
        for router in routers {
            let addresses = if nodes.far {
                families_behind(*router)
            } else {
                families(*router)
            };
            for (family, address) in addresses {
                let spec = peer_spec(&address, fields(*router))?;
                let object = object("BGPPeer", &peer_name(*router, family), spec);
                objects.push(object.to_string());
            }
        }
        let objects = objects.join("\n---\n");
        self.kubectl.delete(&objects)?;
        self.kubectl.apply(&objects)
    }

    /// Applies an object of the API group.
    pub(crate) fn apply(&self, kind: &str, name: &str, spec: Value) -> Result<()> {
        self.kubectl.apply(&object(kind, name, spec).to_string())
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

    /// A BGPPeer for a router at this address; fields of `more` win, and those that are null are
    /// left out.
    pub(crate) fn peer(&self, name: &str, address: &Address, more: Value) -> Result<()> {
        self.apply("BGPPeer", name, peer_spec(address, more)?)
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

    /// By which nodes a router knows an address itself, not a network that it is in.
    pub(crate) fn known(&self, router: Place, ip: IpAddr) -> Result<BTreeSet<IpAddr>> {
        let length = if ip.is_ipv4() { 32 } else { 128 };
        let rib = self.cluster.rib(router)?;
        let prefix = format!("{ip}/{length}");
        let paths = rib.paths(&prefix);
        Ok(paths.map(|it| it.next_hop).collect())
    }

    /// Waits until a router knows an address by way of exactly these nodes.
    pub(crate) fn known_by(&self, router: Place, ip: IpAddr, nodes: &[u8]) -> Result<()> {
        let expected: BTreeSet<_> = nodes.iter().map(|node| node_address(*node, ip)).collect();
        eventually(&format!("{router} knows {ip} by {nodes:?}"), SOON, || {
            let known = self.known(router, ip)?;
            let is_so = known == expected;
            Ok(is_so.then_some(()).ok_or_else(|| format!("{known:?}")))
        })
    }

    /// Waits until each of these routers, though not all at one time, has had exactly this table.
    pub(crate) fn all_know(&self, routers: &[Place], table: &str) -> Result<()> {
        let mut left = routers.to_vec();
        eventually(&format!("{routers:?} have had\n{table}"), SOON, || {
            let (mut still, mut seen) = (Vec::new(), Vec::new());
            for router in &left {
                let rib = self.cluster.rib(*router)?.to_string();
                if rib != table {
                    still.push(*router);
                    seen.push(format!("{router}:\n{rib}"));
                }
            }
            left = still;
            let had = left.is_empty().then_some(());
            Ok(had.ok_or_else(|| seen.concat()))
        })
    }

    /// The web Service's addresses, one of each family.
    pub(crate) fn addresses(&self) -> Result<Vec<IpAddr>> {
        product::assigned(&self.kubectl, "web", 2)
    }

    /// Tells the sessions that routers have with the nodes now from all that come after them.
    pub(crate) fn sessions(&self) -> Result<Sessions> {
        let mut epochs = BTreeMap::new();
        for router in ROUTERS {
            let sessions = self.cluster.neighbors(router)?.into_iter();
            epochs.extend(sessions.map(|(node, it)| ((router, node), it.epoch)));
        }
        ensure!(epochs.len() == 18, "not three nodes twice: {epochs:?}");
        Ok(epochs)
    }

    /// That no session has come up again since.
    pub(crate) fn same_sessions(&self, before: &Sessions) -> Result<()> {
        let mut anew = self.sessions()?;
        anew.retain(|session, now| !before.get(session).is_some_and(|it| it.is_same(*now)));
        ensure!(
            anew.is_empty(),
            "sessions came up again: {anew:?}, before: {before:?}"
        );
        Ok(())
    }

    /// Replaces the speakers, one after the other, and looks all the while.
    pub(crate) fn replace_speakers(&self, mut look: impl FnMut() -> Result<()>) -> Result<()> {
        let rollout = |arguments: &[&str]| {
            let rollout = ["-n", product::NAMESPACE, "rollout"];
            self.kubectl.output(&[&rollout, arguments].concat())
        };
        rollout(&["restart", "daemonset/speaker"])?;
        let until = Instant::now() + Duration::from_mins(1);
        while rollout(&["status", "daemonset/speaker", "--timeout=1s"]).is_err() {
            ensure!(Instant::now() < until, "the speakers are not replaced");
            (0..5).try_for_each(|_| look())?;
        }
        Ok(())
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
            self.kubectl
                .output(&["-n", product::NAMESPACE, "describe", "bgppeers"]),
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
    by_family(router, router.address())
}

/// Those behind another router.
pub(crate) fn families_behind(router: Place) -> [(&'static str, Address); 2] {
    by_family(router, router.address_behind())
}

fn by_family(router: Place, address: metallb_tests::Address) -> [(&'static str, Address); 2] {
    let Place::Router(router) = router else {
        unreachable!("it is a router");
    };
    let ips = [
        ("v4", IpAddr::V4(address.v4)),
        ("v6", IpAddr::V6(address.v6)),
    ];
    ips.map(|(family, ip)| (family, Address { router, ip }))
}

pub(crate) fn peer_name(router: Place, family: &str) -> String {
    format!("{router}-{family}")
}

/// The table of a router that was told of the web Service by all nodes, with this said of it.
pub(crate) fn told(attributes: &str) -> String {
    table(&format!(", from {NODES_ASN}{attributes}"))
}

/// The same from anywhere.
pub(crate) fn table(attributes: &str) -> String {
    format!(
        "198.51.100.0/32 via {V4_NODES}{attributes}
2001:db8:f::/128 via 2001:db8::11 2001:db8::12 2001:db8::13{attributes}
"
    )
}

/// The IPv4 addresses of the nodes, as next hops.
pub(crate) const V4_NODES: &str = "192.0.2.11 192.0.2.12 192.0.2.13";

/// The same, without n3.
pub(crate) const TOLD_WITHOUT_N3: &str = "\
198.51.100.0/32 via 192.0.2.11 192.0.2.12, from 64500
2001:db8:f::/128 via 2001:db8::11 2001:db8::12, from 64500
";

/// A node's address of the same family.
fn node_address(node: u8, like: IpAddr) -> IpAddr {
    let address = Place::Node(node).address();
    match like {
        IpAddr::V4(_) => address.v4.into(),
        IpAddr::V6(_) => address.v6.into(),
    }
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": format!("metallb.io/{}", product::newest_version(kind)), "kind": kind,
        "metadata": { "name": name, "namespace": product::NAMESPACE }, "spec": spec,
    })
}

fn peer_spec(address: &Address, more: Value) -> Result<Value> {
    let mut spec = json!({
        "myASN": NODES_ASN, "peerASN": router_asn(address.router),
        "peerAddress": address.ip.to_string(),
        "holdTime": "9s", "keepaliveTime": "3s", "connectTime": "1s",
    });
    let fields = spec.as_object_mut().context("an object")?;
    fields.extend(more.as_object().cloned().unwrap_or_default());
    fields.retain(|_, value| !value.is_null());
    Ok(spec)
}

const V4_POOL: &str = "198.51.100.0/28";
const V6_POOL: &str = "2001:db8:f::/124";
/// Long enough for anything that is decided by a watch, also on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);
