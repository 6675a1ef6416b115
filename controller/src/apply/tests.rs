//! Writes against an API server that answers as it is told.

use std::io;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::client::Body;
use metallb_config::{Objects, parse};
use metallb_ipam::{Allocator, Families, Request as Wanted};
use metallb_kit::metrics::{ClientMetrics, Metrics};
use serde_json::{Value, json};

use super::*;
use crate::condition::AddressAssigned;
use crate::decide::Addresses;
use crate::service::Service;
use crate::watched::WatchedService;

/// What the API server was asked: the method and, for a PUT, the body.
type Asked = Arc<Mutex<Vec<(Method, Value)>>>;

/// An API server with one Service, of version `has`, that answers PUTs of version 5 with `code`,
/// of others with 409. With code 0 it resets the connection; without a code it does not answer
/// those of the Service `slow`.
fn server(has: Option<&str>, code: Option<u16>) -> (Client, Asked) {
    let asked = Asked::default();
    let (seen, has) = (asked.clone(), has.map(str::to_owned));
    let api = tower::service_fn(move |request: Request<Body>| {
        let (has, seen) = (has.clone(), seen.clone());
        async move {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let body = request.into_body().collect_bytes().await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            seen.lock().unwrap().push((method.clone(), body.clone()));
            let mut code = match code {
                Some(code) => code,
                None if path.contains("/slow/") => std::future::pending().await,
                None => 200,
            };
            if code == 0 && method == Method::PUT {
                return Err(io::Error::from(io::ErrorKind::ConnectionReset));
            }
            let is_current = has.as_deref() == body["metadata"]["resourceVersion"].as_str();
            let answer = match (method, has) {
                (Method::GET, Some(has)) => {
                    code = 200;
                    service("web", &has)
                }
                (Method::GET, None) => {
                    code = 404;
                    status(404)
                }
                _ if code == 200 && is_current => {
                    assert!(path.ends_with("/status"));
                    body
                }
                _ => {
                    code = if is_current { code } else { 409 };
                    status(code)
                }
            };
            let body = Body::from(answer.to_string().into_bytes());
            let response = Response::builder().status(code).body(body);
            Ok(response.unwrap())
        }
    });
    (Client::new(api, "default"), asked)
}

fn status(code: u16) -> Value {
    json!({ "kind": "Status", "code": code, "status": "Failure", "message": "", "reason": "" })
}

fn service(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "namespace": "ns", "name": name, "uid": "u", "resourceVersion": version,
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": { "app": "web" },
            "finalizers": ["mine/too"],
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "q" }],
            "annotations": { "metallb.universe.tf/ip-allocated-from-pool": "old", "mine": "stays" },
        },
        "spec": { "type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "fieldOfTheFuture": [1] },
        "status": {
            "loadBalancer": {},
            "conditions": [{ "type": "Someone else's" }],
            "fieldOfTheFuture": { "a": 1 },
        },
    })
}

/// A write of one address of each family to the Service as it was at version 5.
fn write(name: &str) -> Write {
    let pool = crate::fixtures::pool("pool", &["192.0.2.0/24", "2001:db8::/64"]);
    let config = parse(&Objects {
        pools: &[pool],
        ..Objects::default()
    })
    .config;
    let mut allocator = Allocator::default();
    allocator.set_pools(&config);
    let watched: WatchedService = serde_json::from_value(service(name, "5")).unwrap();
    let service = Service::read(&watched, "").unwrap();
    let request = Wanted::new(&service.key, 0, Families::Both);
    let assignment = allocator.allocate(&request).unwrap();
    Write {
        condition: Some(AddressAssigned::yes("here".to_owned())),
        ..Write::to(&service, Addresses::Set(assignment))
    }
}

fn methods(asked: &Asked) -> String {
    let asked = asked.lock().unwrap();
    let methods: Vec<_> = asked.iter().map(|(method, _)| method.as_str()).collect();
    methods.join(" ")
}

fn apply(client: Client) -> Apply {
    let events = Events::start(client.clone(), "metallb-controller", None);
    let metrics = Metrics::new();
    let latencies = Latencies::register(&metrics, &ClientMetrics::register(&metrics));
    Apply::new(client, events, latencies)
}

#[tokio::test]
async fn one_put_and_no_get_with_all_that_was_there() {
    let (client, asked) = server(Some("5"), Some(200));
    let attempt = put(&client, &write("web"), false).await;
    assert_eq!(methods(&asked), "PUT");
    let put = asked.lock().unwrap().remove(0).1;
    let before = service("web", "5");
    assert_eq!(
        put["status"]["loadBalancer"],
        json!({ "ingress": [{ "ip": "192.0.2.0" }, { "ip": "2001:db8::" }] })
    );
    for field in [
        "resourceVersion",
        "uid",
        "labels",
        "finalizers",
        "ownerReferences",
    ] {
        assert_eq!(put["metadata"][field], before["metadata"][field], "{field}");
    }
    assert_eq!(
        put["metadata"]["annotations"],
        json!({ "metallb.io/ip-allocated-from-pool": "pool", "mine": "stays" })
    );
    let status = &before["status"];
    assert_eq!(put["status"]["conditions"][0], status["conditions"][0]);
    assert_eq!(put["status"]["conditions"][1]["status"], "True");
    let time = put["status"]["conditions"][1]["lastTransitionTime"].as_str();
    assert!(
        time.is_some_and(|time| time.len() == "2026-01-01T00:00:00Z".len()),
        "{time:?}"
    );
    assert_eq!(
        put["status"]["fieldOfTheFuture"],
        status["fieldOfTheFuture"]
    );
    // Without it the API server refuses an address: "ipMode: Required value".
    assert_eq!(put["spec"], json!({ "type": "LoadBalancer" }));
    let Attempt::Written(answer) = attempt else {
        panic!("{attempt:?}")
    };
    assert_eq!(answer.status.load_balancer.ingress[0].ip, "192.0.2.0");
}

#[tokio::test]
async fn what_is_not_at_hand_is_read_and_put_whole() {
    for (failed_before, at_hand) in [(true, true), (false, false)] {
        let (client, asked) = server(Some("5"), Some(200));
        let mut write = write("web");
        if !at_hand {
            write.material = None;
        }
        let attempt = put(&client, &write, failed_before).await;
        assert!(matches!(attempt, Attempt::Written(_)), "{attempt:?}");
        assert_eq!(methods(&asked), "GET PUT");
        let put = asked.lock().unwrap().remove(1).1;
        assert_eq!(put["spec"], service("web", "5")["spec"]);
        assert_eq!(put["metadata"]["annotations"]["mine"], "stays");
    }
}

#[tokio::test]
async fn what_changed_meanwhile_is_not_written_and_is_read() {
    for (has, failed_before, asked_for, version) in [
        (Some("6"), false, "PUT GET", Some("6")),
        (Some("6"), true, "GET", Some("6")),
        (None, false, "PUT GET", None),
        (None, true, "GET", None),
    ] {
        let (client, asked) = server(has, Some(200));
        let attempt = put(&client, &write("web"), failed_before).await;
        assert_eq!(methods(&asked), asked_for);
        match (attempt, version) {
            (Attempt::Stale(Some(service)), Some(version)) => {
                assert_eq!(service.metadata.resource_version.as_deref(), Some(version));
            }
            (Attempt::Gone, None) => {}
            (attempt, _) => panic!("{has:?}: {attempt:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_tried_again_after_growing_pauses() {
    for code in [0, 403, 410, 422, 429, 500, 503] {
        let (client, asked) = server(Some("5"), Some(code));
        let mut apply = apply(client);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let effect = Effect::Write(write("web"));
            apply.perform(vec![effect], |_| Instant::now());
            let (_, outcome) = apply.next().await;
            assert!(matches!(outcome, Outcome::Delayed), "{code}: {outcome:?}");
            let failed = tokio::time::Instant::now();
            let (key, outcome) = apply.next().await;
            assert!(matches!(outcome, Outcome::Retry), "{code}: {outcome:?}");
            assert_eq!(key.name(), "web");
            pauses.push(failed.elapsed().as_secs_f64());
        }
        for (n, pause) in pauses.iter().enumerate() {
            let least = 0.2 * f64::from(1 << n.min(6));
            assert!(
                (least..least * 1.51 + 0.01).contains(pause),
                "{code}: {pauses:?}"
            );
        }
        assert!(
            methods(&asked).starts_with("PUT GET PUT GET PUT"),
            "{}",
            methods(&asked)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn services_that_hang_or_fail_delay_no_other() {
    let (client, _) = server(Some("5"), None);
    let mut apply = apply(client);
    let started = tokio::time::Instant::now();
    let hang = (0..3 * AT_ONCE).map(|_| Effect::Write(write("slow")));
    let mut effects: Vec<_> = hang.collect();
    effects.push(Effect::Write(write("web")));
    apply.perform(effects, |_| Instant::now());
    let mut delayed = 0;
    loop {
        match apply.next().await {
            (key, Outcome::Written(_)) => {
                assert_eq!(key.name(), "web");
                break;
            }
            (key, Outcome::Delayed) => {
                assert_eq!(key.name(), "slow");
                delayed += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(delayed, 3 * AT_ONCE);
    assert!(started.elapsed() < SLOW * 4, "{:?}", started.elapsed());
    // In the end they are given up and tried again.
    let mut outcomes = Vec::new();
    for _ in 0..delayed {
        outcomes.push(apply.next().await.1);
    }
    assert!(
        outcomes
            .iter()
            .all(|it| matches!(it, Outcome::Delayed | Outcome::Retry))
    );
}
