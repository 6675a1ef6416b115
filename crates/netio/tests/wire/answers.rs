//! Real clients ask, the responder answers through real sockets.
use std::net::IpAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use crate::segment::{
    FAR_MAC, NEAR_LINK_LOCAL, NEAR_MAC, Segment, block_on, in_namespace, interface, ip, output,
};
use metallb_l2::router_discovery::{Input, Output, Station};
use metallb_l2::{Responder, RouterDiscovery, ndp};
use metallb_netio::{FRAME_MAX, MulticastGroups, NetworkNamespace, PacketSocket};
use tokio::sync::oneshot;

/// Answers for `addresses` on near0 while `client` runs.
fn answering<T>(near: &NetworkNamespace, addresses: &[&str], client: impl FnOnce() -> T) -> T {
    let (opened, open) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    thread::scope(|scope| {
        scope.spawn(|| block_on(near, || answer(addresses, opened, stopped)));
        open.recv().expect("the responder opens its sockets");
        let result = client();
        let _ = stop.send(());
        result
    })
}

async fn answer(addresses: &[&str], opened: mpsc::Sender<()>, mut stopped: oneshot::Receiver<()>) {
    let link = interface("near0", |i| i.running && i.link_local.is_some()).await;
    let mut responder = Responder::new(link.mac.unwrap().into(), link.link_local);
    let mut groups = MulticastGroups::new(link.index);
    for address in addresses.iter().map(|text| text.parse().unwrap()) {
        responder.announce(address);
        if let IpAddr::V6(v6) = address {
            groups.join(ndp::solicited_node(v6)).unwrap();
        }
    }
    let arp = PacketSocket::arp(link.index).unwrap();
    let solicitations = PacketSocket::neighbor_discovery(link.index).unwrap();
    opened.send(()).unwrap();
    let (mut request, mut asked) = ([0; FRAME_MAX], [0; FRAME_MAX]);
    loop {
        let (socket, frame) = tokio::select! {
            len = arp.recv(&mut request) => (&arp, &request[..len.unwrap()]),
            len = solicitations.recv(&mut asked) => (&solicitations, &asked[..len.unwrap()]),
            _ = &mut stopped => return,
        };
        if let Ok(answer) = responder.answer(frame) {
            socket.send(&answer.frame).await.unwrap();
        }
    }
}

#[test]
fn arping_hears_the_nodes_mac() {
    let Some(segment) = Segment::new() else {
        return;
    };
    answering(&segment.near, &["192.0.2.10"], || {
        in_namespace(&segment.far, || {
            let heard = output("arping -r -c 1 -w 2 -i far0 192.0.2.10");
            assert!(heard.contains(&NEAR_MAC.to_string()), "{heard}");
            let others = output("arping -r -c 1 -w 0.3 -i far0 192.0.2.11");
            assert!(!others.contains(&NEAR_MAC.to_string()), "{others}");
        });
    });
}

#[test]
fn ndisc6_hears_the_nodes_mac() {
    let Some(segment) = Segment::new() else {
        return;
    };
    answering(&segment.near, &["2001:db8::10"], || {
        in_namespace(&segment.far, || {
            let heard = output("ndisc6 -q -r 1 -w 2000 2001:db8::10 far0").to_lowercase();
            assert_eq!(heard.trim(), "02:00:00:00:00:0b");
            let others = output("ndisc6 -q -r 1 -w 300 2001:db8::11 far0");
            assert_eq!(others.trim(), "");
        });
    });
}

/// Looks for routers on near0, and says that one is there, until told to stop.
async fn discover(opened: mpsc::Sender<()>, mut stopped: oneshot::Receiver<()>) {
    let link = interface("near0", |i| i.running && i.link_local.is_some()).await;
    let mut groups = MulticastGroups::new(link.index);
    groups.join(ndp::router::ALL_ROUTERS).unwrap();
    let socket = PacketSocket::router_discovery(link.index).unwrap();
    let mut discovery = RouterDiscovery::new(1);
    let station = Station {
        mac: link.mac.unwrap().into(),
        link_local: link.link_local.unwrap(),
    };
    discovery.handle_input(Instant::now(), Input::Station(Some(station)));
    opened.send(()).unwrap();
    let mut frame = [0; FRAME_MAX];
    loop {
        while let Some(output) = discovery.poll_output() {
            if let Output::Send(frame) = output {
                socket.send(&frame).await.unwrap();
            }
        }
        let due = discovery.poll_timeout().unwrap().into();
        tokio::select! {
            len = socket.recv(&mut frame) => {
                let input = Input::Frame(&frame[..len.unwrap()]);
                discovery.handle_input(Instant::now(), input);
            }
            () = tokio::time::sleep_until(due) => discovery.handle_timeout(Instant::now()),
            _ = &mut stopped => return,
        }
    }
}

#[test]
fn rdisc6_hears_a_router_that_is_no_default_router() {
    let Some(segment) = Segment::new() else {
        return;
    };
    let (opened, open) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    thread::scope(|scope| {
        scope.spawn(|| block_on(&segment.near, || discover(opened, stopped)));
        open.recv().expect("the socket opens");
        in_namespace(&segment.far, || {
            let heard = output("rdisc6 -1 -r 1 -w 5000 far0");
            assert!(heard.contains("from fe80::b"), "{heard}");
            assert!(heard.contains("02:00:00:00:00:0B"), "{heard}");
            let routes = output("ip -6 route show default dev far0");
            assert_eq!(routes.trim(), "");
        });
        let _ = stop.send(());
    });
}

#[test]
fn rfc_4861_a_kernel_finds_the_node_and_stays_sure_of_it() {
    let Some(segment) = Segment::new() else {
        return;
    };
    answering(&segment.near, &["192.0.2.10", "2001:db8::10"], || {
        in_namespace(&segment.far, || {
            for address in ["192.0.2.10", "2001:db8::10"] {
                // Nobody answers the ping; what counts is that the kernel found somebody to ask.
                output(&format!("ping -c 1 -W 0.1 {address}"));
                let known = output(&format!("ip neighbour show {address} dev far0"));
                assert!(known.contains("lladdr 02:00:00:00:00:0b"), "{known}");
                // It asks this one station whether the address is still there.
                ip(&format!(
                    "neighbour replace {address} dev far0 lladdr {NEAR_MAC} nud probe"
                ));
                block_until(
                    &format!("ip neighbour show {address} dev far0"),
                    "REACHABLE",
                );
            }
        });
    });
}

#[test]
fn rfc_4862_a_kernel_that_wants_the_same_address_notices() {
    let Some(segment) = Segment::new() else {
        return;
    };
    answering(&segment.near, &["2001:db8::10"], || {
        in_namespace(&segment.far, || {
            ip("address add 2001:db8::10/64 dev far0");
            block_until("ip -6 address show dev far0 dadfailed", "2001:db8::10");
        });
    });
}

#[test]
fn a_neighbour_learns_of_a_move_from_the_announcement() {
    let Some(segment) = Segment::new() else {
        return;
    };
    let addresses = ["192.0.2.10", "2001:db8::10"];
    // However sure it is of where the address was, and however lately it has learnt that.
    for state in ["stale", "reachable", "delay", "probe"] {
        in_namespace(&segment.far, || {
            for address in addresses {
                ip(&format!(
                    "neighbour replace {address} dev far0 lladdr 02:00:00:00:00:99 nud {state}"
                ));
            }
        });
        block_on(&segment.near, || announced(&addresses));
        in_namespace(&segment.far, || {
            for address in addresses {
                block_until(
                    &format!("ip neighbour show {address}"),
                    "lladdr 02:00:00:00:00:0b",
                );
            }
        });
    }
}

/// Announces addresses at the near end, once.
async fn announced(addresses: &[&str]) {
    let link = interface("near0", |i| i.running && i.link_local.is_some()).await;
    let mut responder = Responder::new(link.mac.unwrap().into(), link.link_local);
    let socket = PacketSocket::arp(link.index).unwrap();
    for address in addresses.iter().map(|text| text.parse().unwrap()) {
        responder.announce(address);
        for frame in responder.announcements(address) {
            socket.send(&frame).await.unwrap();
        }
    }
}

#[test]
fn the_kernel_passes_on_arp_to_this_station_alone() {
    let Some(segment) = Segment::new() else {
        return;
    };
    let request = |destination: &str, rest: &str| {
        let text = format!("{destination} {FAR_MAC} {rest}").replace([' ', ':'], "");
        let digits: Vec<_> = text.chars().map(|c| c.to_digit(16).unwrap()).collect();
        digits
            .chunks(2)
            .map(|d| u8::try_from(d[0] << 4 | d[1]).unwrap())
            .collect::<Vec<u8>>()
    };
    let arp = "0806 0001 0800 06 04 0001 02000000000a c0000201 000000000000 c000020a";
    let reverse = arp.replace("04 0001", "04 0003");
    let broadcast = "ffffffffffff";
    let frames = [
        request(broadcast, &reverse),
        request("020000000077", arp), // another station's
        request(broadcast, &format!("8100 0064 {arp}")), // VLAN 100's
        request(broadcast, &arp.replace("0806 ", "0800 ")),
        request(broadcast, arp), // the one that counts
    ];
    block_on(&segment.near, || async {
        let link = interface("near0", |i| i.running).await;
        // In promiscuous mode the link itself takes in frames for other stations.
        ip("link set near0 promisc on");
        let socket = PacketSocket::arp(link.index).unwrap();
        // Our own requests are not heard.
        socket.send(&request(broadcast, arp)).await.unwrap();
        block_on(&segment.far, || async {
            let far = interface("far0", |i| i.running).await;
            let sender = PacketSocket::arp(far.index).unwrap();
            for frame in &frames {
                sender.send(frame).await.unwrap();
            }
        });
        let mut heard = [0; FRAME_MAX];
        let len = socket.recv(&mut heard).await.unwrap();
        assert_eq!(heard[..len], frames[4]);
    });
}

#[test]
fn a_new_socket_can_send_at_once() {
    let Some(segment) = Segment::new() else {
        return;
    };
    block_on(&segment.near, || async {
        let link = interface("near0", |i| i.running).await;
        let socket = PacketSocket::arp(link.index).unwrap();
        socket.try_send(&[0xff; 60]).unwrap();
    });
}

#[test]
fn a_bridge_hears_what_its_port_hears() {
    let Some(segment) = Segment::new() else {
        return;
    };
    block_on(&segment.near, || async {
        ip("link add bridge0 type bridge");
        ip("link set near0 master bridge0");
        ip("link set bridge0 up");
        let bridge = interface("bridge0", |i| i.running).await;
        let socket = PacketSocket::arp(bridge.index).unwrap();
        in_namespace(&segment.far, || {
            output("arping -r -c 1 -w 0.1 -i far0 192.0.2.10")
        });
        assert!(socket.recv(&mut [0; FRAME_MAX]).await.unwrap() >= 42);
    });
}

#[test]
fn a_socket_lives_through_a_link_that_goes_down_and_up() {
    let Some(segment) = Segment::new() else {
        return;
    };
    block_on(&segment.near, || async {
        let link = interface("near0", |i| i.running).await;
        let socket = PacketSocket::arp(link.index).unwrap();
        ip("link set near0 down");
        interface("near0", |i| !i.up).await;
        ip("link set near0 up");
        interface("near0", |i| i.running).await;
        in_namespace(&segment.far, || {
            output("arping -r -c 1 -w 0.1 -i far0 192.0.2.10")
        });
        let mut heard = [0; FRAME_MAX];
        assert!(socket.recv(&mut heard).await.unwrap() >= 42);
    });
}

#[test]
fn groups_are_counted_and_thousands_of_them_fit() {
    let Some(segment) = Segment::new() else {
        return;
    };
    let address = |n: u16| [0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into();
    let joined = || {
        output("ip maddress show dev near0")
            .matches("ff02::1:ff00:1")
            .count()
    };
    block_on(&segment.near, || async {
        let link = interface("near0", |i| i.running).await;
        let mut groups = MulticastGroups::new(link.index);
        let before = joined();
        for n in 0x1000..0x2000 {
            groups.join(ndp::solicited_node(address(n))).unwrap();
        }
        let one = ndp::solicited_node(address(0x1000));
        groups.join(one).unwrap();
        groups.leave(one).unwrap();
        assert_eq!(joined() - before, 0x1000, "still joined once");
        groups.leave(one).unwrap();
        groups.leave(one).unwrap();
        assert_eq!(joined() - before, 0xfff);
        drop(groups);
        assert_eq!(joined(), before);
        assert_eq!(link.link_local, Some(NEAR_LINK_LOCAL));
    });
}

/// Runs a command until it prints `wanted`.
fn block_until(command: &str, wanted: &str) {
    let until = Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let printed = output(command);
        if printed.contains(wanted) {
            return;
        }
        assert!(
            Instant::now() < until,
            "{command} never printed {wanted}: {printed}"
        );
        thread::sleep(std::time::Duration::from_millis(20));
    }
}
