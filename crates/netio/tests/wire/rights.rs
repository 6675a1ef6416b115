//! What the speaker's pod may do is enough: `CAP_NET_RAW` and nothing else.

use std::process::Command;

use metallb_netio::{
    LinkWatch, Looped, LoopedSocket, MulticastGroups, NeighbourWatch, PacketSocket,
};

use crate::segment::{Segment, in_namespace};

#[test]
fn net_raw_alone_is_enough() {
    let Some(segment) = Segment::new() else {
        return;
    };
    let answer = in_namespace(&segment.near, || with_capabilities("-all,+net_raw"));
    assert!(
        answer.status.success(),
        "{}",
        String::from_utf8_lossy(&answer.stdout)
    );
}

#[test]
fn without_net_raw_the_error_says_so() {
    let Some(segment) = Segment::new() else {
        return;
    };
    let answer = in_namespace(&segment.near, || with_capabilities("-all"));
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert!(
        !answer.status.success() && said.contains("PermissionDenied"),
        "{said}"
    );
}

/// Runs the test below in a process that has these capabilities.
fn with_capabilities(capabilities: &str) -> std::process::Output {
    Command::new("setpriv")
        .args([
            "--bounding-set",
            capabilities,
            "--inh-caps",
            capabilities,
            "--",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "rights::inside"])
        .env(INSIDE, "1")
        .output()
        .unwrap()
}

/// No test of its own: the tests above run it in a process that has few capabilities.
#[test]
fn inside() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let here = metallb_netio::NetworkNamespace::current().unwrap();
    assert!(here.run(|| ()).is_err(), "CAP_SYS_ADMIN is gone");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut links = LinkWatch::open().unwrap();
        let near = links
            .changed()
            .await
            .unwrap()
            .values()
            .find(|i| i.name == "near0")
            .unwrap();
        MulticastGroups::new(near.index)
            .join("ff02::1:ff00:10".parse().unwrap())
            .unwrap();
        let arp = PacketSocket::arp(near.index).unwrap();
        PacketSocket::neighbor_discovery(near.index).unwrap();
        arp.send(&[0xff; 60]).await.unwrap();
        let looped = Looped {
            port: 3785,
            ttl: 254,
            mark: 1,
        };
        let looped = LoopedSocket::open(near.index, looped).unwrap();
        looped.send_to(&[0xff; 60], [0xff; 6]).unwrap();
        NeighbourWatch::open().unwrap().changed().await.unwrap();
    });
}

const INSIDE: &str = "METALLB_NETIO_TEST_INSIDE";
