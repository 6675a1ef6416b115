//! One speaker, all of it but the API server: what the watches would tell is told at once.

use std::cell::RefCell;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;

use futures::StreamExt as _;
use metallb_kit::metrics::{ClientMetrics, Metrics};
use metallb_kit::ready::Ready;
use metallb_kit::shutdown::CancellationToken;
use metallb_membership::{Key, Own, Settings};
use serde_json::{Value, json};

use super::lan::{IPS, node_address};
use crate::apply::Apply;
use crate::bgp::{Backend, BgpMetrics, Routers};
use crate::brain::{Brain, News};
use crate::drain::Drain;
use crate::exclude::Exclude;
use crate::hold_down::HoldDown;
use crate::index::Index;
use crate::index::fixtures::{apply, service, slice, synced};
use crate::metrics::{AnnouncedMetric, HeartbeatMetrics, Layer2Metrics};
use crate::protocol::{self, HeartbeatSetup, Setup};
use crate::statuses::Statuses;
use crate::{decide, run};

/// Runs a speaker on the calling thread until it is shut down.
pub(super) fn speak(
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
        bgp_metrics: BgpMetrics::new(metrics, Backend::Native, "metallb"),
        bgp_sockets: Vec::new(),
        sessions: tokio::sync::watch::channel(String::new()).0,
        session_states: Statuses::unheard(),
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
        routers: Routers::unheard(name, AnnouncedMetric::new(&Metrics::new(), name)),
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
pub(super) fn news(nodes: &[&'static str], annotations: &Value) -> Vec<News> {
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
