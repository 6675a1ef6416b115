//! The end of a webhook server: nobody is refused for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::serve::Listener;
use tokio::sync::Mutex;

use crate::shutdown::CancellationToken;

/// Serves until `shutdown`, and new connections for [`TIME`] longer.
///
/// What is connected is let go at `shutdown`, after the answer that is due: the next question goes
/// to a pod that stays. A pod that was removed by force has no rights any more, and would refuse
/// whatever it was asked.
pub(super) async fn serve<L>(
    listener: L,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()>
where
    L: Listener<Addr = SocketAddr>,
{
    let door = Door {
        address: listener.local_addr()?,
        listener: Arc::new(Mutex::new(listener)),
    };
    let last = router.clone().layer(map_response(once));
    let day = axum::serve(door.clone(), router)
        .with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let evening = async {
        shutdown.cancelled().await;
        axum::serve(door, last)
            .with_graceful_shutdown(tokio::time::sleep(TIME))
            .await
    };
    let (day, evening) = tokio::join!(day, evening);
    day.and(evening)
}

/// How long API servers may still send questions to a pod that is told to end: until its address
/// has left the Service on all nodes.
pub(super) const TIME: Duration = Duration::from_secs(3);

async fn once(mut response: Response) -> Response {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// One listener for two servers; a handshake that one of them began is finished by the other.
struct Door<L> {
    address: SocketAddr,
    listener: Arc<Mutex<L>>,
}

impl<L> Clone for Door<L> {
    fn clone(&self) -> Self {
        Self {
            address: self.address,
            listener: self.listener.clone(),
        }
    }
}

impl<L: Listener<Addr = SocketAddr>> Listener for Door<L> {
    type Io = L::Io;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        self.listener.lock().await.accept().await
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Asks, and gives the answer's head and body.
    async fn ask(stream: &mut TcpStream) -> String {
        let question = b"GET / HTTP/1.1\r\nHost: webhook\r\n\r\n";
        stream.write_all(question).await.unwrap();
        let mut answer = String::new();
        let mut buffer = [0; 1024];
        while !answer.ends_with("here") {
            let read = stream.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "no answer: {answer}");
            answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        answer
    }

    /// Waits until the other side has closed.
    async fn closed(stream: &mut TcpStream) {
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn who_ends_lets_go_and_still_answers_who_comes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router, shutdown.clone()));
        let mut before = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            let answer = ask(&mut before).await;
            assert!(!answer.contains("connection: close"), "{answer}");
        }

        shutdown.cancel();
        closed(&mut before).await;
        let mut late = TcpStream::connect(address).await.unwrap();
        let answer = ask(&mut late).await;
        assert!(answer.contains("connection: close"), "{answer}");
        closed(&mut late).await;
        server.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
