//! The link watch sees what happens to real links.
use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::segment::{FAR_MAC, NEAR_LINK_LOCAL, NEAR_MAC, Segment, block_on, in_namespace, ip};
use metallb_netio::{Interface, LinkWatch};

/// Waits until near0 is as wanted.
async fn until(links: &mut LinkWatch, wanted: impl Fn(Option<&Interface>) -> bool) {
    while !wanted(named(links.changed().await.unwrap(), "near0")) {}
}

fn named<'a>(interfaces: &'a BTreeMap<u32, Interface>, name: &str) -> Option<&'a Interface> {
    interfaces.values().find(|interface| interface.name == name)
}

#[test]
fn the_first_list_has_everything() {
    let Some(segment) = Segment::new() else {
        return;
    };
    let far = block_on(&segment.far, || async {
        let mut links = LinkWatch::open().unwrap();
        named(links.changed().await.unwrap(), "far0")
            .cloned()
            .unwrap()
    });
    let all: Vec<IpAddr> = ["192.0.2.1", "2001:db8::1", "fe80::a"]
        .map(|text| text.parse().unwrap())
        .into();
    assert_eq!(far.addresses, all.into_iter().collect());
    assert_eq!(far.link_local, Some("fe80::a".parse().unwrap()));
    assert_eq!(far.mac, Some(FAR_MAC.octets()));
    assert!(far.up && far.running && far.broadcast && !far.noarp);
    assert_eq!(far.master, None);
}

#[test]
fn a_link_appears_changes_and_goes() {
    let Some(segment) = Segment::new() else {
        return;
    };
    block_on(&segment.near, || async {
        let mut links = LinkWatch::open().unwrap();
        until(&mut links, |near| near.is_some_and(|i| i.running)).await;

        // The cable is pulled: the far end goes down.
        in_namespace(&segment.far, || ip("link set far0 down"));
        until(&mut links, |near| near.is_some_and(|i| i.up && !i.running)).await;
        in_namespace(&segment.far, || ip("link set far0 up"));
        until(&mut links, |near| near.is_some_and(|i| i.running)).await;

        ip("link set near0 down");
        until(&mut links, |near| {
            near.is_some_and(|i| !i.up && i.link_local.is_none())
        })
        .await;

        // A link-local address counts once the kernel has checked it for duplicates.
        ip("link set near0 addrgenmode eui64");
        ip("link set near0 up");
        let own = "fe80::ff:fe00:b".parse().unwrap();
        until(&mut links, |near| {
            near.is_some_and(|i| i.link_local == Some(own))
        })
        .await;

        ip("link set near0 arp off address 02:00:00:00:00:0c");
        until(&mut links, |near| {
            near.is_some_and(|i| i.noarp && i.mac == Some([2, 0, 0, 0, 0, 12]))
        })
        .await;

        ip("link add bridge0 type bridge");
        ip("link set near0 master bridge0");
        until(&mut links, |near| near.is_some_and(|i| i.master.is_some())).await;
        ip("link set near0 nomaster");
        until(&mut links, |near| near.is_some_and(|i| i.master.is_none())).await;

        ip("link delete near0");
        until(&mut links, |near| near.is_none()).await;
    });
}

#[test]
fn an_address_comes_and_goes() {
    let Some(segment) = Segment::new() else {
        return;
    };
    block_on(&segment.near, || async {
        let mut links = LinkWatch::open().unwrap();
        let own: IpAddr = NEAR_LINK_LOCAL.into();
        until(&mut links, |near| {
            near.is_some_and(|i| i.addresses.contains(&own))
        })
        .await;
        assert_eq!(NEAR_MAC.octets()[0], 2);
        ip("address add 192.0.2.7/24 dev near0");
        let added = "192.0.2.7".parse().unwrap();
        until(&mut links, |near| {
            near.is_some_and(|i| i.addresses.contains(&added))
        })
        .await;
        ip("address delete 192.0.2.7/24 dev near0");
        ip(&format!("address delete {NEAR_LINK_LOCAL}/64 dev near0"));
        until(&mut links, |near| {
            near.is_some_and(|i| i.addresses.is_empty())
        })
        .await;
    });
}

#[test]
fn lost_notifications_are_made_up_for() {
    let Some(segment) = Segment::new() else {
        return;
    };
    block_on(&segment.near, || async {
        let mut links = LinkWatch::open().unwrap();
        until(&mut links, |near| near.is_some()).await;
        // More changes than the socket's buffer holds, while nobody reads.
        let changes =
            (0..4000).map(|n| format!("address add 10.{}.{}.1/32 dev near0", n / 250, n % 250));
        ip_batch(&changes.collect::<Vec<_>>().join("\n"));
        until(&mut links, |near| {
            near.is_some_and(|i| i.addresses.len() == 4001)
        })
        .await;
    });
}

fn ip_batch(lines: &str) {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    ip.stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    assert!(ip.wait().unwrap().success());
}
