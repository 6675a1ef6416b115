//! The cluster's address plan, beyond the addresses of places themselves.

use std::net::IpAddr;

use crate::{options::Family, place::Place};

/// The first address of each Service network is the API server's.
pub(crate) const API_SERVICE: [&str; 2] = ["10.96.0.1", "fd00:10:96::1"];
/// Where cluster DNS would answer.
pub(crate) const DNS_SERVICE: [&str; 2] = ["10.96.0.10", "fd00:10:96::a"];
/// The API server's port, on all its addresses.
pub(crate) const API_PORT: u16 = 6443;
/// The registry's name in image references; it stays the same where there is no IPv4.
pub(crate) const REGISTRY: &str = "192.0.2.2:5000";
/// On the fabric's addresses.
pub(crate) const REGISTRY_PORT: u16 = 5000;

/// The networks of all Services.
pub(crate) fn services(family: Family) -> String {
    family.join("10.96.0.0/16", "fd00:10:96::/112")
}

/// The networks of all pods.
pub(crate) fn pods(family: Family) -> String {
    family.join("10.244.0.0/16", "fd00:10:244::/48")
}

/// The pod network of one node, IPv4 and IPv6.
pub(crate) fn pods_of(node: Place) -> (String, String) {
    let number = match node {
        Place::Node(n) => n,
        _ => 0,
    };
    (
        format!("10.244.{number}.0/24"),
        format!("fd00:10:244:{number}::/64"),
    )
}

/// The address that a place is known by in Kubernetes; IPv4 if it has one.
pub(crate) fn first_address(place: Place, family: Family) -> IpAddr {
    let address = place.address();
    if family.ipv4() {
        address.v4.into()
    } else {
        address.v6.into()
    }
}
