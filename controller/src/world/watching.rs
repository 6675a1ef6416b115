//! What the watch tells late, anew or not at all.

use super::*;
use crate::fixtures::pool;

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
