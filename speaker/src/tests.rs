//! Speakers on a wire, all of them but the API server: what the watches would tell comes from the
//! test. Each node is a network namespace, and a bridge joins them with a client.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use metallb_kit::metrics::{ClientMetrics, Metrics};
use metallb_kit::ready::Ready;
use metallb_kit::shutdown::CancellationToken;
use metallb_membership::{Key, Own, Settings};
use metallb_netio::NetworkNamespace;
use serde_json::{Value, json};

use crate::apply::Apply;
use crate::brain::{Brain, News};
use crate::drain::Drain;
use crate::exclude::Exclude;
use crate::hold_down::HoldDown;
use crate::index::Index;
use crate::index::fixtures::{apply, service, slice, synced};
use crate::metrics::{AnnouncedMetric, HeartbeatMetrics, Layer2Metrics};
use crate::protocol::{self, HeartbeatSetup, Setup};
use crate::{decide, run};

/// What every test announces.
const IPS: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

/// A client, and nodes with the names `a`, `b`, `c`; `IPS` fall to `c` first, then to `a`.
struct Lan {
    bridge: NetworkNamespace,
    client: NetworkNamespace,
    speakers: Vec<Speaker>,
}

/// A speaker in a thread of its own.
struct Speaker {
    name: &'static str,
    namespace: Arc<NetworkNamespace>,
    shutdown: CancellationToken,
    metrics: Metrics,
    /// Gives the Events.
    thread: JoinHandle<Vec<String>>,
}

impl Lan {
    /// None, with the reason printed, where there are no rights to make one.
    fn of(nodes: &[&'static str]) -> Option<Self> {
        let mut lan = Self::wired()?;
        lan.start(nodes, &json!({}));
        Some(lan)
    }

    /// Without nodes.
    fn wired() -> Option<Self> {
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
    fn start(&mut self, nodes: &[&'static str], annotations: &Value) {
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
    fn answering(&self, address: &str, wait: u32) -> Option<String> {
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
    fn until_answered_by(&self, node: &str) -> Duration {
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
    fn cut(&self, node: &str) {
        self.bridge
            .run(|| ip(&format!("link set dev {node} down")))
            .unwrap();
    }

    /// Runs ip(8) on a node.
    fn on(&self, node: &str, arguments: &str) {
        let namespace = &self.speakers[self.place(node)].namespace;
        namespace.run(|| ip(arguments)).unwrap();
    }

    /// Waits until the metrics of a node have a line that begins like this.
    fn until_measured(&self, node: &str, line: &str) {
        let (metrics, start) = (&self.speakers[self.place(node)].metrics, Instant::now());
        while !metrics.text().contains(line) {
            let took = start.elapsed();
            assert!(took < Duration::from_secs(20), "no {line} from {node}");
            std::thread::yield_now();
        }
    }

    fn place(&self, node: &str) -> usize {
        let mut speakers = self.speakers.iter();
        speakers.position(|it| it.name == node).unwrap()
    }

    fn heal(&self, node: &str) {
        self.bridge
            .run(|| ip(&format!("link set dev {node} up")))
            .unwrap();
    }

    /// Stops a speaker as SIGTERM does; gives its metrics and Events.
    fn stop(&mut self, node: &str) -> (String, Vec<String>) {
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
fn plug(bridge: &NetworkNamespace, name: &str, v4: &str, v6: &str) -> NetworkNamespace {
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
fn plug_in(bridge: &NetworkNamespace, namespace: &NetworkNamespace, name: &str) {
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

fn node_address(at: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, 100 + u8::try_from(at).unwrap()])
}

/// Runs a speaker on the calling thread until it is shut down.
fn speak(
    name: &str,
    bind: SocketAddr,
    news: Vec<News>,
    metrics: &Metrics,
    shutdown: CancellationToken,
) -> Vec<String> {
    let own = Own {
        name: name.to_owned(),
        incarnation: 1,
        session: [name.as_bytes()[0]; 16],
        key: Key::derive(b"a secret"),
        state: Arc::default(),
    };
    let ready = Ready::new();
    let protocol = protocol::start(Setup {
        exclude: Exclude::default(),
        seed: 1,
        heartbeat: Some(HeartbeatSetup {
            own,
            settings: Settings::default(),
            secret: None,
            socket: UdpSocket::bind(bind).unwrap(),
            metrics: HeartbeatMetrics::new(metrics),
        }),
        layer2_metrics: Layer2Metrics::new(metrics),
        ready: ready.condition("sockets open"),
        shutdown,
    })
    .unwrap();
    let events = Rc::new(RefCell::new(Vec::new()));
    let published = Rc::clone(&events);
    let brain = Brain {
        index: Index::new(None, None),
        own: decide::Own {
            node: name.to_owned(),
            ignore_exclude_lb: false,
        },
        apply: Apply::new(
            name.to_owned(),
            protocol.commands,
            AnnouncedMetric::new(metrics, name),
            Box::new(move |_, _, reason, _| published.borrow_mut().push(reason.to_owned())),
            Box::new(|_, _| ()),
        ),
        unknown: run::unknown(true),
        synced: ready.condition("caches in sync"),
        speakers: protocol.speakers,
        ready: protocol.ready,
        hold_down: HoldDown::default(),
        drain: Drain::default(),
        metrics: ClientMetrics::register(metrics),
        reporter: None,
        reported: None,
    };
    let news = futures::stream::iter(news)
        .chain(futures::stream::pending())
        .boxed();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(brain.run(vec![news], protocol.observed));
    protocol.thread.join().unwrap();
    assert_eq!(ready.missing(), [""; 0], "it was ready before");
    events.take()
}

/// What the watches tell of a cluster with a Service that has `IPS`.
fn news(nodes: &[&'static str], annotations: &Value) -> Vec<News> {
    let endpoint = json!([{ "nodeName": nodes[0] }]);
    let mut news = vec![
        News::Pool(apply(json!({
            "metadata": {
                "namespace": "metallb-system", "name": "pool", "annotations": annotations,
            },
            "spec": { "addresses": ["192.0.2.1/32", "2001:db8::1/128"] },
        }))),
        News::L2Advertisement(apply(json!({
            "metadata": { "namespace": "metallb-system", "name": "all" }, "spec": {},
        }))),
        News::Service(apply(service("web", json!({}), &IPS))),
        News::Slice(apply(slice("web", endpoint))),
    ];
    for (at, node) in nodes.iter().enumerate() {
        news.push(News::Node(apply(json!({ "metadata": { "name": node } }))));
        news.push(News::Pod(apply(json!({
            "metadata": { "namespace": "metallb-system", "name": format!("speaker-{node}") },
            "spec": { "nodeName": node },
            "status": { "podIP": node_address(at), "phase": "Running" },
        }))));
    }
    news.extend(synced());
    news
}

fn ip(arguments: &str) {
    let heard = output(&format!("ip {arguments}"));
    assert_eq!(heard, "", "ip {arguments}");
}

fn output(command: &str) -> String {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap();
    let done = Command::new(program).args(words).output();
    let done =
        done.unwrap_or_else(|e| panic!("{program}: {e}; the packages arping and ndisc6 have them"));
    String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
}

#[test]
fn one_node_answers_and_tells_of_it() {
    let Some(mut lan) = Lan::of(&["a", "b", "c"]) else {
        return;
    };
    lan.until_answered_by("c");
    let (metrics, events) = lan.stop("b");
    assert_eq!(events, [""; 0]);
    assert!(
        !metrics.contains("metallb_layer2_responses_sent{"),
        "b never answered"
    );
    // The last one goes on to its end.
    lan.stop("a");
    let (metrics, events) = lan.stop("c");
    assert_eq!(events, ["nodeAssigned"]);
    for metric in [
        "metallb_layer2_requests_received{ip=\"192.0.2.1\"}",
        "metallb_layer2_responses_sent{ip=\"2001:db8::1\"}",
        "metallb_layer2_gratuitous_sent{ip=\"192.0.2.1\"}",
        "metallb_speaker_announced{ip=\"192.0.2.1\",node=\"c\",protocol=\"layer2\",service=\"default/web\"} 1",
        "metallb_k8s_client_config_loaded_bool 1",
        "metallb_k8s_client_config_stale_bool 0",
    ] {
        assert!(metrics.contains(metric), "{metric} is not in\n{metrics}");
    }
}

#[test]
fn another_node_takes_over_from_a_node_without_a_cable_and_gives_back() {
    let Some(lan) = Lan::of(&["a", "b", "c"]) else {
        return;
    };
    lan.until_answered_by("c");
    lan.cut("c");
    let took = lan.until_answered_by("a");
    println!("cut: both addresses answered from elsewhere after {took:?}");
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    lan.heal("c");
    let took = lan.until_answered_by("c");
    println!("heal: both addresses answered from where they were after {took:?}");
}

#[test]
fn rfc_4861_an_interface_that_goes_down_and_up_answers_in_its_groups_again() {
    let Some(lan) = Lan::of(&["a", "b", "c"]) else {
        return;
    };
    lan.until_answered_by("c");
    lan.on("c", "link set eth0 down");
    lan.until_answered_by("a");
    lan.on("c", "link set eth0 up");
    lan.until_answered_by("c");
}

#[test]
fn an_interface_that_gets_another_name_announces_under_it() {
    let Some(lan) = Lan::of(&["a"]) else { return };
    lan.until_answered_by("a");
    lan.on("a", "link set eth0 down");
    lan.on("a", "link set eth0 name lan0");
    lan.on("a", "link set lan0 up");
    lan.until_answered_by("a");
}

#[test]
fn an_interface_that_comes_later_announces_too() {
    let Some(lan) = Lan::of(&["a"]) else { return };
    lan.until_answered_by("a");
    // The one that was there goes for good; another, with another MAC, takes its place.
    lan.on("a", "link delete eth0");
    plug_in(&lan.bridge, &lan.speakers[0].namespace, "later");
    lan.until_answered_by("l");
}

#[test]
fn a_speaker_that_is_told_to_stop_hands_over_without_a_gap() {
    let Some(mut lan) = Lan::of(&["a", "b", "c"]) else {
        return;
    };
    lan.until_answered_by("c");
    let speaker = lan.speakers.pop().unwrap();
    let start = Instant::now();
    speaker.shutdown.cancel();
    let mut answers = BTreeSet::new();
    while !speaker.thread.is_finished() {
        answers.insert(lan.answering(IPS[0], 1000));
    }
    let took = start.elapsed();
    println!("stop: the speaker ended after {took:?}, meanwhile {answers:?} answered");
    assert!(!answers.contains(&None), "somebody always answers");
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    assert_eq!(lan.answering(IPS[0], 1000).as_deref(), Some("a"));
    speaker.thread.join().unwrap();
}

#[test]
fn of_two_that_do_not_hear_each_other_the_worse_one_yields() {
    let Some(lan) = Lan::of(&["a", "c"]) else {
        return;
    };
    lan.until_answered_by("c");
    // No heartbeat arrives; what is said to all on the wire does.
    for (node, other) in [("a", 1), ("c", 0)] {
        let other = node_address(other);
        lan.on(node, &format!("route add blackhole {other}/32"));
    }
    // So there are two for a moment.
    lan.until_measured("a", "metallb_layer2_gratuitous_sent{ip=\"192.0.2.1\"}");
    let start = Instant::now();
    let mut others = Instant::now();
    // Longer than the pause after which the worse one tries again for the first time.
    while others.elapsed() < Duration::from_secs(3) {
        let answering = lan.answering(IPS[0], 1000);
        if answering.as_deref() != Some("c") {
            others = Instant::now();
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(40), "at last {answering:?}");
    }
}

#[test]
fn a_stranger_with_the_address_is_told_of() {
    let Some(mut lan) = Lan::of(&["a"]) else {
        return;
    };
    lan.until_answered_by("a");
    let stranger = plug(&lan.bridge, "x", "192.0.2.50", "2001:db8::50");
    let says = "arping -U -c 7 -i eth0 -S 192.0.2.1 192.0.2.1";
    stranger.run(|| output(says)).unwrap();
    let (metrics, events) = lan.stop("a");
    assert_eq!(events, ["nodeAssigned", "addressConflict"]);
    let counted = "metallb_layer2_conflicts_total{ip=\"192.0.2.1\"} 7";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn rfc_5227_an_address_that_a_stranger_has_is_used_when_it_is_free() {
    let Some(mut lan) = Lan::wired() else { return };
    let stranger = plug(&lan.bridge, "x", IPS[0], IPS[1]);
    lan.start(&["a"], &json!({ "metallb.io/probe-before-use": "true" }));
    for ip in IPS {
        let heard = format!("metallb_layer2_conflicts_total{{ip=\"{ip}\"}}");
        lan.until_measured("a", &heard);
        assert_eq!(lan.answering(ip, 1000).as_deref(), Some("x"));
    }
    // The stranger is given other addresses.
    stranger.run(|| ip("address flush dev eth0")).unwrap();
    lan.until_answered_by("a");
    let (metrics, events) = lan.stop("a");
    let both = ["addressConflict"; 2];
    assert_eq!(events, [&both[..], &["nodeAssigned"]].concat());
    assert!(
        metrics.contains("metallb_layer2_gratuitous_sent"),
        "{metrics}"
    );
}

#[test]
fn rfc_5227_an_address_that_nobody_has_is_used_after_a_second() {
    let Some(mut lan) = Lan::wired() else { return };
    let start = Instant::now();
    lan.start(&["a"], &json!({ "metallb.io/probe-before-use": "true" }));
    lan.until_answered_by("a");
    assert!(
        start.elapsed() >= Duration::from_millis(900),
        "it was asked for"
    );
    let (_, events) = lan.stop("a");
    assert_eq!(events, ["nodeAssigned"]);
}
