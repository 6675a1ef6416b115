//! One TCP connection with a router: a task that reads and one that writes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use metallb_bgp::session::Link;
use metallb_netio::{LinkWatch, TcpOptions, TcpPassword, change_password};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Event, link};

/// A connection that is open. Dropping it closes it, when what was to be sent is sent.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) number: u64,
    orders: mpsc::UnboundedSender<Order>,
}

#[derive(Debug)]
enum Order {
    Send(Vec<u8>),
    Password(Option<TcpPassword>),
}

impl Connection {
    /// Takes over a stream. What happens to it is said under this number.
    pub(super) fn start(number: u64, stream: TcpStream, events: mpsc::Sender<Event>) -> Self {
        let (orders, queue) = mpsc::unbounded_channel();
        tokio::task::spawn_local(async move {
            let closed = serve(number, stream, queue, &events).await;
            if let Err(error) = closed {
                // The shell is gone only when the process ends.
                let _ = events.send(Event::Closed(number, error.to_string())).await;
            }
        });
        Self { number, orders }
    }

    /// Sends these bytes. The session sees to it that not too much waits.
    pub(super) fn send(&self, bytes: Vec<u8>) {
        // If the task is gone, it has said so.
        let _ = self.orders.send(Order::Send(bytes));
    }

    pub(super) fn change_password(&self, password: Option<TcpPassword>) {
        let _ = self.orders.send(Order::Password(password));
    }
}

/// Serves a connection until it is closed: by us, or, which is an error, by others.
async fn serve(
    number: u64,
    mut stream: TcpStream,
    mut orders: mpsc::UnboundedReceiver<Order>,
    events: &mpsc::Sender<Event>,
) -> io::Result<()> {
    let mut buf = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Send(bytes)) => {
                    write(number, &mut stream, &mut buf, &bytes, events).await?;
                }
                Some(Order::Password(password)) => {
                    if let Err(error) = change_password(&stream, password.as_ref()) {
                        tracing::warn!(op = "bgp", %error, "the password cannot be changed");
                    }
                }
                None => {
                    let _ = timeout(CLOSE, stream.shutdown()).await;
                    return Ok(());
                }
            },
            read = stream.read(&mut buf) => {
                received(number, &buf, read?, events).await?;
            }
        }
    }
}

/// Writes all of it, and reads meanwhile: two that only write would wait for each other.
async fn write(
    number: u64,
    stream: &mut TcpStream,
    buf: &mut [u8],
    bytes: &[u8],
    events: &mpsc::Sender<Event>,
) -> io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    let mut rest = bytes;
    while !rest.is_empty() {
        tokio::select! {
            biased;
            written = writer.write(rest) => rest = &rest[written?..],
            read = reader.read(buf) => received(number, buf, read?, events).await?,
        }
    }
    // The shell is gone only when the process ends.
    let _ = events.send(Event::Sent(number, bytes.len())).await;
    Ok(())
}

async fn received(
    number: u64,
    buf: &[u8],
    len: usize,
    events: &mpsc::Sender<Event>,
) -> io::Result<()> {
    if len == 0 {
        let text = "closed by the router";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
    }
    let _ = events
        .send(Event::Received(number, buf[..len].to_vec()))
        .await;
    Ok(())
}

/// Opens a connection, and finds where our routes lead on it.
pub(super) async fn open(
    address: SocketAddr,
    options: &TcpOptions,
) -> io::Result<(TcpStream, Link)> {
    let stream = metallb_netio::connect(address, options).await?;
    let local = stream.local_addr()?.ip();
    Ok((stream, link(local, &beside(local).await)))
}

/// The other addresses of the interface that has this one.
async fn beside(local: IpAddr) -> Vec<IpAddr> {
    let listed = async {
        let mut links = LinkWatch::open().ok()?;
        let interfaces = links.changed().await.ok()?;
        let mut interfaces = interfaces.values();
        let has_it = interfaces.find(|it| it.addresses.contains(&local))?;
        Some(has_it.addresses.iter().copied().collect())
    };
    listed.await.unwrap_or_default()
}

/// How long the last bytes may take.
const CLOSE: Duration = Duration::from_secs(1);
