//! Waiting for a moment that there may be none of.

use tokio::time::Instant;

/// Sleeps until then; for ever when there is nothing to wait for.
pub async fn until(at: Option<impl Into<Instant>>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
