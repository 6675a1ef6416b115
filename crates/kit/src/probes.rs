//! `/healthz` and `/readyz` over plain HTTP, for the kubelet.

use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::watch;

use crate::listen;
use crate::ready::Ready;
use crate::shutdown::CancellationToken;

/// A page that says how things are, for people on the node.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it is, such as `/sessions`.
    pub path: &'static str,
    /// What it says.
    pub text: watch::Receiver<String>,
}

/// Binds `addr` and serves in the background until `shutdown`. Returns the bound address.
///
/// `/healthz` says that the process turns; `/readyz` is 200 when every condition of `ready` is met
/// and otherwise 503 with the names of those that are not. `page` is served beside them.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(
    addr: SocketAddr,
    ready: Ready,
    page: Option<Page>,
    shutdown: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = listen::bind(addr).await?;
    let bound = listener.local_addr()?;
    tokio::spawn(async move {
        let served = axum::serve(listener, router(ready, page))
            .with_graceful_shutdown(shutdown.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "probes stopped");
        }
    });
    Ok(bound)
}

fn router(ready: Ready, page: Option<Page>) -> Router {
    let probes = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(move || answer(ready.clone())));
    match page {
        None => probes,
        Some(Page { path, text }) => probes.route(path, get(async move || text.borrow().clone())),
    }
}

#[expect(clippy::unused_async, reason = "axum's handlers are async")]
async fn answer(ready: Ready) -> (StatusCode, String) {
    let missing = ready.missing();
    if missing.is_empty() {
        (StatusCode::OK, "ok".to_owned())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {}\n", missing.join(", ")),
        )
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(ready: &Ready, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(ready.clone(), None).oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 4096).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readyz_names_what_is_missing() {
        let ready = Ready::new();
        let services = ready.condition("services in sync");
        let pools = ready.condition("pools in sync");
        pools.set(true);
        let (status, body) = ask(&ready, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, "not ready: services in sync\n");
        assert_eq!(ask(&ready, "/healthz").await.0, StatusCode::OK);
        services.set(true);
        assert_eq!(
            ask(&ready, "/readyz").await,
            (StatusCode::OK, "ok".to_owned())
        );
    }
}
