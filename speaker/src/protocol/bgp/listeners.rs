//! The port on which routers may connect to us, where that is wanted: on all interfaces that are in
//! no VRF, and in each VRF that a peer is in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use metallb_netio::{TcpPassword, expect_password, listen, listens_on};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// One socket for each family and VRF, if any.
#[derive(Debug)]
pub(super) struct Listeners {
    sockets: Vec<Socket>,
    /// The VRFs that are to have some, and why one has none, as it was said last.
    devices: BTreeMap<String, Option<String>>,
    /// Who has to sign, and with what.
    passwords: Passwords,
    sender: mpsc::Sender<Arrival>,
    arrivals: mpsc::Receiver<Arrival>,
}

/// By the VRF that a peer is in, and its address.
pub(super) type Passwords = BTreeMap<(Option<String>, IpAddr), TcpPassword>;

/// A connection.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    /// Who has opened it.
    pub(super) from: SocketAddr,
    /// The VRF that it came in by.
    pub(super) device: Option<String>,
}

/// Dropping it closes it.
#[derive(Debug)]
struct Socket {
    listener: Rc<TcpListener>,
    address: SocketAddr,
    device: Option<String>,
    task: AbortHandle,
}

impl Listeners {
    pub(super) fn new() -> Self {
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        Self {
            sockets: Vec::new(),
            devices: BTreeMap::new(),
            passwords: BTreeMap::new(),
            sender,
            arrivals,
        }
    }

    /// Takes connections to these sockets from now on, which are in no VRF.
    pub(super) fn open(&mut self, sockets: Vec<std::net::TcpListener>) -> io::Result<()> {
        sockets.into_iter().try_for_each(|it| self.add(it, None))
    }

    fn add(&mut self, socket: std::net::TcpListener, device: Option<String>) -> io::Result<()> {
        let address = socket.local_addr()?;
        let listener = Rc::new(TcpListener::from_std(socket)?);
        let accepting = accept(Rc::clone(&listener), device.clone(), self.sender.clone());
        let socket = Socket {
            listener,
            address,
            device,
            task: tokio::task::spawn_local(accepting).abort_handle(),
        };
        for ((device, peer), password) in &self.passwords {
            socket.expect(device.as_deref(), *peer, Some(password));
        }
        self.sockets.push(socket);
        Ok(())
    }

    /// Waits for a connection.
    pub(super) async fn recv(&mut self) -> Option<Arrival> {
        self.arrivals.recv().await
    }

    /// Peers are in these VRFs, so connections are taken there, too, if they are taken at all.
    pub(super) fn listen_in(&mut self, devices: &BTreeSet<&str>) {
        let is_wanted = |device: &str| devices.contains(device);
        self.devices.retain(|device, _| is_wanted(device));
        self.sockets
            .retain(|it| it.device.as_deref().is_none_or(is_wanted));
        for device in devices {
            self.devices.entry((*device).to_owned()).or_default();
        }
        self.look_after_devices();
    }

    /// Listens in those VRFs that were not there when it was tried last, or are other ones now.
    pub(super) fn look_after_devices(&mut self) {
        self.sockets.retain(|it| {
            let device = it.device.as_deref();
            device.is_none_or(|device| listens_on(&it.listener, device))
        });
        let plain = self.sockets.iter().filter(|it| it.device.is_none());
        let plain: Vec<_> = plain.map(|it| it.address).collect();
        for device in self.devices.keys().cloned().collect::<Vec<_>>() {
            let lacks = |at: &&SocketAddr| {
                let mut ours = self.sockets.iter();
                !ours.any(|it| it.device.as_ref() == Some(&device) && it.address == **at)
            };
            let lacking: Vec<_> = plain.iter().filter(lacks).copied().collect();
            let opened = lacking.into_iter().try_for_each(|at| {
                let socket = listen(at.port(), at.is_ipv6(), Some(&device))?;
                self.add(socket, Some(device.clone()))
            });
            let why = opened.err().map(|it| it.to_string());
            if let Some(error) = &why
                && self.devices[&device] != why
            {
                tracing::warn!(
                    op = "bgp",
                    vrf = device,
                    error,
                    "routers in the VRF cannot connect to us yet"
                );
            }
            self.devices.insert(device, why);
        }
    }

    /// These have to sign with these passwords, and nobody else has to sign.
    pub(super) fn expect(&mut self, passwords: Passwords) {
        let gone = self.passwords.keys();
        let gone = gone.filter(|it| !passwords.contains_key(it));
        for (device, peer) in gone {
            self.set(device.as_deref(), *peer, None);
        }
        for (at, password) in &passwords {
            if self.passwords.get(at) != Some(password) {
                self.set(at.0.as_deref(), at.1, Some(password));
            }
        }
        self.passwords = passwords;
    }

    fn set(&self, device: Option<&str>, peer: IpAddr, password: Option<&TcpPassword>) {
        for socket in &self.sockets {
            socket.expect(device, peer, password);
        }
    }
}

impl Socket {
    /// Has a peer sign, if it would connect to this one.
    fn expect(&self, device: Option<&str>, peer: IpAddr, password: Option<&TcpPassword>) {
        if self.device.as_deref() == device
            && self.address.is_ipv6() == peer.is_ipv6()
            && let Err(error) = expect_password(&self.listener, peer, password)
        {
            tracing::warn!(op = "bgp", %peer, %error, "its password cannot be set");
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(socket: Rc<TcpListener>, device: Option<String>, sender: mpsc::Sender<Arrival>) {
    loop {
        match socket.accept().await {
            Ok((stream, from)) => {
                let device = device.clone();
                let arrival = Arrival {
                    stream,
                    from,
                    device,
                };
                // The shell is gone only when the process ends.
                let _ = sender.send(arrival).await;
            }
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::process::Command;

    use metallb_netio::{NetworkNamespace, TcpOptions, connect};
    use tokio::task::LocalSet;
    use tokio::time::timeout;

    use super::*;

    /// Kernels without VRFs bind to other devices as well.
    #[test]
    fn whoever_connects_by_a_device_is_known_by_it_also_when_it_comes_later() {
        let namespace = match NetworkNamespace::create() {
            Ok(namespace) => namespace,
            Err(error) => {
                println!("skipped: cannot make a network namespace: {error}; run it as root");
                return;
            }
        };
        let told = || {
            ip("link set lo up");
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(LocalSet::new().run_until(connections_by_devices()));
        };
        namespace.run(told).expect("it can be entered");
    }

    async fn connections_by_devices() {
        let plain = listen(0, false, None).expect("a port");
        let port = plain.local_addr().expect("it has one").port();
        let another = listen(port, false, None);
        assert!(another.is_err(), "the port is ours alone");
        let mut listeners = Listeners::new();
        listeners.open(vec![plain]).expect("it is open");
        assert_eq!(came_by(&mut listeners, port, None).await, Some(None));

        // One that is there, one that is not.
        listeners.listen_in(&["lo", "red"].into());
        let lo = Some("lo".to_owned());
        assert_eq!(came_by(&mut listeners, port, None).await, Some(lo.clone()));
        assert!(listeners.devices["red"].is_some() && listeners.devices["lo"].is_none());

        // It comes, goes, and one of its name comes.
        for _ in 0..2 {
            ip("link add red type veth peer name blue");
            listeners.look_after_devices();
            assert_eq!(listeners.devices["red"], None);
            let sockets = listeners.sockets.iter();
            let red = sockets.filter(|it| it.device.as_deref() == Some("red"));
            assert_eq!(red.count(), 1);
            ip("link del red");
            listeners.look_after_devices();
            assert!(listeners.devices["red"].is_some());
        }

        // Who has to sign in a VRF has to sign nowhere else.
        let peer = Ipv4Addr::LOCALHOST.into();
        let password = TcpPassword(b"secret".to_vec());
        listeners.expect([((None, peer), password.clone())].into());
        assert_eq!(came_by(&mut listeners, port, None).await, Some(lo.clone()));
        listeners.expect([((lo.clone(), peer), password.clone())].into());
        assert_eq!(came_by(&mut listeners, port, None).await, None);
        let signed = came_by(&mut listeners, port, Some(password.clone())).await;
        assert_eq!(signed, Some(lo.clone()));

        // So it is for one that is opened later.
        listeners.listen_in(&[].into());
        listeners.listen_in(&["lo"].into());
        assert_eq!(came_by(&mut listeners, port, None).await, None);
        let signed = came_by(&mut listeners, port, Some(password)).await;
        assert_eq!(signed, Some(lo));
    }

    /// The device that a connection came in by, if it came about.
    async fn came_by(
        listeners: &mut Listeners,
        port: u16,
        password: Option<TcpPassword>,
    ) -> Option<Option<String>> {
        let options = TcpOptions {
            password,
            ..TcpOptions::default()
        };
        let to = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let connected = timeout(WAIT, connect(to, &options)).await.ok()?;
        let _stream = connected.expect("it does not refuse");
        let arrived = timeout(WAIT, listeners.recv()).await;
        Some(arrived.expect("a connection").expect("it listens").device)
    }

    fn ip(arguments: &str) {
        let ip = Command::new("ip").args(arguments.split(' ')).status();
        assert!(ip.expect("there is ip").success(), "{arguments}");
    }

    const WAIT: Duration = Duration::from_millis(300);
}
