//! An API server for tests: a function from requests to answers.

use std::sync::{Arc, Mutex};

use axum::body::Body as Streamed;
use axum::http::{Request, Response};
use futures::stream::{self, StreamExt as _};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

/// A request as the mock sees it.
pub(crate) struct Asked {
    /// `METHOD /path?query`.
    pub(crate) line: String,
    /// The body, null when there is none.
    pub(crate) body: Value,
}

/// A client whose requests `answer` gets, and the lines of all requests so far.
pub(crate) fn api(
    answer: impl Fn(Asked) -> (u16, String) + Send + Sync + 'static,
) -> (Client, Arc<Mutex<Vec<String>>>) {
    serve(move |asked| {
        let (status, text) = answer(asked);
        (status, Streamed::from(text))
    })
}

/// The same, where watches never end: after `answer` nothing more comes.
pub(crate) fn silent_watches(
    answer: impl Fn(Asked) -> (u16, String) + Send + Sync + 'static,
) -> (Client, Arc<Mutex<Vec<String>>>) {
    serve(move |asked| {
        let watches = asked.line.contains("watch=true");
        let (status, text) = answer(asked);
        let told = stream::iter([Ok::<_, std::convert::Infallible>(text.into_bytes())]);
        let body = if watches && status == 200 {
            Streamed::from_stream(told.chain(stream::pending()))
        } else {
            Streamed::from_stream(told)
        };
        (status, body)
    })
}

/// The same, with answers that may take their time.
pub(crate) fn serve(
    answer: impl Fn(Asked) -> (u16, Streamed) + Send + Sync + 'static,
) -> (Client, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = lines.clone();
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (seen, answer) = (seen.clone(), answer.clone());
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let bytes = request.into_body().collect_bytes().await.unwrap();
            let body = serde_json::from_slice(&bytes).unwrap_or_default();
            seen.lock().unwrap().push(line.clone());
            let (status, body) = answer(Asked { line, body });
            let response = Response::builder().status(status).body(body);
            Ok::<_, std::convert::Infallible>(response.unwrap())
        }
    });
    (Client::new(service, "default"), lines)
}

/// What ends a streamed list, at version 9.
pub(crate) fn end_of_list(api_version: &str, kind: &str) -> String {
    let end = serde_json::json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {
            "resourceVersion": "9", "annotations": { "k8s.io/initial-events-end": "true" },
        },
    });
    let line = serde_json::json!({ "type": "BOOKMARK", "object": end });
    format!("{line}\n")
}

/// The body of an API error.
pub(crate) fn status(code: u16) -> (u16, String) {
    let reason = if code == 404 { "NotFound" } else { "Test" };
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": format!("test says {code}"),
    });
    (code, body.to_string())
}
