//! Links that not every kernel has, by the messages with which one that has them tells of them.

use super::*;

/// `IFF_UP`, `IFF_BROADCAST`, `IFF_RUNNING`, `IFF_MULTICAST`, `IFF_LOWER_UP`.
const RUNNING: u32 = 0x1 | 0x2 | 0x40 | 0x1000 | 0x1_0000;
/// `IFF_MASTER` and `IFF_SLAVE`: what carries a bond, and what it is made of.
const MASTER: u32 = 0x400;
const SLAVE: u32 = 0x800;
/// Attributes of `linux/if_link.h`.
const ADDRESS: u16 = 1;
const NAME: u16 = 3;
const LINK: u16 = 5;
const MASTER_INDEX: u16 = 10;
const LINK_INFO: u16 = 18;
const INFO_KIND: u16 = 1;

/// A message `RTM_NEWLINK` as the kernel lays it out.
fn new_link(index: u32, flags: u32, attributes: &[Vec<u8>]) -> NetlinkMessage<RouteNetlinkMessage> {
    let body = attributes.concat();
    let mut bytes = Vec::new();
    let length = u32::try_from(32 + body.len()).unwrap();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(16_u16.to_ne_bytes());
    // Flags, sequence, port: it answers nobody.
    bytes.extend([0; 10]);
    // Any family; ARPHRD_ETHER.
    bytes.extend([0, 0, 1, 0]);
    bytes.extend(index.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0xff; 4]);
    bytes.extend(body);
    NetlinkMessage::deserialize(&bytes).unwrap()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn named(name: &str, mac: u8, kind: &str) -> Vec<Vec<u8>> {
    let mut all = vec![
        attribute(NAME, &[name.as_bytes(), &[0]].concat()),
        attribute(ADDRESS, &[2, 0, 0, 0, 0, mac]),
    ];
    if !kind.is_empty() {
        let kind = attribute(INFO_KIND, &[kind.as_bytes(), &[0]].concat());
        all.push(attribute(LINK_INFO, &kind));
    }
    all
}

fn interface(links: &Links, name: &str) -> Interface {
    let mut all = links.interfaces.values();
    all.find(|it| it.name == name).unwrap().clone()
}

#[test]
fn a_bond_announces_and_its_slaves_do_not() {
    let mut links = Links::default();
    links.take_in(new_link(5, RUNNING | MASTER, &named("bond0", 5, "bond")));
    for (index, name) in [(2, "eth0"), (3, "eth1")] {
        let mut slave = named(name, 5, "");
        slave.push(attribute(MASTER_INDEX, &5_u32.to_ne_bytes()));
        links.take_in(new_link(index, RUNNING | SLAVE, &slave));
    }
    let bond = interface(&links, "bond0");
    assert!(bond.up && bond.running && bond.broadcast && bond.master.is_none());
    assert_eq!(bond.mac, Some([2, 0, 0, 0, 0, 5]));
    for name in ["eth0", "eth1"] {
        assert_eq!(interface(&links, name).master, Some(5), "{name}");
    }
    // Both cables are pulled; the bond is up and carries nothing.
    let no_carrier = (RUNNING | MASTER) & !(0x40 | 0x1_0000);
    links.take_in(new_link(5, no_carrier, &named("bond0", 5, "bond")));
    let bond = interface(&links, "bond0");
    assert!(bond.up && !bond.running);
    // A slave is let go, and is a link like any other.
    links.take_in(new_link(2, RUNNING, &named("eth0", 2, "")));
    assert_eq!(interface(&links, "eth0").master, None);
}

#[test]
fn a_vlan_announces_beside_the_link_that_it_is_on() {
    let mut links = Links::default();
    links.take_in(new_link(2, RUNNING, &named("eth0", 2, "")));
    let mut vlan = named("eth0.10", 2, "vlan");
    vlan.push(attribute(LINK, &2_u32.to_ne_bytes()));
    links.take_in(new_link(7, RUNNING, &vlan));
    let vlan = interface(&links, "eth0.10");
    assert!(vlan.running && vlan.broadcast && vlan.master.is_none());
    assert_eq!(vlan.index, 7);
    assert_eq!(vlan.mac, interface(&links, "eth0").mac, "that of its link");
    assert!(interface(&links, "eth0").master.is_none());
}
