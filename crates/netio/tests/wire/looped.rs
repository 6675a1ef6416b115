//! Echo packets of BFD go to the other end of a cable, whose kernel forwards them back.
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use metallb_bfd::echo::{self, Echo};
use metallb_netio::{FRAME_MAX, Looped, LoopedSocket, NeighbourWatch, source_towards};
use tokio::time::timeout;

use crate::segment::{FAR_MAC, Segment, block_on, in_namespace, interface, ip, output};

const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const NEAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const MARK: u32 = 0x0102_0304;

fn echo(mark: u32, sequence: u64) -> Echo {
    Echo {
        mark,
        discriminator: 7,
        sequence,
        authenticator: 11,
    }
}

/// The near end has an address, and the far end forwards or does not.
fn segment() -> Option<Segment> {
    let segment = Segment::new()?;
    in_namespace(&segment.near, || {
        ip(&format!("address add {NEAR}/24 dev near0"));
    });
    forwards(&segment, true);
    Some(segment)
}

fn forwards(segment: &Segment, does: bool) {
    in_namespace(&segment.far, || {
        fs::write(
            "/proc/sys/net/ipv4/ip_forward",
            if does { "1" } else { "0" },
        )
        .unwrap();
    });
}

/// Where the far end is on this link.
async fn station(watch: &mut NeighbourWatch, ifindex: u32) -> [u8; 6] {
    loop {
        watch.changed().await.unwrap();
        if let Some(station) = watch.find(ifindex, FAR) {
            return station;
        }
    }
}

#[test]
fn echoes_come_back_from_who_forwards() {
    let Some(segment) = segment() else { return };
    block_on(&segment.near, || async {
        let near = interface("near0", |i| i.running).await;
        let looped = Looped {
            port: echo::PORT,
            ttl: echo::RETURNED_TTL,
            mark: MARK,
        };
        let socket = LoopedSocket::open(near.index, looped).unwrap();
        assert_eq!(source_towards(FAR.into()).unwrap(), NEAR);
        let mut watch = NeighbourWatch::open().unwrap();
        watch.changed().await.unwrap();
        assert_eq!(watch.find(near.index, FAR), None, "nobody has asked");
        output(&format!("ping -c 1 -W 1 {FAR}"));
        let station = station(&mut watch, near.index).await;
        assert_eq!(metallb_l2::MacAddr::from(station), FAR_MAC);

        let mut buf = [0; FRAME_MAX];
        // Foreign ones are dropped by the kernel, ours come back in order.
        for (mark, sequence) in [(MARK ^ 1, 1), (MARK, 2), (0, 3), (MARK, 4)] {
            let packet = echo(mark, sequence).encode(NEAR);
            socket.send_to(&packet, station).unwrap();
        }
        for sequence in [2, 4] {
            let len = socket.recv(&mut buf).await.unwrap();
            assert_eq!(Echo::decode(&buf[..len]), Some(echo(MARK, sequence)));
        }
        let none = socket.try_recv(&mut buf).unwrap_err();
        assert_eq!(none.kind(), std::io::ErrorKind::WouldBlock);

        forwards(&segment, false);
        let packet = echo(MARK, 5).encode(NEAR);
        socket.send_to(&packet, station).unwrap();
        let silence = timeout(Duration::from_millis(200), socket.recv(&mut buf)).await;
        assert!(silence.is_err(), "nobody forwards it");
        forwards(&segment, true);
        let packet = echo(MARK, 6).encode(NEAR);
        socket.send_to(&packet, station).unwrap();
        let len = socket.recv(&mut buf).await.unwrap();
        assert_eq!(Echo::decode(&buf[..len]), Some(echo(MARK, 6)));
    });
}

#[test]
fn a_neighbour_that_moves_is_known_where_it_is() {
    let Some(segment) = segment() else { return };
    block_on(&segment.near, || async {
        let near = interface("near0", |i| i.running).await;
        let mut watch = NeighbourWatch::open().unwrap();
        watch.changed().await.unwrap();
        for (change, expected) in [
            (
                "replace 192.0.2.1 dev near0 lladdr 02:00:00:00:00:99",
                Some([2, 0, 0, 0, 0, 0x99]),
            ),
            (
                "replace 192.0.2.1 dev near0 lladdr 02:00:00:00:00:77",
                Some([2, 0, 0, 0, 0, 0x77]),
            ),
            ("delete 192.0.2.1 dev near0", None),
        ] {
            ip(&format!("neighbour {change}"));
            while watch.find(near.index, FAR) != expected {
                watch.changed().await.unwrap();
            }
        }
    });
}
