//! What one leader leaves to the next.

use super::*;
use crate::decide::Addresses;
use crate::fixtures::pool;

#[test]
fn before_a_leader_gives_anything_out_the_watch_tells_of_a_write_of_its_own() {
    let mut world = World::empty("");
    world.put(balancer("ns/held").ingress("pool", &["192.0.2.0"]));
    world.watch = false;
    world.boot(&[pool("pool", &["192.0.2.0/24"])]);
    assert_eq!(
        world.take_writes(),
        [""; 0],
        "nothing to do, nothing to write"
    );
    let waits = world.put(balancer("ns/waits").created(5));
    world.told(Change::Apply(waits));
    world.settle();
    assert_eq!(world.take_writes(), ["ns/waits"]);
    assert_eq!(world.status("ns/waits"), "");
    assert_eq!(
        world.condition("ns/waits"),
        "False Pending: a new leader takes in what is assigned, after version 102"
    );
    // The one before us gave it away, and we did not know.
    let other = balancer("ns/other").ingress("pool", &["192.0.2.1"]);
    world.put(other.clone());
    world
        .untold
        .insert(0, Change::Apply(world.services["ns/other"].clone()));
    world.catch_up();
    assert_eq!(world.status("ns/waits"), "pool: 192.0.2.2");
    assert_eq!(
        world.condition("ns/waits"),
        "True Assigned: [\"192.0.2.2\"] from pool \"pool\""
    );
    // From then on one write is enough.
    world.take_writes();
    world.apply(balancer("ns/next").created(6));
    assert_eq!(world.take_writes(), ["ns/next"]);
    world.check_no_doubles();
}

#[test]
fn a_leader_waits_for_a_write_of_its_own_though_another_has_said_the_same() {
    let pools = [pool("pool", &["192.0.2.1-192.0.2.2"])];
    let mut world = World::empty("");
    world.watch = false;
    world.put(balancer("ns/waits"));
    world.boot(&pools);
    let said = world.condition("ns/waits");
    assert!(said.starts_with("False Pending"), "{said}");
    // It gives an address to another and dies; we know what it said first, but not this.
    world.boot(&pools);
    let other = balancer("ns/other").created(1);
    world.put(other.ingress("pool", &["192.0.2.1"]));
    world
        .untold
        .insert(0, Change::Apply(world.services["ns/other"].clone()));
    assert_ne!(world.condition("ns/waits"), said);
    assert_eq!(world.status("ns/waits"), "");
    world.catch_up();
    assert_eq!(world.status("ns/waits"), "pool: 192.0.2.2");
}

#[test]
fn nobody_leaves_for_one_whom_the_leader_before_sent_away() {
    let mut world = World::empty("");
    let young = balancer("ns/young").created(2);
    for service in [balancer("ns/old").created(1), young] {
        world.put(service.ingress("pool", &["192.0.2.1"]));
    }
    world.watch = false;
    world.boot(&[pool("pool", &["192.0.2.1-192.0.2.2"])]);
    assert_eq!(world.take_writes(), ["ns/young"]);
    // The old one had come to share in another way, and was to leave: news to us.
    world.put(balancer("ns/old").created(1));
    world
        .untold
        .insert(0, Change::Apply(world.services["ns/old"].clone()));
    world.catch_up();
    assert_eq!(world.status("ns/young"), "pool: 192.0.2.1");
    assert_eq!(world.status("ns/old"), "pool: 192.0.2.2");
}

#[test]
fn a_service_that_cannot_be_written_to_holds_up_no_other() {
    for answer in [|| Outcome::Delayed, || Outcome::Retry] {
        let mut world = World::empty("");
        world.put(balancer("ns/stuck").created(1));
        world.put(balancer("ns/free").created(2));
        world.refuses.insert("ns/stuck".to_owned(), answer);
        world.learn(&[pool("pool", &["192.0.2.0/24"])]);
        world.handle(Input::Leads(Some(1)));
        for _ in 0..5 {
            for effect in world.control.poll(usize::MAX) {
                world.perform(effect);
            }
        }
        assert!(world.status("ns/free").starts_with("pool: "));
    }
}

#[test]
fn a_leader_does_not_wait_for_one_that_was_replaced_and_is_gone() {
    let mut world = World::empty("");
    world.boot(&[pool("pool", &["192.0.2.0/24"])]);
    world.watch = false;
    let gone = || Change::Delete(ObjectKey::new("ns", "web"));
    let first = world.put(balancer("ns/web").created(1));
    let mut second = balancer("ns/web").created(2);
    second.metadata.uid = Some("another".to_owned());
    let second = world.put(second);
    for change in [Change::Apply(first), gone(), Change::Apply(second)] {
        world.told(change);
    }
    world.settle();
    world.services.clear();
    world.told(gone());
    world.settle();
    let next = world.put(balancer("ns/next").created(3));
    world.told(Change::Apply(next));
    world.settle();
    assert_eq!(world.take_writes(), ["ns/web", "ns/next"]);
}

#[test]
fn one_that_is_to_move_makes_a_leader_begin_though_it_names_a_pool_that_is_no_good() {
    let mut world = World::empty("");
    for (key, created, from) in [("ns/old", 1, "pool"), ("ns/young", 2, "bad")] {
        let service = balancer(key).created(created);
        world.put(service.ingress(from, &["192.0.2.1"]));
    }
    world.boot(&[
        pool("pool", &["192.0.2.1-192.0.2.2"]),
        pool("bad", &["oops"]),
    ]);
    assert_eq!(world.status("ns/old"), "pool: 192.0.2.1");
    assert_eq!(world.status("ns/young"), "pool: 192.0.2.2");
}

#[test]
fn a_restart_writes_nothing_and_says_nothing_again() {
    let pools = [
        pool("pool", &["192.0.2.0/32"]),
        pool("v4", &["192.0.2.8/32"]),
    ];
    let services = [
        balancer("ns/served").created(1),
        balancer("ns/refused")
            .created(2)
            .annotation("metallb.io/address-pool", "pool"),
        balancer("ns/mistaken")
            .created(3)
            .policy("RequireDualStack"),
        balancer("ns/short")
            .created(4)
            .dual_stack("PreferDualStack"),
        WatchedService::test("ns/plain"),
    ];
    let mut world = World::start(&pools, &services);
    assert_eq!(world.status("ns/served"), "pool: 192.0.2.0");
    assert_eq!(world.status("ns/short"), "v4: 192.0.2.8");
    assert_eq!(world.take_events().len(), 5, "the short one has two");
    world.take_writes();
    world.boot(&pools);
    assert_eq!((world.take_writes(), world.take_events()), (vec![], vec![]));
    // And what can be done now is done.
    world.delete("ns/served");
    assert_eq!(world.status("ns/refused"), "pool: 192.0.2.0");
}

#[test]
fn who_does_not_lead_decides_nothing_and_knows_everything() {
    let mut world = World::empty("");
    world.learn(&[pool("pool", &["192.0.2.0/24"]), pool("bad", &["oops"])]);
    world.apply(balancer("ns/web"));
    assert_eq!(
        (world.take_writes(), world.pool_status("pool")),
        (vec![], None)
    );
    assert!(world.is_stale());
    let report = world.control.report().unwrap();
    assert!(report.message.contains("metallb-system/bad"), "{report:?}");
    assert!(world.control.take_report_changed() && !world.control.is_leading());
    world.lead(true);
    assert!(world.control.take_report_changed() && world.control.is_leading());
    assert!(!world.control.take_report_changed());
    assert_eq!(world.status("ns/web"), "pool: 192.0.2.0");
    world.lead(false);
    assert!(world.control.take_report_changed() && !world.control.is_leading());
    world.apply(balancer("ns/next"));
    assert_eq!(world.status("ns/next"), "");
}

#[test]
fn a_new_term_is_a_new_start() {
    let pools = [pool("pool", &["192.0.2.0/24"])];
    let mut world = World::start(&pools, &[balancer("ns/first")]);
    let web = world.put(balancer("ns/web").created(1));
    world.told(Change::Apply(web));
    world.control.poll(usize::MAX);
    // We never heard that we did not lead in between: what was under way is given up, and the
    // first write is one that the watch is to tell of.
    world.handle(Input::Leads(Some(7)));
    let effects = world.control.poll(usize::MAX);
    assert_eq!(effects[0], Effect::Abandon);
    let Effect::Write(write) = &effects[1] else {
        panic!("{effects:?}");
    };
    assert_eq!(write.addresses, Addresses::Leave);
    world.handle(Input::Leads(None));
    assert_eq!(world.control.poll(usize::MAX), [Effect::Abandon]);
    assert_eq!(world.control.poll(usize::MAX), []);
}
