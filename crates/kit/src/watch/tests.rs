//! What a reader is told, whatever server is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::Service as CoreService;
use kube::api::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::mock;

/// A Service of which only the type is read: what a program's own compact type looks like.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Resource)]
#[resource(inherit = CoreService)]
struct Compact {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: CompactSpec,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct CompactSpec {
    #[serde(rename = "type")]
    type_: String,
}

fn compact(name: &str) -> Compact {
    let mut object = Compact::default();
    object.metadata.namespace = Some("ns".to_owned());
    object.metadata.name = Some(name.to_owned());
    object.metadata.managed_fields = Some(Vec::new());
    object
}

fn json_service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "namespace": "ns", "name": name, "resourceVersion": "7",
            "managedFields": [{ "manager": "kubectl" }],
        },
        "spec": { "type": "LoadBalancer", "selector": { "app": "web" }, "future": [1] },
    })
}

/// What the changes say, in short.
fn said(changes: impl IntoIterator<Item = Change<Compact>>) -> Vec<String> {
    let mut said: Vec<String> = changes
        .into_iter()
        .map(|change| match change {
            Change::Apply(object) => {
                assert_eq!(object.metadata.managed_fields, None);
                format!("+{}", ObjectKey::of(&object))
            }
            Change::Delete(key) => format!("-{key}"),
            Change::Listing => "listing".to_owned(),
            Change::Synced => "synced".to_owned(),
        })
        .collect();
    // Deletions found by a relist come in no order.
    said.sort();
    said
}

#[test]
fn a_relist_tells_what_vanished_meanwhile() {
    let mut tracker = Tracker::default();
    let mut out = VecDeque::new();
    let list = |names: &[&str]| {
        let mut events = vec![Event::Init];
        events.extend(names.iter().map(|name| Event::InitApply(compact(name))));
        events
    };
    for event in list(&["a", "b", "c"]).into_iter().chain([Event::InitDone]) {
        tracker.handle(event, &mut out);
    }
    assert_eq!(
        said(out.drain(..)),
        ["+ns/a", "+ns/b", "+ns/c", "listing", "synced"]
    );

    tracker.handle(Event::Apply(compact("d")), &mut out);
    tracker.handle(Event::Delete(compact("a")), &mut out);
    assert_eq!(said(out.drain(..)), ["+ns/d", "-ns/a"]);

    // A list that breaks off, then a whole one: what the first one showed is not forgotten.
    for event in list(&["b", "e"])
        .into_iter()
        .chain(list(&["c"]))
        .chain([Event::InitDone])
    {
        tracker.handle(event, &mut out);
    }
    assert_eq!(
        said(out.drain(..)),
        [
            "+ns/b", "+ns/c", "+ns/e", "-ns/b", "-ns/d", "-ns/e", "listing", "listing", "synced"
        ]
    );
}

#[tokio::test]
async fn a_server_that_streams_no_lists_is_read_in_pages() {
    let pages = Arc::new(AtomicUsize::new(0));
    let count = pages.clone();
    let (client, lines) = mock::api(move |asked| {
        if asked.line.contains("sendInitialEvents") {
            return mock::status(422);
        }
        if asked.line.contains("watch=true") {
            return (200, String::new());
        }
        let page = count.fetch_add(1, Ordering::Relaxed);
        let (name, next) = if page == 0 { ("a", "more") } else { ("b", "") };
        let list = json!({
            "kind": "ServiceList", "apiVersion": "v1",
            "metadata": { "resourceVersion": "9", "continue": next },
            "items": [json_service(name)],
        });
        (200, list.to_string())
    });
    let changes = watch::<Compact>(Api::all(client))
        .take(4)
        .collect::<Vec<_>>()
        .await;
    assert!(
        matches!(&changes[1], Change::Apply(object) if object.spec.type_ == "LoadBalancer"),
        "unknown fields are passed over"
    );
    assert_eq!(said(changes), ["+ns/a", "+ns/b", "listing", "synced"]);
    let lines = lines.lock().unwrap();
    assert!(lines[1].contains("limit=50"), "{lines:?}");
}

/// One line of a watch.
fn line(type_: &str, object: &Value) -> String {
    format!("{}\n", json!({ "type": type_, "object": object }))
}

/// A streamed list of these, at version 9, and then silence.
fn streamed(names: &[&str]) -> String {
    let objects = names.iter().map(|name| line("ADDED", &json_service(name)));
    objects
        .chain([mock::end_of_list("v1", "Service")])
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_falls_silent_goes_on_where_it_stopped() {
    let (client, lines) = mock::silent_watches(|asked| {
        if asked.line.contains("sendInitialEvents") {
            return (200, streamed(&["a"]));
        }
        (200, line("ADDED", &json_service("b")))
    });
    let config = watcher::Config::default().timeout(30);
    let started = tokio::time::Instant::now();
    let changes = watch_with::<Compact>(Api::all(client), config)
        .take(4)
        .collect::<Vec<_>>()
        .await;
    assert_eq!(said(changes), ["+ns/a", "+ns/b", "listing", "synced"]);
    assert!(started.elapsed() < Duration::from_secs(40));
    let lines = lines.lock().unwrap();
    assert!(lines[1].contains("resourceVersion=9"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_is_heard_again_soon() {
    let back = Duration::from_secs(100);
    let started = tokio::time::Instant::now();
    let (client, _) = mock::silent_watches(move |_| {
        if started.elapsed() < back {
            return mock::status(500);
        }
        (200, streamed(&["a"]))
    });
    let changes = watch::<Compact>(Api::all(client));
    let mut told =
        changes.skip_while(|change| std::future::ready(!matches!(change, Change::Synced)));
    let synced = told.next();
    tokio::time::timeout(back + LONGEST_PAUSE, synced)
        .await
        .expect("nothing was heard");
}

#[tokio::test(start_paused = true)]
async fn who_knows_of_more_has_everything_told_anew() {
    let lists = AtomicUsize::new(0);
    let (client, _) = mock::silent_watches(move |_| {
        let names: &[&str] = match lists.fetch_add(1, Ordering::Relaxed) {
            0 => &["a", "b"],
            _ => &["b", "c"],
        };
        (200, streamed(names))
    });
    let anew = Arc::<Notify>::default();
    let config = watcher::Config::default();
    let mut changes = watch_anew_on::<Compact>(anew.clone(), Api::all(client), config);
    let first = changes.by_ref().take(4).collect::<Vec<_>>().await;
    assert_eq!(said(first), ["+ns/a", "+ns/b", "listing", "synced"]);
    anew.notify_one();
    let second = changes.take(5).collect::<Vec<_>>().await;
    assert_eq!(
        said(second),
        ["+ns/b", "+ns/c", "-ns/a", "listing", "synced"]
    );
}
