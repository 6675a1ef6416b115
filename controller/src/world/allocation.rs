//! Who gets which address.

use metallb_crds::v1beta1::ServiceAllocation;

use super::*;
use crate::fixtures::pool;

#[test]
fn the_lowest_address_goes_to_the_oldest_service() {
    let mut world = World::start(
        &[pool("pool", &["192.0.2.0/24"])],
        &[balancer("a/young").created(2), balancer("z/old").created(1)],
    );
    assert_eq!(world.status("z/old"), "pool: 192.0.2.0");
    assert_eq!(world.status("a/young"), "pool: 192.0.2.1");
    assert_eq!(
        world.take_events(),
        [
            "Normal IPAllocated old: Assigned IP [\"192.0.2.0\"]",
            "Normal IPAllocated young: Assigned IP [\"192.0.2.1\"]",
        ]
    );
}

#[test]
fn a_restart_takes_in_what_is_assigned_before_it_gives_out() {
    let held = balancer("ns/held")
        .created(9)
        .ingress("pool", &["192.0.2.0"]);
    let mut world = World::start(
        &[pool("pool", &["192.0.2.0/24"])],
        &[balancer("ns/waits").created(1), held],
    );
    assert_eq!(world.status("ns/held"), "pool: 192.0.2.0");
    assert_eq!(world.status("ns/waits"), "pool: 192.0.2.1");
    assert_eq!(
        world.take_events(),
        ["Normal IPAllocated waits: Assigned IP [\"192.0.2.1\"]"],
        "what is as it should be is not touched"
    );
}

#[test]
fn dual_stack_is_one_of_each_family() {
    for (policy, pools, status) in [
        (
            "RequireDualStack",
            pool("both", &["192.0.2.1/32", "2001:db8::1/128"]),
            "both: 192.0.2.1 2001:db8::1",
        ),
        (
            "PreferDualStack",
            pool("both", &["192.0.2.1/32", "2001:db8::1/128"]),
            "both: 192.0.2.1 2001:db8::1",
        ),
        (
            "PreferDualStack",
            pool("v4", &["192.0.2.1/32"]),
            "v4: 192.0.2.1",
        ),
        ("RequireDualStack", pool("v4", &["192.0.2.1/32"]), ""),
    ] {
        let world = World::start(&[pools], &[balancer("ns/dual").dual_stack(policy)]);
        assert_eq!(
            world.status("ns/dual"),
            status,
            "{policy}: {:?}",
            world.events
        );
    }
}

#[test]
fn the_second_family_comes_when_there_is_one() {
    let mut world = World::start(
        &[pool("pool", &["192.0.2.1/32"])],
        &[balancer("ns/dual").dual_stack("PreferDualStack")],
    );
    assert_eq!(
        world.take_events(),
        [
            "Normal IPAllocated dual: Assigned IP [\"192.0.2.1\"]",
            "Normal AdditionalAssignFailed dual: cannot assign additional IP in PreferDualStack: \
             no available IPs in pool \"pool\"",
        ]
    );
    world.apply_pool(pool("pool", &["192.0.2.1/32", "2001:db8::/64"]));
    assert_eq!(world.status("ns/dual"), "pool: 192.0.2.1 2001:db8::");
    assert_eq!(
        world.take_events(),
        ["Normal IPAllocated dual: Assigned additional IP \"2001:db8::\""]
    );
}

#[test]
fn an_exhausted_pool_is_told_once_and_a_freed_address_goes_to_who_waits() {
    let mut world = World::start(
        &[pool("pool", &["192.0.2.1/32"])],
        &[
            balancer("ns/first").created(1),
            balancer("ns/second").created(2),
            balancer("ns/third").created(3),
        ],
    );
    let refused = |name: &str| {
        format!(
            "Warning AllocationFailed {name}: Failed to allocate IP for \"ns/{name}\": no available IPs"
        )
    };
    assert_eq!(
        world.take_events()[1..],
        [refused("second"), refused("third")]
    );

    // Something else happens: no second complaint.
    world.apply(
        world.services["ns/second"]
            .clone()
            .annotation("note", "hello"),
    );
    world.apply_pool(pool("other", &["198.51.100.0/32"]));
    assert_eq!(world.status("ns/second"), "other: 198.51.100.0");
    assert_eq!(
        world.take_events().len(),
        1,
        "third is still refused, for the same reason"
    );

    world.delete("ns/first");
    assert_eq!(world.status("ns/third"), "pool: 192.0.2.1");
    assert_eq!(
        world.take_events(),
        ["Normal IPAllocated third: Assigned IP [\"192.0.2.1\"]"]
    );
}

#[test]
fn a_second_family_of_a_reserved_pool_goes_past_an_older_service_that_may_not_have_it() {
    let mut reserved = pool("reserved", &["192.0.2.1-192.0.2.2", "2001:db8::1/128"]);
    reserved.spec.service_allocation = Some(ServiceAllocation {
        namespaces: vec!["other".to_owned()],
        ..ServiceAllocation::default()
    });
    let both = |key| balancer(key).dual_stack("PreferDualStack");
    let strange = balancer("ns/strange").cluster_ips(&["fd00::1"]);
    let services = [
        strange.annotation("metallb.io/address-pool", "reserved"),
        both("other/first").created(1),
        both("other/second").created(2),
    ];
    let mut world = World::start(&[reserved], &services);
    assert_eq!(world.status("other/second"), "reserved: 192.0.2.2");
    world.delete("other/first");
    assert_eq!(
        world.status("other/second"),
        "reserved: 192.0.2.2 2001:db8::1"
    );
}

#[test]
fn a_service_that_stops_being_a_balancer_is_cleared_and_its_address_freed() {
    for type_ in ["ClusterIP", "NodePort", "ExternalName"] {
        let mut world = World::start(
            &[pool("pool", &["192.0.2.1/32"])],
            &[
                balancer("ns/was").created(1),
                balancer("ns/waits").created(2),
            ],
        );
        assert_eq!(world.status("ns/was"), "pool: 192.0.2.1");
        world.apply(world.services["ns/was"].clone().type_(type_));
        assert_eq!(world.status("ns/was"), "", "{type_}");
        assert_eq!(world.status("ns/waits"), "pool: 192.0.2.1", "{type_}");
    }
}

#[test]
fn only_services_of_our_class_are_served() {
    for (flag, class, served) in [
        ("", None, true),
        ("", Some("other"), false),
        ("ours", None, false),
        ("ours", Some("ours"), true),
    ] {
        let mut service = balancer("ns/web");
        if let Some(class) = class {
            service = service.class(class);
        }
        let mut world = World::empty(flag);
        world.learn(&[pool("pool", &["192.0.2.0/24"])]);
        world.lead(true);
        world.apply(service);
        assert_eq!(
            !world.status("ns/web").is_empty(),
            served,
            "--lb-class={flag:?} class {class:?}"
        );
    }
}
