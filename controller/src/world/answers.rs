//! What becomes of writes: answers that refuse, come late or not at all.

use super::*;
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
fn an_address_goes_on_when_the_status_that_shows_it_is_written() {
    let pools = [pool("pool", &["192.0.2.1/32"])];
    let services = [balancer("ns/first"), balancer("ns/second").created(1)];
    let mut world = World::start(&pools, &services);
    world.does_not_answer("ns/first");
    world.take_events();
    world.apply(world.services["ns/first"].clone().type_("ClusterIP"));
    assert_eq!(world.status("ns/first"), "pool: 192.0.2.1");
    assert_eq!(
        (world.status("ns/second"), world.take_events()),
        (String::new(), vec![])
    );
    world.refuses.clear();
    world.gives_up("ns/first");
    assert_eq!(world.status("ns/first"), "");
    assert_eq!(world.status("ns/second"), "pool: 192.0.2.1");
}

#[test]
fn what_may_have_been_written_is_not_given_to_another() {
    let pools = [pool("pool", &["192.0.2.1-192.0.2.2"])];
    let mut world = World::start(&pools, &[balancer("ns/first")]);
    // No answer came, and it was written.
    world.does_not_answer("ns/web");
    world.apply(balancer("ns/web").created(1));
    // Meanwhile the pool loses the address, so that another is decided on, and has it again.
    world.apply_pool(pool("pool", &["192.0.2.1/32", "192.0.2.9/32"]));
    world.gives_up("ns/web");
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
    world.does_not_answer("ns/web");
    world.apply_pool(pool("pool", &["192.0.2.2/32"]));
    world.apply_pool(pool("pool", &["192.0.2.1-192.0.2.2"]));
    world.refuses.clear();
    world.gives_up("ns/web");
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
    world.does_not_answer("ns/web");
    world.delete_pool("first");
    world.apply_pool(pool("first", &["192.0.2.300/32"]));
    world.refuses.clear();
    world.gives_up("ns/web");
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
    world.does_not_answer("ns/web");
    world.apply_pool(pool("pool", &["192.0.2.2/32"]));
    world.apply_pool(pool("pool", &["192.0.2.1-192.0.2.2"]));
    world.refuses.clear();
    world.list();
    world.gives_up("ns/web");
    world.apply(balancer("ns/next").created(1));
    assert_eq!(world.status("ns/web"), "pool: 192.0.2.1");
    assert_eq!(world.status("ns/next"), "pool: 192.0.2.2");
}

#[test]
fn what_was_given_and_not_written_before_changes_were_missed_is_free_again() {
    let pools = [
        pool("first", &["192.0.2.1/32"]),
        pool("second", &["192.0.2.2/32"]),
    ];
    let mut world = World::start(&pools, &[balancer("ns/served")]);
    world.delete("ns/served");
    world.does_not_answer("ns/web");
    world.apply(balancer("ns/web"));
    let only = |key, pool| balancer(key).annotation("metallb.io/address-pool", pool);
    world.apply(only("ns/next", "first").created(1));
    assert_eq!(world.status("ns/next"), "");
    world.refuses.clear();
    // It has come to ask for another pool.
    world.put(only("ns/web", "second"));
    world.list();
    world.gives_up("ns/web");
    assert_eq!(world.status("ns/web"), "second: 192.0.2.2");
    assert_eq!(world.status("ns/next"), "first: 192.0.2.1");
}
