//! Services that share an address.

use super::*;
use crate::fixtures::pool;

const KEY: &str = "metallb.io/allow-shared-ip";
const OLD_KEY: &str = "metallb.universe.tf/allow-shared-ip";

fn sharer(name: &str, port: u16) -> WatchedService {
    let service = balancer(&format!("ns/{name}")).created(i64::from(port));
    service.annotation(KEY, "k").port("TCP", port)
}

fn two_addresses() -> [IPAddressPool; 1] {
    [pool("pool", &["192.0.2.1-192.0.2.2"])]
}

#[test]
fn one_key_and_other_ports_share_and_anything_else_does_not() {
    let base = sharer("base", 1);
    let policy = [("app", "web")];
    for (other, together) in [
        (sharer("other", 2), true),
        (sharer("other", 2).port("UDP", 1), true),
        (sharer("other", 2).port("TCP", 1), false),
        (sharer("other", 2).annotation(KEY, "other"), false),
        // Present and empty, the new key wins over the old one.
        (
            sharer("other", 2)
                .annotation(KEY, "")
                .annotation(OLD_KEY, "k"),
            false,
        ),
        (
            balancer("ns/other")
                .created(2)
                .annotation(OLD_KEY, "k")
                .port("", 2),
            true,
        ),
        (balancer("ns/other").created(2).port("TCP", 2), false),
        // Local and Cluster do not mix.
        (sharer("other", 2).local(&policy), false),
    ] {
        let world = World::start(&two_addresses(), &[base.clone(), other.clone()]);
        let same = world.ip("ns/base") == world.ip("ns/other");
        assert_eq!(same, together, "{other:?}");
    }
    for (selector, together) in [(("app", "web"), true), (("app", "api"), false)] {
        let services = [
            base.clone().local(&policy),
            sharer("other", 2).local(&[selector]),
        ];
        let world = World::start(&two_addresses(), &services);
        assert_eq!(
            world.ip("ns/base") == world.ip("ns/other"),
            together,
            "{selector:?}"
        );
    }
}

#[test]
fn whoever_waits_to_share_gets_in_when_a_port_or_a_key_allows_it() {
    let pools = [pool("pool", &["192.0.2.1/32"])];
    let services = [sharer("first", 1), sharer("second", 2).port("TCP", 1)];
    let mut world = World::start(&pools, &services);
    assert_eq!(world.ip("ns/second"), "");
    // The first moves to another port.
    world.apply(world.services["ns/first"].clone().ports(&[("TCP", 3)]));
    assert_eq!(world.ip("ns/second"), "192.0.2.1");
    // A third wants the address for itself, until it agrees to share, too.
    world.apply(balancer("ns/third").created(9).port("TCP", 9));
    assert_eq!(world.ip("ns/third"), "");
    world.apply(world.services["ns/third"].clone().annotation(KEY, "k"));
    assert_eq!(world.ip("ns/third"), "192.0.2.1");
    // Of those with a key of their own nobody gets in before the last one has left.
    world.apply(balancer("ns/alone").created(10));
    for name in ["ns/first", "ns/second", "ns/third"] {
        assert_eq!(world.ip("ns/alone"), "");
        world.delete(name);
    }
    assert_eq!(world.ip("ns/alone"), "192.0.2.1");
}

#[test]
fn who_changes_its_key_beside_others_moves_out_and_alone_it_stays() {
    let mut world = World::start(&two_addresses(), &[sharer("a", 1), sharer("b", 2)]);
    assert_eq!(world.ip("ns/a"), world.ip("ns/b"));
    world.take_events();
    world.apply(world.services["ns/b"].clone().annotation(KEY, "own"));
    assert_eq!(world.ip("ns/a"), "192.0.2.1");
    assert_eq!(world.ip("ns/b"), "192.0.2.2");
    let events = world.take_events();
    let words = "can't change sharing key for \"ns/b\", address also in use by ns/a";
    assert!(events[0].contains(words), "{events:?}");
    assert_eq!(world.doubles, 0, "that is no accident");
    world.apply(world.services["ns/b"].clone().annotation(KEY, "another"));
    assert_eq!(world.ip("ns/b"), "192.0.2.2");
}

#[test]
fn sharing_outlives_a_restart() {
    let services = [sharer("a", 1), sharer("b", 2), sharer("c", 3)];
    let mut world = World::start(&two_addresses(), &services);
    world.take_writes();
    world.boot(&two_addresses());
    assert_eq!(world.take_writes(), [""; 0]);
    let status = world.pool_status("pool").unwrap();
    assert_eq!((status.assigned_ipv4, status.available_ipv4), (1, 1));
    assert_eq!(world.control.pool_usage("pool").unwrap().services, 3);
}

#[test]
fn two_that_may_not_share_and_have_one_address_part() {
    let a = sharer("a", 1).ingress("pool", &["192.0.2.1"]);
    let b = sharer("b", 2)
        .port("TCP", 1)
        .ingress("pool", &["192.0.2.1"]);
    let world = World::start(&two_addresses(), &[b, a]);
    assert_eq!(
        (world.ip("ns/a"), world.ip("ns/b")),
        ("192.0.2.1".into(), "192.0.2.2".into())
    );
    assert_eq!(world.doubles, 1);
}

#[test]
fn whoever_waits_to_share_gets_in_when_one_among_others_has_left() {
    let pools = [pool("pool", &["192.0.2.1/32"])];
    let waiting = sharer("waiting", 3).ports(&[("TCP", 1)]);
    let services = [sharer("leaves", 1), sharer("stays", 2), waiting];
    let mut world = World::start(&pools, &services);
    assert_eq!(world.ip("ns/waiting"), "");
    // There is nothing for it to move to. Its port is free when its status says so.
    world.apply(world.services["ns/leaves"].clone().annotation(KEY, "own"));
    assert_eq!(world.ip("ns/leaves"), "");
    assert_eq!(world.ip("ns/stays"), "192.0.2.1");
    assert_eq!(world.ip("ns/waiting"), "192.0.2.1");
}

#[test]
fn who_changes_its_key_as_the_others_leave_stays() {
    let mut world = World::start(&two_addresses(), &[sharer("a", 1), sharer("b", 2)]);
    // Both are told before anything is decided.
    for service in [
        world.services["ns/b"].clone().type_("ClusterIP"),
        world.services["ns/a"].clone().annotation(KEY, "own"),
    ] {
        let service = world.put(service);
        world.told(Change::Apply(service));
    }
    world.settle();
    assert_eq!(world.ip("ns/a"), "192.0.2.1");
    assert_eq!(world.ip("ns/b"), "");
}

#[test]
fn who_does_not_show_its_address_any_more_does_not_get_it_back_beside_one_that_is_to_leave() {
    let pools = [pool("pool", &["192.0.2.1-192.0.2.3"])];
    let mut world = World::start(&pools, &[sharer("a", 1), sharer("b", 2)]);
    world.refuses.insert("ns/b".to_owned(), || Outcome::Delayed);
    world.apply(world.services["ns/b"].clone().annotation(KEY, "own"));
    world.apply(
        world.services["ns/a"]
            .clone()
            .ingress("pool", &["10.9.9.9"]),
    );
    assert_eq!(
        (world.ip("ns/a"), world.ip("ns/b")),
        ("192.0.2.3".into(), "192.0.2.1".into())
    );
}

#[test]
fn nobody_joins_one_who_shares_no_more_while_its_status_is_being_written() {
    let pools = [pool("pool", &["192.0.2.0-192.0.2.2"])];
    let mut world = World::start(&pools, &[balancer("ns/other")]);
    world.refuses.insert("ns/a".to_owned(), || Outcome::Delayed);
    world.apply(sharer("a", 1));
    // The watch tells of that write before the answer comes, and of the edit that followed it.
    let written = world.services["ns/a"]
        .clone()
        .ingress("pool", &["192.0.2.1"]);
    world.apply(written.clone());
    world.apply(written.annotation(KEY, "own"));
    world.apply(sharer("b", 2));
    world.refuses.clear();
    let key = crate::service::key_of(&world.services["ns/a"]);
    let outcome = Outcome::Retry;
    world.handle(Input::Written { key, outcome });
    world.settle();
    assert_eq!(
        (world.ip("ns/a"), world.ip("ns/b")),
        ("192.0.2.1".into(), "192.0.2.2".into())
    );
}
