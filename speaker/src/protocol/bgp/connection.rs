//! One TCP connection with a router: a task that reads and one that writes.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use metallb_bgp::session::Link;
use metallb_netio::{Interface, LinkWatch, TcpOptions, TcpPassword, change_password};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Event;
use super::next_hops::link;

/// A connection that is open. Dropping it closes it, when what was to be sent is sent.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) number: u64,
    stream: Rc<TcpStream>,
    orders: mpsc::UnboundedSender<Order>,
    /// How many bytes the task has yet to send.
    waiting: Rc<Cell<usize>>,
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
        let (stream, waiting) = (Rc::new(stream), Rc::new(Cell::new(0)));
        let served = Served {
            number,
            stream: stream.clone(),
            waiting: waiting.clone(),
        };
        tokio::task::spawn_local(async move {
            let closed = served.serve(queue, &events).await;
            if let Err(error) = closed {
                // The shell is gone only when the process ends.
                let _ = events.send(Event::Closed(number, error.to_string())).await;
            }
        });
        Self {
            number,
            stream,
            orders,
            waiting,
        }
    }

    /// Sends these bytes, and says how many of them are out at once: all, mostly. The rest is the
    /// task's; the session sees to it that not too much waits.
    pub(super) fn send(&self, mut bytes: Vec<u8>) -> usize {
        let mut sent = 0;
        if self.waiting.get() == 0 {
            // What is wrong with it is found by the task, too.
            sent = self.stream.try_write(&bytes).unwrap_or(0);
            bytes.drain(..sent);
        }
        if !bytes.is_empty() {
            self.waiting.set(self.waiting.get() + bytes.len());
            // If the task is gone, it has said so.
            let _ = self.orders.send(Order::Send(bytes));
        }
        sent
    }

    pub(super) fn change_password(&self, password: Option<TcpPassword>) {
        let _ = self.orders.send(Order::Password(password));
    }
}

/// What the task of a connection has.
#[derive(Debug)]
struct Served {
    number: u64,
    stream: Rc<TcpStream>,
    waiting: Rc<Cell<usize>>,
}

impl Served {
    /// Serves a connection until it is closed: by us, or, which is an error, by others. It reads
    /// while it writes, since two that only write would wait for each other, and it heeds orders
    /// meanwhile, since a router may take nothing for ever.
    async fn serve(
        self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        events: &mpsc::Sender<Event>,
    ) -> io::Result<()> {
        let (number, stream) = (self.number, &*self.stream);
        let mut unsent = Vec::new();
        loop {
            let event = tokio::select! {
                // Orders first, so that messages which are there at once go out at once.
                biased;
                order = orders.recv() => match order {
                    Some(Order::Send(bytes)) => {
                        unsent.extend(bytes);
                        continue;
                    }
                    Some(Order::Password(password)) => {
                        if let Err(error) = change_password(stream, password.as_ref()) {
                            tracing::warn!(op = "bgp", %error, "the password cannot be changed");
                        }
                        continue;
                    }
                    None => {
                        let last = async {
                            while !unsent.is_empty() {
                                self.send(&mut unsent).await?;
                            }
                            io::Result::Ok(())
                        };
                        let _ = timeout(CLOSE, last).await;
                        return Ok(());
                    }
                },
                sent = self.send(&mut unsent), if !unsent.is_empty() => {
                    Event::Sent(number, sent?)
                }
                bytes = received(stream) => Event::Received(number, bytes?),
            };
            // The shell is gone only when the process ends.
            let _ = events.send(event).await;
        }
    }

    /// Waits until some of it can be sent, and sends that.
    async fn send(&self, unsent: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            self.stream.writable().await?;
            if let Some(sent) = ready(self.stream.try_write(unsent))? {
                *unsent = unsent.split_off(sent);
                self.waiting.set(self.waiting.get() - sent);
                return Ok(sent);
            }
        }
    }
}

/// Waits for what comes next.
async fn received(stream: &TcpStream) -> io::Result<Vec<u8>> {
    loop {
        stream.readable().await?;
        if let Some(bytes) = take(stream)? {
            return Ok(bytes);
        }
    }
}

/// What is there; nothing if there was nothing. The buffer is there only while it is needed: most
/// sessions are silent most of the time.
fn take(stream: &TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut buf = [0; 16 * 1024];
    match ready(stream.try_read(&mut buf))? {
        Some(0) => {
            let text = "closed by the router";
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
        }
        len => Ok(len.map(|len| buf[..len].to_vec())),
    }
}

/// Nothing, if the socket was not ready after all.
fn ready(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        done => done.map(Some),
    }
}

/// Opens a connection, and finds where our routes lead on it.
pub(super) async fn open(
    address: SocketAddr,
    options: &TcpOptions,
) -> io::Result<(TcpStream, Link)> {
    let stream = metallb_netio::connect(address, options).await?;
    let link = link_of(&stream).await?;
    Ok((stream, link))
}

/// Where our routes lead on a connection.
pub(super) async fn link_of(stream: &TcpStream) -> io::Result<Link> {
    let local = stream.local_addr()?;
    Ok(link(local.ip(), &beside(local).await))
}

/// The other addresses of the interface that has this one.
async fn beside(local: SocketAddr) -> Vec<IpAddr> {
    let is_its = |it: &&Interface| match local {
        // What is on the link may be on several.
        SocketAddr::V6(local) if local.scope_id() != 0 => it.index == local.scope_id(),
        _ => it.addresses.contains(&local.ip()),
    };
    let listed = async {
        let mut links = LinkWatch::open().ok()?;
        let interfaces = links.changed().await.ok()?;
        let mut interfaces = interfaces.values();
        let has_it = interfaces.find(is_its)?;
        Some(has_it.addresses.iter().copied().collect())
    };
    listed.await.unwrap_or_default()
}

/// How long the last bytes may take.
const CLOSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_router_that_reads_nothing_holds_up_nobody_who_hangs_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        let ours = TcpStream::connect(address).await.expect("it listens");
        let (_theirs, _) = listener.accept().await.expect("we connected");
        let (orders, queue) = mpsc::unbounded_channel();
        let (events, mut told) = mpsc::channel(64);
        // More than both ends' buffers take.
        for _ in 0..64 {
            orders
                .send(Order::Send(vec![0; 1 << 20]))
                .expect("it is there");
        }
        let hang_up = async {
            // Until nothing goes out any more.
            while timeout(CLOSE / 4, told.recv()).await.is_ok() {}
            drop(orders);
        };
        let served = Served {
            number: 1,
            stream: Rc::new(ours),
            waiting: Rc::new(Cell::new(64 << 20)),
        };
        let served = async { tokio::join!(served.serve(queue, &events), hang_up).0 };
        let ended = timeout(4 * CLOSE, served).await;
        assert!(ended.is_ok_and(|it| it.is_ok()), "it still tries to send");
    }
}
