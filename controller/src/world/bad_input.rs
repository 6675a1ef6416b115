//! Services that make no sense, and statuses that nobody should have written.

use super::*;
use crate::fixtures::pool;

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
