//! Requests for addresses that are not ours, at the pace of a large segment, and datagrams that are
//! no heartbeats, at the pace of an attack.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use metallb_membership::{Input, Key, Membership, Own, Settings};
use metallb_netio::plain_packet_socket;

use crate::segment::{FAR, Segment};
use crate::wire::{ARP, arp_request, link};

/// The share of a processor that 10,000 foreign ARP requests a second take at 5,000 addresses, in
/// percent. Needs root.
///
/// # Errors
/// The link cannot be made.
pub fn foreign_requests() -> Result<f64> {
    let ours: Vec<_> = (0..ADDRESSES).map(|n| address(OURS, n)).collect();
    let ((), effort) = Segment::new()?.answering(&ours, || {
        let socket = plain_packet_socket(link("far0")?.index, ARP)?;
        let start = Instant::now();
        for millisecond in 0..SECONDS * 1000 {
            for n in 0..PER_MILLISECOND {
                let target = (millisecond * PER_MILLISECOND + n) % ADDRESSES;
                let IpAddr::V4(target) = address(THEIRS, target) else {
                    continue;
                };
                socket.send(&arp_request(FAR, ASKER, target))?;
            }
            // The pace of the flood, not a wait for something.
            let next = start + Duration::from_millis(u64::from(millisecond + 1));
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(())
    })?;
    Ok(effort.processor.as_secs_f64() / effort.elapsed.as_secs_f64() * 100.0)
}

/// Nanoseconds that a speaker spends on a datagram under another key than the cluster's.
pub fn forged_heartbeat() -> f64 {
    let now = Instant::now();
    let peers = || (0..100).map(|n| (format!("n{n}"), node(n))).collect();
    let speaker = |secret: &[u8]| {
        let own = Own {
            name: "n0".to_owned(),
            incarnation: 1,
            session: [1; 16],
            key: Key::derive(secret),
            state: [].into(),
        };
        let mut speaker = Membership::new(now, own, Settings::default());
        speaker.handle_input(now, Input::Peers(peers()));
        speaker
    };
    let (mut ours, mut theirs) = (speaker(b"ours"), speaker(b"theirs"));
    let forged = std::iter::from_fn(|| theirs.poll_output());
    let forged = forged.filter_map(|output| match output {
        metallb_membership::Output::Send { bytes, .. } => Some(bytes),
        metallb_membership::Output::Members(_) => None,
    });
    let forged: Vec<_> = forged.collect();
    let start = Instant::now();
    for bytes in forged.iter().cycle().take(FORGED) {
        let from = node(1);
        ours.handle_input(now, Input::Datagram { from, bytes });
        black_box(&mut ours);
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(u32::try_from(FORGED).unwrap_or(u32::MAX))
}

fn address(first: Ipv4Addr, number: u32) -> IpAddr {
    Ipv4Addr::from_bits(first.to_bits() + number).into()
}

fn node(number: u32) -> SocketAddr {
    (address(Ipv4Addr::new(192, 0, 2, 0), number), 7946).into()
}

const ADDRESSES: u32 = 5000;
const SECONDS: u32 = 3;
const PER_MILLISECOND: u32 = 10;
const FORGED: usize = 100_000;
const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 0);
const ASKER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
