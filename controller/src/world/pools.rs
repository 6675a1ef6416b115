//! Pools that change, go, or are no good.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use metallb_crds::v1beta1::ServiceAllocation;

use super::*;
use crate::fixtures::pool;

fn reserved(mut pool: IPAddressPool, selector: (&str, &str)) -> IPAddressPool {
    let labels = [(selector.0.to_owned(), selector.1.to_owned())].into();
    pool.spec.service_allocation = Some(ServiceAllocation {
        namespace_selectors: vec![LabelSelector {
            match_labels: Some(labels),
            ..LabelSelector::default()
        }],
        ..ServiceAllocation::default()
    });
    pool
}

#[test]
fn an_invalid_pool_says_so_once_and_the_others_work() {
    let mut world = World::start(
        &[
            pool("bad", &["10.0.0.300/32"]),
            pool("good", &["192.0.2.0/24"]),
        ],
        &[balancer("ns/web")],
    );
    assert_eq!(world.status("ns/web"), "good: 192.0.2.0");
    let events = world.take_events();
    assert!(
        events[0].starts_with("Warning InvalidConfiguration bad: ")
            && events[0].contains("10.0.0.300"),
        "{events:?}"
    );
    world.apply_pool(pool("another", &["198.51.100.0/24"]));
    assert_eq!(world.take_events(), [""; 0], "told once");
    assert!(world.is_stale());
    world.apply_pool(pool("bad", &["10.0.0.3/32"]));
    assert!(!world.is_stale());
}

#[test]
fn an_invalid_edit_leaves_the_last_valid_form_in_effect() {
    let mut world = World::start(
        &[pool("pool", &["192.0.2.0/24"])],
        &[balancer("ns/old").created(1)],
    );
    world.apply_pool(pool("pool", &["192.0.2.9-192.0.2.1"]));
    world.apply(balancer("ns/new").created(2));
    assert_eq!(world.status("ns/old"), "pool: 192.0.2.0");
    assert_eq!(world.status("ns/new"), "pool: 192.0.2.1");
}

#[test]
fn what_is_held_from_an_invalid_pool_stays_over_a_restart() {
    let mut world = World::start(
        &[
            pool("broken", &["oops"]),
            pool("spare", &["198.51.100.0/24"]),
        ],
        &[balancer("ns/web").ingress("broken", &["192.0.2.7"])],
    );
    assert_eq!(world.status("ns/web"), "broken: 192.0.2.7");
    // Mended, with an older Service waiting that must not be given the address.
    world.apply(
        balancer("ns/greedy")
            .created(0)
            .annotation("metallb.io/address-pool", "broken"),
    );
    world.apply_pool(pool("broken", &["192.0.2.7-192.0.2.8"]));
    assert_eq!(world.status("ns/web"), "broken: 192.0.2.7");
    assert_eq!(world.status("ns/greedy"), "broken: 192.0.2.8");
    // Gone: now it is replaced, as upstream does.
    world.delete_pool("broken");
    assert_eq!(world.status("ns/web"), "spare: 198.51.100.0");
}

#[test]
fn no_pool_at_all_is_said_and_the_first_pool_helps() {
    let mut world = World::start(&[], &[balancer("ns/web")]);
    assert_eq!(
        world.take_events(),
        [
            "Warning AllocationFailed web: Failed to allocate IP for \"ns/web\": no IPAddressPool is \
          defined or valid"
        ]
    );
    world.apply_pool(pool("pool", &["192.0.2.0/24"]));
    assert_eq!(world.status("ns/web"), "pool: 192.0.2.0");
    world.delete_pool("pool");
    assert_eq!(world.status("ns/web"), "", "upstream clears too");
}

#[test]
fn an_address_that_left_its_pool_is_replaced_and_others_stay() {
    let mut world = World::start(
        &[pool("pool", &["192.0.2.0-192.0.2.1"])],
        &[balancer("ns/a").created(1), balancer("ns/b").created(2)],
    );
    world.take_events();
    world.apply_pool(pool("pool", &["192.0.2.1-192.0.2.3"]));
    assert_eq!(world.status("ns/a"), "pool: 192.0.2.2");
    assert_eq!(world.status("ns/b"), "pool: 192.0.2.1");
    assert_eq!(
        world.take_events(),
        [
            "Normal ClearAssignment a: current IP for \"ns/a\" not allowed by config, will attempt \
             for new IP assignment: [\"192.0.2.0\"] is not allowed in config",
            "Normal IPAllocated a: Assigned IP [\"192.0.2.2\"]",
        ]
    );
}

#[test]
fn a_renamed_pool_is_written_down() {
    let mut world = World::start(&[pool("old", &["192.0.2.0/24"])], &[balancer("ns/web")]);
    let old = ObjectKey::new("metallb-system", "old");
    world.handle(Input::Pool(Change::Delete(old)));
    world.apply_pool(pool("new", &["192.0.2.0/24"]));
    assert_eq!(world.status("ns/web"), "new: 192.0.2.0");
}

#[test]
fn the_labels_of_a_namespace_open_a_pool_to_its_services_and_close_it() {
    let pool = reserved(pool("pool", &["192.0.2.0/24"]), ("team", "a"));
    let services = [balancer("one/web"), balancer("two/web")];
    let mut world = World::start(&[pool], &services);
    assert_eq!(world.status("one/web") + &world.status("two/web"), "");
    world.label_namespace("two", ("team", "a"));
    assert_eq!(world.status("one/web"), "");
    assert_eq!(world.status("two/web"), "pool: 192.0.2.0");
    world.label_namespace("two", ("team", "b"));
    assert_eq!(world.status("two/web"), "");
}

#[test]
fn the_status_of_a_pool_counts_what_is_held() {
    let dual = pool("dual", &["192.0.2.0/30", "2001:db8::/64"]);
    let services = [
        balancer("ns/both").dual_stack("RequireDualStack"),
        balancer("ns/one").created(1),
        balancer("ns/kept").ingress("bad", &["198.51.100.7"]),
        balancer("ns/too").ingress("bad", &["198.51.100.8"]),
    ];
    let mut world = World::start(&[dual, pool("bad", &["oops"])], &services);
    let numbers = |world: &World, pool: &str| {
        world.pool_status(pool).map(|it| {
            let (v4, v6) = (it.available_ipv4, it.available_ipv6);
            (it.assigned_ipv4, it.assigned_ipv6, v4, v6)
        })
    };
    assert_eq!(numbers(&world, "dual"), Some((2, 1, 2, i64::MAX - 1)));
    assert_eq!(numbers(&world, "bad"), Some((2, 0, 0, 0)), "none to give");
    world.delete("ns/both");
    world.delete("ns/too");
    assert_eq!(numbers(&world, "dual"), Some((1, 0, 3, i64::MAX)));
    assert_eq!(numbers(&world, "bad"), Some((1, 0, 0, 0)));
    world.delete_pool("dual");
    assert_eq!(numbers(&world, "dual"), None);
}

#[test]
fn the_status_of_a_pool_that_somebody_else_wrote_is_due() {
    let mut edited = pool("pool", &["192.0.2.0/30"]);
    let mut world = World::start(&[edited.clone()], &[balancer("ns/web")]);
    let wanted = world.pool_status("pool").unwrap();
    assert_eq!(world.control.pool_status_due("pool"), Some(wanted.clone()));
    edited.status = Some(wanted);
    world.apply_pool(edited.clone());
    assert_eq!(world.control.pool_status_due("pool"), None);
    edited.status = Some(IPAddressPoolStatus::default());
    world.handle(Input::Pool(Change::Apply(edited)));
    assert_eq!(
        *world.control.take_figures().pools,
        [Arc::<str>::from("pool")]
    );
    assert!(world.control.pool_status_due("pool").is_some());
}

#[test]
fn a_second_controller_holds_to_an_invalid_pool_what_is_held_of_it() {
    let good = pool("pool", &["192.0.2.0/30"]);
    let bad = pool("pool", &["192.0.2.0-"]);
    let services = [balancer("ns/a"), balancer("ns/b").created(1)];
    let spare = || pool("spare", &["198.51.100.0/24"]);
    let mut world = World::start(&[good.clone(), spare()], &services);
    // The one that has seen the valid form goes on with it.
    world.apply_pool(bad.clone());
    world.apply(balancer("ns/c").created(2));
    let held = ["ns/a", "ns/b", "ns/c"].map(|key| world.status(key));
    assert_eq!(held[2], "pool: 192.0.2.2");
    // Another takes over that has not: nobody is moved, and nothing is given out of it.
    world.take_writes();
    world.boot(&[bad, spare()]);
    assert_eq!(world.take_writes(), [""; 0]);
    assert!(world.is_stale());
    let status = world.pool_status("pool").unwrap();
    assert_eq!((status.assigned_ipv4, status.available_ipv4), (3, 0));
    let mut asks = balancer("ns/d").created(3);
    asks = asks.annotation("metallb.io/address-pool", "pool");
    world.apply(asks);
    assert_eq!(world.status("ns/d"), "");
    // Somebody mends it.
    world.apply_pool(good);
    assert_eq!(["ns/a", "ns/b", "ns/c"].map(|key| world.status(key)), held);
    assert_eq!(world.status("ns/d"), "pool: 192.0.2.3");
}
