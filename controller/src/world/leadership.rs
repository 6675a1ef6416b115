//! What one leader leaves to the next.

use super::*;
use crate::decide::Addresses;
use crate::fixtures::pool;

#[test]
fn a_conflict_is_decided_again_and_gives_the_same_address() {
    let pools = [pool("pool", &["192.0.2.0/24"])];
    let mut world = World::start(&pools, &[balancer("ns/first")]);
    // Somebody labels the Service; we do not know yet when its status is written.
    world.watch = false;
    let web = world.put(balancer("ns/web"));
    world.told(Change::Apply(web.clone()));
    world.put(web.policy("SingleStack"));
    world.settle();
    assert_eq!(world.status("ns/web"), "pool: 192.0.2.1");
    assert_eq!(world.take_writes(), ["ns/first", "ns/first", "ns/web"]);
}

#[test]
fn news_from_before_our_write_changes_nothing() {
    let mut world = World::start(&[pool("pool", &["192.0.2.0/24"])], &[balancer("ns/web")]);
    world.take_events();
    let old = balancer("ns/web").version(2);
    world.told(Change::Apply(old));
    world.settle();
    assert_eq!(world.status("ns/web"), "pool: 192.0.2.0");
    assert_eq!(world.take_events(), [""; 0]);
}

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
fn nothing_is_decided_while_everything_is_told_anew() {
    let pools = [pool("pool", &["192.0.2.0-192.0.2.1"])];
    let mut world = World::start(&pools, &[balancer("ns/a").created(1)]);
    world.take_writes();
    world.told(Change::Listing);
    let new = world.put(balancer("ns/new").created(2));
    world.told(Change::Apply(new));
    world.settle();
    assert_eq!(world.take_writes(), [""; 0]);
    // What was missed: somebody restored a Service together with its status.
    let restored = world.put(
        balancer("ns/restored")
            .created(0)
            .ingress("pool", &["192.0.2.1"]),
    );
    world.told(Change::Apply(restored));
    world.told(Change::Synced);
    world.settle();
    assert_eq!(world.status("ns/new"), "");
    assert_eq!(world.status("ns/restored"), "pool: 192.0.2.1");
    world.check_no_doubles();
}

#[test]
fn an_old_list_frees_no_address() {
    let pools = [pool("pool", &["192.0.2.0/24"])];
    let mut world = World::start(&pools, &[balancer("ns/a").created(1)]);
    // A list from a lagging cache, of before the Service was there; the watch goes on from there.
    world.watch = false;
    world.told(Change::Listing);
    world.told(Change::Delete(ObjectKey::new("ns", "a")));
    world.told(Change::Synced);
    let new = world.put(balancer("ns/new").created(2));
    world
        .untold
        .push(Change::Apply(world.services["ns/a"].clone()));
    world.told(Change::Apply(new));
    world.settle();
    assert_eq!(world.status("ns/new"), "");
    world.catch_up();
    assert_eq!(world.status("ns/a"), "pool: 192.0.2.0");
    assert_eq!(world.status("ns/new"), "pool: 192.0.2.1");
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
fn what_is_gone_when_it_is_written_is_forgotten() {
    let pools = [pool("pool", &["192.0.2.0/32"])];
    let mut world = World::start(&pools, &[balancer("ns/first")]);
    world.watch = false;
    world.delete("ns/first");
    // The address is free as soon as we find out, whenever the watch tells of it.
    let second = world.put(balancer("ns/second").created(2));
    world.told(Change::Apply(second));
    world.settle();
    assert_eq!(world.status("ns/second"), "");
    world.catch_up();
    assert_eq!(world.status("ns/second"), "pool: 192.0.2.0");
}

#[test]
fn a_watch_that_does_not_tell_of_our_writes_is_found_out() {
    let pools = [pool("pool", &["192.0.2.0/24"])];
    let mut world = World::start(&pools, &[balancer("ns/first")]);
    assert!(!world.control.is_deaf(world.now + seconds(60)));
    world.watch = false;
    let second = world.put(balancer("ns/second"));
    world.told(Change::Apply(second));
    world.settle();
    assert_eq!(world.status("ns/second"), "pool: 192.0.2.1");
    assert!(!world.control.is_deaf(world.now + seconds(4)));
    assert!(world.control.is_deaf(world.now + seconds(5)));
    world.catch_up();
    assert!(!world.control.is_deaf(world.now + seconds(60)));
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
fn an_answer_that_comes_late_brings_no_deleted_service_back() {
    let pools = [pool("pool", &["192.0.2.1-192.0.2.2"])];
    let mut world = World::start(&pools, &[balancer("ns/first")]);
    let web = world.put(balancer("ns/web").created(1));
    world.told(Change::Apply(web.clone()));
    // It is being written when it is deleted and another takes its name.
    assert_eq!(
        world.control.poll(usize::MAX).len(),
        2,
        "a line of log and the write"
    );
    world.version += 1;
    let old = web.ingress("pool", &["192.0.2.2"]).version(world.version);
    world.told(Change::Delete(ObjectKey::new("ns", "web")));
    let mut new = balancer("ns/web").created(9);
    new.metadata.uid = Some("another".to_owned());
    let new = world.put(new);
    world.told(Change::Apply(new));
    for outcome in [
        Outcome::Written(Box::new(old.clone())),
        Outcome::Stale(Some(Box::new(old.clone()))),
        Outcome::Gone("uid-of-web".into()),
    ] {
        let key = crate::service::key_of(&old);
        world.handle(Input::Written { key, outcome });
    }
    world.settle();
    assert_eq!(world.status("ns/web"), "pool: 192.0.2.2");
    let uid = world.services["ns/web"].metadata.uid.as_deref();
    assert_eq!(uid, Some("another"));
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

#[test]
fn an_address_goes_on_when_the_status_that_shows_it_is_written() {
    let pools = [pool("pool", &["192.0.2.1/32"])];
    let services = [balancer("ns/first"), balancer("ns/second").created(1)];
    let mut world = World::start(&pools, &services);
    world
        .refuses
        .insert("ns/first".to_owned(), || Outcome::Delayed);
    world.take_events();
    world.apply(world.services["ns/first"].clone().type_("ClusterIP"));
    assert_eq!(world.status("ns/first"), "pool: 192.0.2.1");
    assert_eq!(
        (world.status("ns/second"), world.take_events()),
        (String::new(), vec![])
    );
    world.refuses.clear();
    let key = crate::service::key_of(&world.services["ns/first"]);
    let outcome = Outcome::Retry;
    world.handle(Input::Written { key, outcome });
    world.settle();
    assert_eq!(world.status("ns/first"), "");
    assert_eq!(world.status("ns/second"), "pool: 192.0.2.1");
}

#[test]
fn what_may_have_been_written_is_not_given_to_another() {
    let pools = [pool("pool", &["192.0.2.1-192.0.2.2"])];
    let mut world = World::start(&pools, &[balancer("ns/first")]);
    // No answer came, and it was written.
    world
        .refuses
        .insert("ns/web".to_owned(), || Outcome::Delayed);
    world.apply(balancer("ns/web").created(1));
    // Meanwhile the pool loses the address, so that another is decided on, and has it again.
    world.apply_pool(pool("pool", &["192.0.2.1/32", "192.0.2.9/32"]));
    let key = crate::service::key_of(&world.services["ns/web"]);
    let outcome = Outcome::Retry;
    world.handle(Input::Written { key, outcome });
    world.settle();
    world.apply_pool(pool("pool", &["192.0.2.1-192.0.2.2", "192.0.2.9/32"]));
    world.apply(balancer("ns/next").created(2));
    assert_eq!(
        world.status("ns/next"),
        "",
        "one address shown, one perhaps, one to be"
    );
}

#[test]
fn what_was_sent_in_vain_is_free_again() {
    let pools = [pool("pool", &["192.0.2.1/32"])];
    let mut world = World::start(&pools, &[balancer("ns/web")]);
    // It is to move, which fails, and then need not.
    world
        .refuses
        .insert("ns/web".to_owned(), || Outcome::Delayed);
    world.apply_pool(pool("pool", &["192.0.2.2/32"]));
    world.apply_pool(pool("pool", &["192.0.2.1-192.0.2.2"]));
    world.refuses.clear();
    let key = crate::service::key_of(&world.services["ns/web"]);
    let outcome = Outcome::Retry;
    world.handle(Input::Written { key, outcome });
    world.settle();
    assert_eq!(world.status("ns/web"), "pool: 192.0.2.1");
    assert_eq!(
        world.condition("ns/web"),
        "True Assigned: [\"192.0.2.1\"] from pool \"pool\""
    );
    world.apply(balancer("ns/next").created(1));
    assert_eq!(world.status("ns/next"), "pool: 192.0.2.2");
}

#[test]
fn what_was_sent_in_vain_to_one_that_keeps_its_own_is_free_again() {
    let first = pool("first", &["192.0.2.1/32"]);
    let other = pool("other", &["192.0.2.2/32"]);
    let mut world = World::start(&[first.clone(), other], &[balancer("ns/web")]);
    // It is to move, which fails, and then need not: its pool is back, and no good.
    world
        .refuses
        .insert("ns/web".to_owned(), || Outcome::Delayed);
    world.delete_pool("first");
    world.apply_pool(pool("first", &["192.0.2.300/32"]));
    world.refuses.clear();
    let key = crate::service::key_of(&world.services["ns/web"]);
    let outcome = Outcome::Retry;
    world.handle(Input::Written { key, outcome });
    world.settle();
    assert_eq!(world.status("ns/web"), "first: 192.0.2.1");
    assert_eq!(
        world.condition("ns/web"),
        "True Assigned: [\"192.0.2.1\"] from pool \"first\""
    );
    world.apply(balancer("ns/next").created(1));
    assert_eq!(world.status("ns/next"), "other: 192.0.2.2");
    world.take_writes();
    world.apply_pool(first);
    assert_eq!(world.take_writes(), [""; 0]);
}

#[test]
fn what_was_sent_in_vain_is_free_again_though_changes_were_missed() {
    let pools = [pool("pool", &["192.0.2.1/32"])];
    let mut world = World::start(&pools, &[balancer("ns/web")]);
    world
        .refuses
        .insert("ns/web".to_owned(), || Outcome::Delayed);
    world.apply_pool(pool("pool", &["192.0.2.2/32"]));
    world.apply_pool(pool("pool", &["192.0.2.1-192.0.2.2"]));
    world.refuses.clear();
    world.list();
    let key = crate::service::key_of(&world.services["ns/web"]);
    let outcome = Outcome::Retry;
    world.handle(Input::Written { key, outcome });
    world.settle();
    world.apply(balancer("ns/next").created(1));
    assert_eq!(world.status("ns/web"), "pool: 192.0.2.1");
    assert_eq!(world.status("ns/next"), "pool: 192.0.2.2");
}

#[test]
fn who_was_replaced_while_changes_were_missed_leaves_its_address() {
    let pools = [pool("pool", &["192.0.2.1/32"])];
    let services = [balancer("ns/web"), balancer("ns/next").created(1)];
    let mut world = World::start(&pools, &services);
    assert_eq!(world.status("ns/web"), "pool: 192.0.2.1");
    let mut other = balancer("ns/web").created(2);
    other.metadata.uid = Some("another".to_owned());
    world.put(other);
    world.take_events();
    world.list();
    world.settle();
    assert_eq!(world.status("ns/next"), "pool: 192.0.2.1");
    let said = world.take_events();
    let fails = |it: &String| it.starts_with("Warning AllocationFailed web");
    assert!(said.iter().any(fails), "{said:?}");
}

#[test]
fn what_was_given_and_not_written_before_changes_were_missed_is_free_again() {
    let pools = [
        pool("first", &["192.0.2.1/32"]),
        pool("second", &["192.0.2.2/32"]),
    ];
    let mut world = World::start(&pools, &[balancer("ns/served")]);
    world.delete("ns/served");
    world
        .refuses
        .insert("ns/web".to_owned(), || Outcome::Delayed);
    world.apply(balancer("ns/web"));
    let only = |key, pool| balancer(key).annotation("metallb.io/address-pool", pool);
    world.apply(only("ns/next", "first").created(1));
    assert_eq!(world.status("ns/next"), "");
    world.refuses.clear();
    // It has come to ask for another pool.
    world.put(only("ns/web", "second"));
    world.list();
    let key = crate::service::key_of(&world.services["ns/web"]);
    let outcome = Outcome::Retry;
    world.handle(Input::Written { key, outcome });
    world.settle();
    assert_eq!(world.status("ns/web"), "second: 192.0.2.2");
    assert_eq!(world.status("ns/next"), "first: 192.0.2.1");
}

#[test]
fn the_watch_does_not_bring_back_what_an_answer_says_is_gone() {
    let pools = [pool("pool", &["192.0.2.1/32", "192.0.2.2/32"])];
    let mut world = World::start(&pools, &[balancer("ns/web")]);
    // The watch is behind: somebody writes the Service, deletes it, and makes another of its name.
    world.watch = false;
    world.apply(world.services["ns/web"].clone().annotation("a", "b"));
    world.delete("ns/web");
    let mut other = balancer("ns/web").type_("ClusterIP");
    other.metadata.uid = Some("another".to_owned());
    world.apply(other);
    // A write shows that.
    world.apply_pool(pool("pool", &["192.0.2.2/32"]));
    world.apply_pool(pool("pool", &["192.0.2.1/32"]));
    let told = std::mem::take(&mut world.untold);
    let service = world.put(balancer("ns/next").created(1));
    world.told(Change::Apply(service));
    world.settle();
    assert_eq!(world.status("ns/next"), "pool: 192.0.2.1");
    for change in told {
        world.told(change);
        world.settle();
    }
    assert_eq!(world.status("ns/next"), "pool: 192.0.2.1");
    assert!(
        !world
            .events
            .iter()
            .any(|it| it.contains("ClearAssignment next"))
    );
}
