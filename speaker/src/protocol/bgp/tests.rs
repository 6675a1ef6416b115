//! The shell with real sockets.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use metallb_bgp::session::{RemoteAs, Settings};
use metallb_bgp::wire::{
    AsPath, Attributes, Capability, Codec, Family, Message, Open, Origin, Update,
};
use metallb_kit::metrics::Metrics;
use metallb_netio::{NetworkNamespace, TcpOptions};
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::timeout;

mod taken;

use super::*;
use metallb_config::PeerAddress;

use crate::bgp::{Backend, BfdSetup, BgpMetrics, SessionNews};
use crate::protocol::Observed;
use crate::statuses::Statuses;

const OURS: u32 = 64500;
const THEIRS: u32 = 64501;
const CODEC: Codec = Codec {
    four_octet: true,
    extended: false,
    internal: false,
};

/// One router sends updates as fast as it can, somebody else BFD packets; the session with another
/// router, on which the shortest hold time was agreed, lives.
#[test]
fn a_flood_costs_no_other_session_a_keepalive() {
    let namespace = match NetworkNamespace::create() {
        Ok(namespace) => namespace,
        Err(error) => {
            println!("skipped: cannot make a network namespace: {error}; run it as root");
            return;
        }
    };
    namespace.run(in_a_flood).expect("it can be entered");
}

fn in_a_flood() {
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    assert!(up.expect("there is ip").success());
    let ended = Arc::new(AtomicBool::new(false));
    let updates = Arc::new(AtomicU64::new(0));
    let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let (calm, wild) = (listen(), listen());
    let peers = [("calm", &calm), ("wild", &wild)].map(|(name, listener)| {
        let address = listener.local_addr().expect("it has one");
        (name.to_owned(), peer(name, address))
    });

    let end = ended.clone();
    let calm = thread::spawn(move || stay_calm(&calm, &end));
    let (end, count) = (ended.clone(), updates.clone());
    let wild = thread::spawn(move || flood_with_updates(&wild, &end, &count));
    let strangers = [(); 4].map(|()| {
        let end = ended.clone();
        thread::spawn(move || flood_with_datagrams(&end))
    });

    let news = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(LocalSet::new().run_until(speak(peers.into())));
    ended.store(true, Ordering::Relaxed);
    let sent = updates.load(Ordering::Relaxed);
    let datagrams = strangers.map(|it| it.join().expect("no panic").expect("a socket"));
    let datagrams: u64 = datagrams.iter().sum();
    println!("{sent} updates and {datagrams} datagrams in {FLOOD:?}");
    // Both fail when the session is closed, which it is by now.
    let _ = wild.join();
    let heard = calm.join().expect("no panic");
    let up = |name: &str| Observed::Session(name.to_owned(), SessionNews::Up);
    assert!(
        news.contains(&up("calm")) && news.contains(&up("wild")),
        "{news:?}"
    );
    assert_eq!(news.len(), 2, "{news:?}");
    let gaps = heard.windows(2).map(|pair| pair[1] - pair[0]);
    let longest = gaps.max().expect("it heard us");
    assert!(longest < HOLD, "nothing was heard for {longest:?}");
}

/// Runs the shell through the flood; what it says of its sessions.
async fn speak(peers: BTreeMap<String, PeerSetup>) -> Vec<Observed> {
    let (shell, queue, mut seen) = shell();
    let (commands, orders) = mpsc::unbounded_channel();
    commands.send(BgpCommand::Peers(peers)).expect("it listens");
    let run = shell.run(Vec::new(), queue, orders, CancellationToken::new());
    let flood = timeout(FLOOD, run).await;
    assert!(flood.is_err(), "it does not end by itself: {flood:?}");
    let mut news = Vec::new();
    while let Ok(it) = seen.try_recv() {
        news.push(it);
    }
    news
}

/// A shell, and what it says of its sessions.
fn shell() -> (Shell, Queue, mpsc::UnboundedReceiver<Observed>) {
    let (observer, seen) = mpsc::unbounded_channel();
    let outlet = Outlet {
        metrics: BgpMetrics::new(&Metrics::new(), Backend::Native, "metallb"),
        page: watch::channel(String::new()).0,
        objects: Statuses::unheard(),
        observer,
    };
    let (shell, queue) = Shell::new(1, outlet);
    (shell, queue, seen)
}

fn peer(name: &str, address: SocketAddr) -> PeerSetup {
    let settings = Settings {
        peer: name.to_owned(),
        local_as: OURS,
        remote_as: RemoteAs::Number(THEIRS),
        identifier: Ipv4Addr::new(10, 0, 0, 1),
        hold_time: 3,
        keepalive: 1,
        connect_retry: Duration::from_secs(1),
        families: Family::ALL.into(),
        v6_next_hops: false,
        graceful_restart: None,
        hostname: "node".to_owned(),
        connects: true,
        local_pref: 100,
    };
    let every = bfd::Settings {
        transmit: Duration::from_millis(300),
        receive: Duration::from_millis(300),
        detect_multiplier: 3,
        passive: false,
        echo_receive: None,
        echo_transmit: None,
    };
    PeerSetup {
        settings,
        address: PeerAddress::Ip(address.ip()),
        port: address.port(),
        tcp: TcpOptions::default(),
        bfd: Some(BfdSetup {
            minimum_ttl: None,
            settings: every,
        }),
        vrf: None,
    }
}

/// Takes a connection, and has the session come up.
fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (mut stream, _) = listener.accept()?;
    let open = Message::Open(Open {
        my_as: u16::try_from(THEIRS).expect("a short number"),
        hold_time: 3,
        identifier: Ipv4Addr::new(10, 0, 0, 9),
        capabilities: vec![Capability::FourOctetAs(THEIRS)],
    });
    stream.write_all(&open.encode(CODEC))?;
    stream.write_all(&Message::Keepalive.encode(CODEC))?;
    Ok(stream)
}

/// Says no more than it has to; when it heard something.
fn stay_calm(listener: &TcpListener, ended: &AtomicBool) -> Vec<Instant> {
    let mut heard = Vec::new();
    let mut stream = accept(listener).expect("we connect");
    let every = Some(Duration::from_millis(900));
    stream
        .set_read_timeout(every)
        .expect("it can be waited for");
    let mut buf = [0; 4096];
    while !ended.load(Ordering::Relaxed) {
        match stream.read(&mut buf) {
            Ok(0) => break,
            Ok(_) => heard.push(Instant::now()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        let _ = stream.write_all(&Message::Keepalive.encode(CODEC));
    }
    heard
}

/// Announces as fast as it can, and reads nothing.
fn flood_with_updates(
    listener: &TcpListener,
    ended: &AtomicBool,
    count: &AtomicU64,
) -> io::Result<()> {
    let mut stream = accept(listener)?;
    let update = |n: u32| {
        let route = ipnet::Ipv4Net::new((0x0a00_0000 + n).into(), 32);
        let update = Message::Update(Update {
            attributes: Attributes {
                origin: Some(Origin::Igp),
                as_path: Some(AsPath::of(THEIRS)),
                next_hop: Some(Ipv4Addr::new(192, 0, 2, 9)),
                ..Attributes::default()
            },
            announced: vec![route.expect("a length")],
            ..Update::default()
        });
        update.encode(CODEC)
    };
    let thousand: Vec<_> = (0..1000).flat_map(update).collect();
    while !ended.load(Ordering::Relaxed) {
        stream.write_all(&thousand)?;
        count.fetch_add(1000, Ordering::Relaxed);
    }
    Ok(())
}

/// Sends what might be BFD packets as fast as it can; how many.
fn flood_with_datagrams(ended: &AtomicBool) -> io::Result<u64> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let mut count = 0;
    while !ended.load(Ordering::Relaxed) {
        // Nobody may listen yet.
        let _ = socket.send_to(&[0x20; 24], "127.0.0.1:3784");
        count += 1;
    }
    Ok(count)
}

/// As agreed on, the shortest that there is.
const HOLD: Duration = Duration::from_secs(3);
/// Long enough for the hold time to pass.
const FLOOD: Duration = Duration::from_secs(5);
