//! Services that make no sense, and statuses that nobody should have written.

use super::*;
use crate::fixtures::pool;
use crate::watched::Ingress;

#[test]
fn two_that_hold_one_address_the_older_keeps_it() {
    let world = World::start(
        &[pool("pool", &["192.0.2.0/24"])],
        &[
            balancer("ns/young")
                .created(2)
                .ingress("pool", &["192.0.2.5"]),
            balancer("ns/old")
                .created(1)
                .ingress("pool", &["192.0.2.5"]),
        ],
    );
    assert_eq!(world.status("ns/old"), "pool: 192.0.2.5");
    assert_eq!(world.status("ns/young"), "pool: 192.0.2.0");
}

#[test]
fn nonsense_in_a_status_moves_nobody() {
    let pools = [pool("pool", &["192.0.2.0/24"])];
    let services = [balancer("ns/first"), balancer("ns/web").created(1)];
    let mut world = World::start(&pools, &services);
    assert_eq!(world.status("ns/web"), "pool: 192.0.2.1");
    world.delete("ns/first");
    world.apply(
        world.services["ns/web"]
            .clone()
            .ingress("pool", &["10.9.9.9"]),
    );
    assert_eq!(world.status("ns/web"), "pool: 192.0.2.1");
}

#[test]
fn requests_are_met_or_refused_with_upstreams_words() {
    for (service, status, event) in [
        (
            balancer("ns/web").annotation("metallb.io/loadBalancerIPs", "192.0.2.9"),
            "pool: 192.0.2.9",
            "Normal IPAllocated",
        ),
        (
            balancer("ns/web").annotation("metallb.universe.tf/address-pool", "second"),
            "second: 198.51.100.0",
            "Normal IPAllocated",
        ),
        (
            balancer("ns/web").annotation("metallb.io/address-pool", "none"),
            "",
            "unknown pool \"none\"",
        ),
        (
            balancer("ns/web").annotation("metallb.io/loadBalancerIPs", "10.1.1.1"),
            "",
            "[\"10.1.1.1\"] is not allowed in config",
        ),
        (
            balancer("ns/web").annotation("metallb.io/loadBalancerIPs", "x"),
            "",
            "invalid metallb.io/loadBalancerIPs: \"x\"",
        ),
        (
            balancer("ns/web").policy("RequireDualStack"),
            "",
            "Warning notEnoughClusterIPs web: Service requires dual stack but not enough clusterips [10.96.0.1]",
        ),
        (
            balancer("ns/web").cluster_ips(&["None"]),
            "",
            "Warning noclusterIPsIPFamily",
        ),
    ] {
        let pools = [
            pool("pool", &["192.0.2.0/24"]),
            pool("second", &["198.51.100.0/24"]),
        ];
        let world = World::start(&pools, &[service]);
        assert_eq!(world.status("ns/web"), status, "{:?}", world.events);
        assert!(
            world.events.iter().any(|it| it.contains(event)),
            "{event}: {:?}",
            world.events
        );
    }
}

/// Whatever a status holds that cannot stay, the Service gets an address, is told what was wrong,
/// and disturbs nobody.
#[test]
fn statuses_that_nobody_should_have_written() {
    let long = "a".repeat(253);
    for (ips, hostname, told) in [
        (
            &["203.0.113.9"][..],
            "",
            "[\"203.0.113.9\"] is not allowed in config",
        ),
        // One address of each of two pools.
        (
            &["192.0.2.9", "2001:db8::9"],
            "",
            "[\"192.0.2.9\" \"2001:db8::9\"] is not allowed in config",
        ),
        (&["192.0.2.9", "192.0.2.8"], "", "has the same family"),
        (
            &["192.0.2.9", "2001:db8::9", "192.0.2.8"],
            "",
            "more than two addresses",
        ),
        (&[], "lb.example.com", "\"lb.example.com\" is no address"),
        (
            &["192.0.2.9"],
            "lb.example.com",
            "\"lb.example.com\" is no address",
        ),
        (&["three apples"], "", "\"three apples\" is no address"),
        (&["192.0.2.300"], "", "\"192.0.2.300\" is no address"),
        (&[""], "", "\"\" is no address"),
        (&[&long], "", "is no address"),
        (&["адрес"], "", "\"адрес\" is no address"),
    ] {
        let mut odd = balancer("ns/odd").created(1).ingress("pool", ips);
        if !hostname.is_empty() {
            odd.status.load_balancer.ingress.push(Ingress {
                hostname: hostname.to_owned(),
                ..Ingress::default()
            });
        }
        let pools = [
            pool("pool", &["192.0.2.0/24"]),
            pool("v6", &["2001:db8::/64"]),
        ];
        let neighbour = balancer("ns/neighbour").ingress("pool", &["192.0.2.7"]);
        let mut world = World::start(&pools, &[odd, neighbour]);
        assert_eq!(
            world.status("ns/odd"),
            "pool: 192.0.2.0",
            "{ips:?} {hostname}"
        );
        assert_eq!(world.status("ns/neighbour"), "pool: 192.0.2.7");
        let events = world.take_events();
        assert!(events[0].contains(told), "{told}: {events:?}");
        assert!(
            events[1].starts_with("Normal IPAllocated odd"),
            "{events:?}"
        );
        assert_eq!(events.len(), 2);
        assert!(!world.take_writes().contains(&"ns/neighbour".to_owned()));
    }
}

/// Requests that make no sense leave a Service that has an address with it.
#[test]
fn requests_that_nobody_can_meet() {
    let long = "x".repeat(10_000);
    for (key, value) in [
        ("metallb.io/loadBalancerIPs", "192.0.2.300"),
        ("metallb.io/loadBalancerIPs", "адрес, 192.0.2.1"),
        ("metallb.io/loadBalancerIPs", ","),
        ("metallb.io/loadBalancerIPs", " "),
        ("metallb.io/loadBalancerIPs", "192.0.2.1,192.0.2.2"),
        (
            "metallb.io/loadBalancerIPs",
            "192.0.2.1,2001:db8::1,192.0.2.3",
        ),
        ("metallb.io/loadBalancerIPs", &long),
        ("metallb.universe.tf/loadBalancerIPs", "192.0.2.0/24"),
    ] {
        let pools = [pool("pool", &["192.0.2.0/24"])];
        let services = [balancer("ns/has"), balancer("ns/next").created(9)];
        let mut world = World::start(&pools, &services[..1]);
        world.take_events();
        world.apply(world.services["ns/has"].clone().annotation(key, value));
        assert_eq!(world.status("ns/has"), "pool: 192.0.2.0", "{key}: {value}");
        let events = world.take_events();
        let words = "Warning LoadBalancerFailed has: invalid requested loadbalancer IPs: ";
        assert!(events[0].starts_with(words), "{events:?}");
        world.apply(services[1].clone());
        assert_eq!(world.status("ns/next"), "pool: 192.0.2.1");
        // Without an address it gets none, and hears why.
        world.take_events();
        world.apply(balancer("ns/new").created(10).annotation(key, value));
        assert_eq!(world.status("ns/new"), "");
        let events = world.take_events();
        assert!(
            events[0].starts_with("Warning AllocationFailed new: "),
            "{events:?}"
        );
        assert!(
            world
                .condition("ns/new")
                .starts_with("False AllocationFailed: ")
        );
    }
}

#[test]
fn names_at_their_limits_and_unicode_are_as_good_as_any() {
    let (namespace, name) = ("n".repeat(63), "s".repeat(63));
    let key = format!("{namespace}/{name}");
    let long_pool = "p".repeat(253);
    let pools = [
        pool(&long_pool, &["192.0.2.0/32"]),
        pool("other", &["198.51.100.0/32"]),
    ];
    let service = balancer(&key)
        .annotation("metallb.io/address-pool", &long_pool)
        .annotation("metallb.io/allow-shared-ip", "ключ 🔑")
        .port("TCP", 1)
        .annotation("примечание", "что угодно\n\"'");
    let mut world = World::start(&pools, &[service]);
    assert_eq!(world.status(&key), format!("{long_pool}: 192.0.2.0"));
    let sharer = balancer("ns/sharer").created(1).port("TCP", 2);
    let sharer = sharer.annotation("metallb.io/allow-shared-ip", "ключ 🔑");
    world.apply(sharer.annotation("metallb.io/loadBalancerIPs", "192.0.2.0"));
    assert_eq!(world.ip("ns/sharer"), "192.0.2.0");
    let unknown = "несуществующий".repeat(20);
    world.apply(
        balancer("ns/lost")
            .created(2)
            .annotation("metallb.io/address-pool", &unknown),
    );
    assert_eq!(
        world.condition("ns/lost"),
        format!("False AllocationFailed: unknown pool {unknown:?}")
    );
    // All that it carries is still there.
    let annotations = world.services[&key].metadata.annotations.clone().unwrap();
    assert_eq!(annotations["примечание"], "что угодно\n\"'");
}

#[test]
fn addresses_of_two_pools_become_those_of_one() {
    let pools = [
        pool("first", &["192.0.2.0/24", "2001:db8::/64"]),
        pool("second", &["198.51.100.0/24", "2001:db8:1::/64"]),
    ];
    let service = balancer("ns/web")
        .dual_stack("RequireDualStack")
        .ingress("first", &["192.0.2.9", "2001:db8:1::9"]);
    let world = World::start(&pools, &[service]);
    assert!(world.events[0].starts_with("Normal ClearAssignment"));
    assert_eq!(world.status("ns/web"), "first: 192.0.2.0 2001:db8::");
}
