//! Statuses that nobody should have written, and requests that came later.

use super::*;
use crate::fixtures::pool;
use crate::watched::Ingress;

fn pools() -> [IPAddressPool; 2] {
    [
        pool("first", &["192.0.2.0/24", "2001:db8::/64"]),
        pool("second", &["198.51.100.0/24", "2001:db8:1::/64"]),
    ]
}

fn said(world: &World, words: &str) {
    let events = &world.events;
    assert!(
        events.iter().any(|event| event.contains(words)),
        "{words}: {events:?}"
    );
}

#[test]
fn what_no_service_can_hold_is_told_and_replaced() {
    let host_name = |name: &str| Ingress {
        hostname: name.to_owned(),
        ..Ingress::default()
    };
    let text = |text: &str| Ingress {
        ip: text.to_owned(),
        ..Ingress::default()
    };
    for (ingress, words) in [
        (
            vec![host_name("web.example.org")],
            "Warning nolbIPsIPFamily web: Failed to retrieve LBIPs IPFamily for \"web.example.org\"",
        ),
        (
            vec![text("адрес")],
            "Warning nolbIPsIPFamily web: Failed to retrieve LBIPs IPFamily for \"адрес\"",
        ),
        (
            vec![text("192.0.2.1"), text("192.0.2.2")],
            "Warning nolbIPsIPFamily web: Failed to retrieve LBIPs IPFamily for \"192.0.2.1\"",
        ),
        (
            vec![text("10.9.9.9")],
            "Normal ClearAssignment web: current IP for \"ns/web\" not allowed by config",
        ),
    ] {
        let mut service = balancer("ns/web");
        service.status.load_balancer.ingress = ingress;
        let world = World::start(&pools(), &[service, balancer("ns/other").created(1)]);
        said(&world, words);
        assert_eq!(world.status("ns/web"), "first: 192.0.2.0", "{words}");
        assert_eq!(world.status("ns/other"), "first: 192.0.2.1", "{words}");
    }
}

#[test]
fn addresses_of_two_pools_become_those_of_one() {
    let service = balancer("ns/web")
        .dual_stack("RequireDualStack")
        .ingress("first", &["192.0.2.9", "2001:db8:1::9"]);
    let world = World::start(&pools(), &[service]);
    said(&world, "Normal ClearAssignment");
    assert_eq!(world.status("ns/web"), "first: 192.0.2.0 2001:db8::");
}

#[test]
fn a_request_that_makes_no_sense_takes_nothing_away() {
    let mut world = World::start(&pools(), &[balancer("ns/web")]);
    let held = world.services["ns/web"].clone();
    world.take_events();
    for both in ["192.0.2.7,192.0.2.8", "nowhere"] {
        world.apply(held.clone().annotation("metallb.io/loadBalancerIPs", both));
        said(
            &world,
            "Warning LoadBalancerFailed web: invalid requested loadbalancer IPs: ",
        );
        assert_eq!(world.ip("ns/web"), "192.0.2.0");
        world.take_events();
    }
}

#[test]
fn an_old_annotation_is_told_of_with_the_next_write() {
    let old = "metallb.universe.tf/address-pool";
    let service = balancer("ns/web").annotation(old, "second");
    let mut world = World::start(&pools(), &[service]);
    assert_eq!(world.status("ns/web"), "second: 198.51.100.0");
    said(
        &world,
        "Warning deprecatedAnnotation web: Service uses deprecated annotation metallb.universe.tf/address-pool",
    );
    // The new name goes first.
    let both = world.services["ns/web"].clone();
    world.apply(both.annotation("metallb.io/address-pool", "first"));
    assert_eq!(world.status("ns/web"), "first: 192.0.2.0");
}
