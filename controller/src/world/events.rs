//! The table of Events: what is said of a Service, when. Upstream's types, reasons and words.

use std::collections::BTreeSet;

use super::*;
use crate::fixtures::pool;

/// Every type and reason that there is.
const TABLE: [&str; 10] = [
    "Normal AdditionalAssignFailed",
    "Normal ClearAssignment",
    "Normal IPAllocated",
    "Warning AllocationFailed",
    "Warning InvalidConfiguration",
    "Warning LoadBalancerFailed",
    "Warning deprecatedAnnotation",
    "Warning noClusterIPs",
    "Warning noclusterIPsIPFamily",
    "Warning nolbIPsIPFamily",
];
// `notEnoughClusterIPs` is told apart below: upstream's reason has spaces.

fn pools() -> [IPAddressPool; 3] {
    let mut asked = pool("asked", &["203.0.113.1/32"]);
    asked.spec.auto_assign = false;
    [
        pool("v4", &["192.0.2.0/31"]),
        asked,
        pool("bad", &["192.0.2.0/33"]),
    ]
}

#[test]
fn every_event_of_the_table_is_said_in_its_words() {
    const ASK: &str = "metallb.io/address-pool";
    let mut seen = BTreeSet::new();
    for (service, said) in [
        (
            balancer("ns/web"),
            "Normal IPAllocated web: Assigned IP [\"192.0.2.0\"]",
        ),
        (
            balancer("ns/web").ingress("gone", &["10.9.9.9"]),
            "Normal ClearAssignment web: current IP for \"ns/web\" not allowed by config, will \
             attempt for new IP assignment: [\"10.9.9.9\"] is not allowed in config",
        ),
        (
            balancer("ns/web").dual_stack("PreferDualStack"),
            "Normal AdditionalAssignFailed web: cannot assign additional IP in PreferDualStack: \
             no available IPs in pool \"v4\" for ipv6 IPFamily",
        ),
        (
            balancer("ns/web").dual_stack("RequireDualStack"),
            "Warning AllocationFailed web: Failed to allocate IP for \"ns/web\": no available IPs",
        ),
        (
            balancer("ns/web")
                .annotation(ASK, "asked")
                .cluster_ips(&["fd00::1"]),
            "Warning AllocationFailed web: Failed to allocate IP for \"ns/web\": no available IPs \
             in pool \"asked\" for ipv6 IPFamily",
        ),
        (
            balancer("ns/web").annotation(ASK, "none"),
            "Warning AllocationFailed web: Failed to allocate IP for \"ns/web\": unknown pool \
             \"none\"",
        ),
        (
            balancer("ns/web").annotation("metallb.io/loadBalancerIPs", "1.2.3.4"),
            "Warning AllocationFailed web: Failed to allocate IP for \"ns/web\": [\"1.2.3.4\"] is \
             not allowed in config",
        ),
        (
            balancer("ns/web")
                .ingress("v4", &["192.0.2.0"])
                .annotation("metallb.io/loadBalancerIPs", "x"),
            "Warning LoadBalancerFailed web: invalid requested loadbalancer IPs: invalid \
             metallb.io/loadBalancerIPs: \"x\"",
        ),
        (
            balancer("ns/web").policy("RequireDualStack"),
            "Warning notEnoughClusterIPs web: Service requires dual stack but not enough \
             clusterips [10.96.0.1]",
        ),
        (
            balancer("ns/web").cluster_ips(&[]),
            "Warning noClusterIPs web: Service has no cluster IP",
        ),
        (
            balancer("ns/web").cluster_ips(&["None"]),
            "Warning noclusterIPsIPFamily web: Failed to retrieve ClusterIPs IPFamily for \
             [\"None\"]: \"None\" is no address",
        ),
        (
            balancer("ns/web").ingress("v4", &["192.0.2.0", "192.0.2.1"]),
            "Warning nolbIPsIPFamily web: Failed to retrieve LBIPs IPFamily for [\"192.0.2.0\" \
             \"192.0.2.1\"]: \"192.0.2.0\" \"192.0.2.1\" has the same family",
        ),
        (
            balancer("ns/web").annotation("metallb.universe.tf/address-pool", "v4"),
            "Warning deprecatedAnnotation web: Service uses deprecated annotation \
             metallb.universe.tf/address-pool",
        ),
        (
            balancer("ns/web"),
            "Warning InvalidConfiguration bad: invalid CIDR \"192.0.2.0/33\" in pool \"bad\": ",
        ),
    ] {
        let world = World::start(&pools(), &[service]);
        assert!(
            world.events.iter().any(|event| event.starts_with(said)),
            "{said}: {:?}",
            world.events
        );
        let (kind, _) = said.split_at(said.find(' ').unwrap());
        let reason = said.split(' ').nth(1).unwrap();
        seen.insert(format!("{kind} {reason}"));
    }
    seen.remove("Warning notEnoughClusterIPs");
    assert_eq!(seen, TABLE.map(str::to_owned).into());
}

#[test]
fn a_used_up_pool_that_is_asked_for_is_named() {
    let ask = |name| balancer(name).annotation("metallb.io/address-pool", "asked");
    let services = [ask("ns/one"), ask("ns/two").created(1)];
    let mut world = World::start(&pools(), &services);
    let events = world.take_events();
    let words = "Failed to allocate IP for \"ns/two\": no available IPs in pool \"asked\"";
    assert!(
        events.iter().any(|event| event.ends_with(words)),
        "{events:?}"
    );
    assert_eq!(
        world.condition("ns/two"),
        "False AllocationFailed: no available IPs in pool \"asked\""
    );
}

/// Rows of the table of annotations, of those that nothing else is about.
#[test]
fn the_present_prefix_wins_over_the_old_one() {
    for (key, new, old, status) in [
        ("address-pool", "asked", "v4", "asked: 203.0.113.1"),
        ("loadBalancerIPs", "192.0.2.1", "192.0.2.0", "v4: 192.0.2.1"),
    ] {
        let with = |service: WatchedService, prefix: &str, value| {
            service.annotation(&format!("{prefix}/{key}"), value)
        };
        let both = with(balancer("ns/web"), "metallb.io", new);
        let both = with(both, "metallb.universe.tf", old);
        assert_eq!(World::start(&pools(), &[both]).status("ns/web"), status);
        // Present and empty, it asks for nothing.
        let empty = with(balancer("ns/web"), "metallb.io", "");
        let empty = with(empty, "metallb.universe.tf", old);
        assert_eq!(
            World::start(&pools(), &[empty]).status("ns/web"),
            "v4: 192.0.2.0"
        );
        let old = with(balancer("ns/web"), "metallb.universe.tf", new);
        assert_eq!(World::start(&pools(), &[old]).status("ns/web"), status);
    }
}

/// The annotation of the pool is written under the present key alone, and what stands under the
/// old one goes.
#[test]
fn the_pool_is_written_under_the_present_key() {
    let old = "metallb.universe.tf/ip-allocated-from-pool";
    let service = balancer("ns/web").annotation(old, "v4");
    let mut world = World::start(&pools(), &[service]);
    let annotations = |world: &World| {
        let meta = &world.services["ns/web"].metadata;
        meta.annotations.clone().unwrap_or_default()
    };
    let key = "metallb.io/ip-allocated-from-pool".to_owned();
    assert_eq!(annotations(&world), [(key, "v4".to_owned())].into());
    world.apply(world.services["ns/web"].clone().type_("ClusterIP"));
    assert_eq!(annotations(&world), [].into());
}
