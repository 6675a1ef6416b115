//! Reading what an object must fit in with, from an API server that has its moments.

use std::time::Duration;

use tokio::time::Instant;

/// Reads, over as many connections as it takes: one that died while nobody used it is found out by
/// whoever asks next, and may be one of several. Also asks again when the API server says that it
/// is not ready for it, as while it takes in a changed definition.
pub(super) async fn patiently<T, F>(ask: impl Fn() -> F) -> kube::Result<T>
where
    F: Future<Output = kube::Result<T>>,
{
    let until = Instant::now() + PATIENCE;
    for _ in 0..IDLE_CONNECTIONS {
        let pause = match ask().await {
            Err(kube::Error::Service(_)) => Duration::ZERO,
            Err(kube::Error::Api(status)) if matches!(status.code, 429 | 503 | 504) => {
                let details = status.details.as_ref();
                let seconds = details.map_or(0, |details| details.retry_after_seconds);
                Duration::from_secs(seconds.into()).max(SHORT)
            }
            answer => return answer,
        };
        if Instant::now() + pause > until {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    ask().await
}

/// More than are kept for later requests.
const IDLE_CONNECTIONS: usize = 8;
/// How long it may take to read: half of what API servers wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before asking again where the API server names no time.
const SHORT: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;

    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_has_died_unnoticed_refuses_nobody() {
        let asked = Cell::new(0);
        let answer = patiently(|| {
            asked.set(asked.get() + 1);
            let dead = asked.get() < 4;
            ready(if dead {
                Err(kube::Error::Service("connection reset".into()))
            } else {
                Ok(asked.get())
            })
        });
        assert_eq!(answer.await.unwrap(), 4);
        let refused = patiently(|| ready(Err::<(), _>(kube::Error::Service("no route".into()))));
        assert!(refused.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_not_ready_is_asked_again_in_time() {
        let started = Instant::now();
        let not_ready = |code: u16| {
            let details = json!({ "retryAfterSeconds": 1 });
            let status = json!({ "code": code, "message": "not ready", "details": details });
            kube::Error::Api(serde_json::from_value(status).unwrap())
        };
        let answer = patiently(|| {
            let early = started.elapsed() < Duration::from_secs(3);
            ready(if early { Err(not_ready(429)) } else { Ok(()) })
        });
        answer.await.unwrap();
        let refused = patiently(|| ready(Err::<(), _>(not_ready(503))));
        assert!(refused.await.is_err());
        assert!(started.elapsed() < Duration::from_secs(10));
        let forbidden = patiently(|| ready(Err::<(), _>(not_ready(403))));
        let before = started.elapsed();
        assert!(forbidden.await.is_err());
        assert_eq!(started.elapsed(), before, "asked once");
    }
}
