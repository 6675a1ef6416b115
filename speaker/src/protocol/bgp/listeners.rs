//! The port on which routers may connect to us, where that is wanted.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use metallb_netio::{TcpPassword, expect_password};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// One socket for each family, if any.
#[derive(Debug)]
pub(super) struct Listeners {
    sockets: Vec<Rc<TcpListener>>,
    /// Who has to sign, and with what.
    passwords: BTreeMap<IpAddr, TcpPassword>,
    sender: mpsc::Sender<Arrival>,
    arrivals: mpsc::Receiver<Arrival>,
}

/// A connection, and who has opened it.
type Arrival = (TcpStream, SocketAddr);

impl Listeners {
    pub(super) fn new() -> Self {
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        Self {
            sockets: Vec::new(),
            passwords: BTreeMap::new(),
            sender,
            arrivals,
        }
    }

    /// Takes connections to these sockets from now on.
    pub(super) fn open(&mut self, sockets: Vec<std::net::TcpListener>) -> io::Result<()> {
        for socket in sockets {
            let socket = Rc::new(TcpListener::from_std(socket)?);
            tokio::task::spawn_local(accept(Rc::clone(&socket), self.sender.clone()));
            self.sockets.push(socket);
        }
        Ok(())
    }

    /// Waits for a connection.
    pub(super) async fn recv(&mut self) -> Option<Arrival> {
        self.arrivals.recv().await
    }

    /// These have to sign with these passwords, and nobody else has to sign.
    pub(super) fn expect(&mut self, passwords: BTreeMap<IpAddr, TcpPassword>) {
        let gone = self.passwords.keys();
        let gone = gone.filter(|ip| !passwords.contains_key(ip));
        for ip in gone {
            self.set(*ip, None);
        }
        for (ip, password) in &passwords {
            if self.passwords.get(ip) != Some(password) {
                self.set(*ip, Some(password));
            }
        }
        self.passwords = passwords;
    }

    fn set(&self, peer: IpAddr, password: Option<&TcpPassword>) {
        for socket in &self.sockets {
            let local = socket.local_addr();
            if local.is_ok_and(|it| it.is_ipv6() == peer.is_ipv6())
                && let Err(error) = expect_password(socket, peer, password)
            {
                tracing::warn!(op = "bgp", %peer, %error, "its password cannot be set");
            }
        }
    }
}

async fn accept(socket: Rc<TcpListener>, sender: mpsc::Sender<Arrival>) {
    loop {
        match socket.accept().await {
            // The shell is gone only when the process ends.
            Ok(arrival) => drop(sender.send(arrival).await),
            Err(error) => {
                tracing::debug!(op = "bgp", %error, "no connection taken");
                // What is missing, such as descriptors, is not there a moment later either.
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// How many may wait to be looked at; the kernel lets some more wait.
const ARRIVALS: usize = 16;
const PAUSE: Duration = Duration::from_millis(100);
