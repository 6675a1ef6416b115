//! The wire: nodes and a client on a bridge, each in a network namespace.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use metallb_kit::metrics::Metrics;
use metallb_kit::shutdown::CancellationToken;
use metallb_netio::NetworkNamespace;
use serde_json::{Value, json};

use super::speaker::{news, speak};

/// What every test announces.
pub(super) const IPS: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

/// A client, and nodes with the names `a`, `b`, `c`; `IPS` fall to `c` first, then to `a`.
pub(super) struct Lan {
    pub(super) bridge: NetworkNamespace,
    client: NetworkNamespace,
    pub(super) speakers: Vec<Speaker>,
}

/// A speaker in a thread of its own.
pub(super) struct Speaker {
    name: &'static str,
    pub(super) namespace: Arc<NetworkNamespace>,
    pub(super) shutdown: CancellationToken,
    metrics: Metrics,
    /// Gives the Events.
    pub(super) thread: JoinHandle<Vec<String>>,
}

impl Lan {
    /// None, with the reason printed, where there are no rights to make one.
    pub(super) fn of(nodes: &[&'static str]) -> Option<Self> {
        let mut lan = Self::wired()?;
        lan.start(nodes, &json!({}));
        Some(lan)
    }

    /// Without nodes.
    pub(super) fn wired() -> Option<Self> {
        let bridge = match NetworkNamespace::create() {
            Ok(namespace) => namespace,
            Err(error) => {
                eprintln!("skipped: cannot make a network namespace: {error}; run it as root");
                return None;
            }
        };
        bridge.run(|| ip("link add lan type bridge")).unwrap();
        bridge.run(|| ip("link set lan up")).unwrap();
        Some(Self {
            client: plug(&bridge, "user", "192.0.2.200", "2001:db8::200"),
            bridge,
            speakers: Vec::new(),
        })
    }

    /// Plugs in nodes and starts their speakers; the pool has these annotations.
    pub(super) fn start(&mut self, nodes: &[&'static str], annotations: &Value) {
        let plugged = nodes.iter().enumerate().map(|(at, &name)| {
            let (v4, v6) = (node_address(at).to_string(), format!("2001:db8::{at}a"));
            Arc::new(plug(&self.bridge, name, &v4, &v6))
        });
        // All are there before the first speaks, so that none believes that it is alone.
        let plugged: Vec<_> = plugged.collect();
        for (at, (&name, namespace)) in nodes.iter().zip(plugged).enumerate() {
            let address = node_address(at);
            let node = Arc::clone(&namespace);
            let news = news(nodes, annotations);
            let shutdown = CancellationToken::new();
            let token = shutdown.clone();
            let metrics = Metrics::new();
            let own = metrics.clone();
            let thread = std::thread::spawn(move || {
                let bind = SocketAddr::new(address, 7946);
                node.run(|| speak(name, bind, news, &own, token)).unwrap()
            });
            self.speakers.push(Speaker {
                name,
                namespace,
                shutdown,
                metrics,
                thread,
            });
        }
    }

    /// The node that answers the client for the address first, within so many milliseconds.
    pub(super) fn answering(&self, address: &str, wait: u32) -> Option<String> {
        let asked = if address.contains(':') {
            format!("ndisc6 -q -r 1 -w {wait} {address} eth0")
        } else {
            format!(
                "arping -r -C 1 -w {} -i eth0 {address}",
                f64::from(wait) / 1000.0
            )
        };
        let heard = self.client.run(|| output(&asked)).unwrap().to_lowercase();
        let node = heard.lines().next()?.strip_prefix("02:00:00:00:00:")?;
        let byte = u8::from_str_radix(node, 16).ok()?;
        Some(char::from(byte).to_string())
    }

    /// Waits until the node answers for all addresses; says how long that took.
    pub(super) fn until_answered_by(&self, node: &str) -> Duration {
        let start = Instant::now();
        while IPS
            .iter()
            .any(|address| self.answering(address, 100).as_deref() != Some(node))
        {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{node} never answered"
            );
        }
        start.elapsed()
    }

    /// Pulls the cable of a node.
    pub(super) fn cut(&self, node: &str) {
        self.bridge
            .run(|| ip(&format!("link set dev {node} down")))
            .unwrap();
    }

    /// Runs ip(8) on a node.
    pub(super) fn on(&self, node: &str, arguments: &str) {
        let namespace = &self.speakers[self.place(node)].namespace;
        namespace.run(|| ip(arguments)).unwrap();
    }

    /// Waits until the metrics of a node have a line that begins like this.
    pub(super) fn until_measured(&self, node: &str, line: &str) {
        let (metrics, start) = (&self.speakers[self.place(node)].metrics, Instant::now());
        while !metrics.text().contains(line) {
            let took = start.elapsed();
            assert!(took < Duration::from_secs(20), "no {line} from {node}");
            std::thread::yield_now();
        }
    }

    pub(super) fn place(&self, node: &str) -> usize {
        let mut speakers = self.speakers.iter();
        speakers.position(|it| it.name == node).unwrap()
    }

    pub(super) fn heal(&self, node: &str) {
        self.bridge
            .run(|| ip(&format!("link set dev {node} up")))
            .unwrap();
    }

    /// Stops a speaker as SIGTERM does; gives its metrics and Events.
    pub(super) fn stop(&mut self, node: &str) -> (String, Vec<String>) {
        let speaker = self.speakers.remove(self.place(node));
        speaker.shutdown.cancel();
        let events = speaker.thread.join().unwrap();
        (speaker.metrics.text(), events)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for speaker in &self.speakers {
            speaker.shutdown.cancel();
        }
    }
}

/// A namespace with `eth0` on the bridge and addresses.
pub(super) fn plug(bridge: &NetworkNamespace, name: &str, v4: &str, v6: &str) -> NetworkNamespace {
    let namespace = NetworkNamespace::create().unwrap();
    plug_in(bridge, &namespace, name);
    let address = || {
        ip(&format!("address add {v4}/24 dev eth0"));
        ip(&format!("address add {v6}/64 dev eth0 nodad"));
    };
    namespace.run(address).unwrap();
    namespace
}

/// Gives the namespace an `eth0` on the bridge, whose MAC ends in the name's first letter.
pub(super) fn plug_in(bridge: &NetworkNamespace, namespace: &NetworkNamespace, name: &str) {
    let path = namespace.path().display().to_string();
    let letter = name.as_bytes()[0];
    let connect = || {
        ip(&format!(
            "link add name {name} type veth peer name eth0 address 02:00:00:00:00:{letter:02x} \
             netns {path}"
        ));
        ip(&format!("link set dev {name} master lan"));
        ip(&format!("link set dev {name} up"));
    };
    bridge.run(connect).unwrap();
    let start = || {
        // Without the check for duplicates, the link-local address can be used at once.
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/accept_dad", "0").unwrap();
        ip("link set eth0 up");
    };
    namespace.run(start).unwrap();
}

pub(super) fn node_address(at: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, 100 + u8::try_from(at).unwrap()])
}

pub(super) fn ip(arguments: &str) {
    let heard = output(&format!("ip {arguments}"));
    assert_eq!(heard, "", "ip {arguments}");
}

pub(super) fn output(command: &str) -> String {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap();
    let done = Command::new(program).args(words).output();
    let done =
        done.unwrap_or_else(|e| panic!("{program}: {e}; the packages arping and ndisc6 have them"));
    String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
}
