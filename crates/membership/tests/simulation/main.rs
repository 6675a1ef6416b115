//! Many speakers in one process under a virtual clock and a network that loses, cuts and delays.
//! Every run is a function of its seed.

mod lives;
mod network;

use std::collections::BTreeSet;
use std::time::Duration;

use metallb_seeds::for_each_seed;

use network::{Network, ms};

#[test]
fn a_cluster_that_starts_agrees_within_a_heartbeat_or_two() {
    for nodes in [1, 2, 3, 10, 50] {
        let mut network = Network::of(nodes);
        (0..nodes).for_each(|node| network.start(node));
        let all = (0..nodes).collect();
        let took = network.until(|network| network.all_see(&all));
        let bound = if nodes == 1 { ms(501) } else { ms(210) };
        assert!(took < bound, "{nodes} nodes took {took:?}");
        // Nobody was there before, and none seems fitter than another even for a moment.
        assert_eq!(network.uneven(), 0, "{nodes} nodes");
        assert!(network.all_take_for_ready(&all));
    }
}

#[test]
fn who_comes_while_others_are_at_work_takes_over_when_it_says_so() {
    let mut network = Network::of(4).started();
    network.kill(0);
    network.run(ms(2000));
    network.start(0);
    let all = (0..4).collect();
    network.until(|network| network.all_see(&all));
    network.run(ms(1000));
    let others = BTreeSet::from([1, 2, 3]);
    assert!(network.all_take_for_ready(&others));
    network.ready(0);
    let took = network.until(|network| network.all_take_for_ready(&all));
    assert!(took <= ms(5), "it took {took:?}");
}

#[test]
fn a_starting_speaker_never_believes_that_it_is_alone() {
    let mut network = Network::of(3).sealed().started();
    network.kill(2);
    network.run(ms(2000));
    network.start(2);
    let took = network.until(|network| !network.node(2).view.is_empty());
    assert_eq!(
        network.node(2).view,
        BTreeSet::from([0, 1, 2]),
        "its first view"
    );
    assert!(took < ms(210), "it took {took:?}");
}

#[test]
fn a_restarted_speaker_gets_its_share_only_once_it_knows_its_share() {
    for (dead, seed) in [(false, 1), (true, 2)] {
        let mut network = Network::of(4).seed(seed).loss(5).started();
        network.kill(1);
        if dead {
            // It stays on the list, and the one that starts has to wait for it in vain.
            network.kill(3);
        }
        network.run(ms(2000));
        network.start(1);
        let mut waited = 0;
        while network.node(1).view.is_empty() {
            assert!(
                !network.node(0).view.contains(&1),
                "counted after {waited} ms, knows nobody"
            );
            network.run(ms(1));
            waited += 1;
        }
        // The others know who is dead.
        assert!(waited < 250, "it took {waited} ms");
        let running = if dead {
            BTreeSet::from([0, 1, 2])
        } else {
            (0..4).collect()
        };
        let took = network.until(|network| network.all_see(&running));
        assert!(took < ms(110), "it took {took:?}");
    }
}

#[test]
fn a_dead_node_is_noticed_by_all_within_the_bound() {
    for (nodes, seed, latency) in [
        (3, 1, 2000),
        (3, 2, 2000),
        (3, 3, 50),
        (10, 3, 2000),
        (50, 4, 50),
    ] {
        let mut network = Network::of(nodes).seed(seed).started();
        network.wires.latency = Duration::from_micros(latency);
        network.kill(1);
        let rest = (0..nodes).filter(|node| *node != 1).collect();
        let took = network.until(|network| network.all_see(&rest));
        assert!(
            took >= ms(245) && took <= ms(405),
            "{nodes} nodes took {took:?}"
        );
    }
}

#[test]
fn five_percent_loss_kills_nobody_and_the_dead_are_still_noticed() {
    for (nodes, seed, time) in [
        (5, 1, 120_000),
        (5, 2, 120_000),
        (20, 3, 20_000),
        (50, 4, 5000),
    ] {
        let mut network = Network::of(nodes).seed(seed).loss(5).started();
        network.run(ms(time));
        assert_eq!(network.losses(), [], "with {nodes} nodes, seed {seed}");
        network.kill(0);
        let rest = (1..nodes).collect();
        let took = network.until(|network| network.all_see(&rest));
        assert!(took <= ms(505), "{nodes} nodes took {took:?}");
    }
}

#[test]
fn the_sides_of_a_partition_agree_among_themselves_and_rejoin() {
    let mut network = Network::of(50).seed(7).loss(2).started();
    network.wires.side = (0..50).map(|node| u8::from(node >= 20)).collect();
    let (left, right) = ((0..20).collect(), (20..50).collect());
    let took = network.until(|network| network.all_see(&left) && network.all_see(&right));
    println!("the cut took {took:?}");
    assert!(took <= ms(905), "the cut took {took:?}");
    network.forget_losses();
    network.wires.side.fill(0);
    let all = (0..50).collect();
    let took = network.until(|network| network.all_see(&all));
    println!("the healing took {took:?}");
    assert!(took <= ms(505), "the healing took {took:?}");
    assert_eq!(network.losses(), [], "nobody is lost by healing");
}

#[test]
fn a_leave_is_known_at_once_even_when_datagrams_are_lost() {
    let test = "cargo test -p metallb-membership --test simulation a_leave_is_known";
    for_each_seed(test, 20, |seed| {
        let mut network = Network::of(5).seed(seed).loss(5).started();
        network.leave(3);
        let rest = BTreeSet::from([0, 1, 2, 4]);
        let took = network.until(|network| network.all_see(&rest));
        // Where all that is said to one is lost, it finds out by comparing.
        assert!(took <= ms(350), "it took {took:?}");
        network.kill(3);
        network.start(3);
        let took = network.until(|network| network.all_see(&(0..5).collect()));
        assert!(took <= ms(410), "coming back took {took:?}");
    });
}

#[test]
fn a_starved_watcher_condemns_nobody() {
    let mut network = Network::of(5).seed(3).started();
    for freeze in [200, 700, 3000, 20_000] {
        network.freeze(2, ms(freeze));
        network.run(ms(freeze + 1000));
        let blamed: Vec<_> = network
            .losses()
            .into_iter()
            .filter(|(_, by, _)| *by == 2)
            .collect();
        assert!(
            blamed.is_empty(),
            "frozen for {freeze} ms it condemned {blamed:?}"
        );
        network.assert_all_see(&(0..5).collect());
    }
}

#[test]
fn a_watcher_that_gets_little_time_condemns_nobody_and_still_sees_a_death() {
    let mut network = Network::of(3).seed(5).started();
    // It runs for an instant every 450 ms; the others bear that.
    let slow = |network: &mut Network, rounds: u32| {
        for _ in 0..rounds {
            network.freeze(0, ms(450));
            network.run(ms(451));
        }
    };
    slow(&mut network, 40);
    let blamed: Vec<_> = network
        .losses()
        .into_iter()
        .filter(|(_, by, _)| *by == 0)
        .collect();
    assert!(blamed.is_empty(), "{blamed:?}");
    network.kill(1);
    slow(&mut network, 20);
    assert_eq!(network.node(0).view, BTreeSet::from([0, 2]));
}

#[test]
fn a_frozen_node_is_replaced_and_welcomed_back() {
    let mut network = Network::of(4).seed(9).sealed().started();
    network.freeze(1, ms(5000));
    let rest = BTreeSet::from([0, 2, 3]);
    let took = network.until(|n| [0, 2, 3].iter().all(|node| n.node(*node).view == rest));
    assert!(took <= ms(505), "it took {took:?}");
    network.run(ms(5100).saturating_sub(took));
    network.assert_all_see(&(0..4).collect());
}

#[test]
fn a_restart_with_a_clock_that_went_back_is_welcome_all_the_same() {
    let mut network = Network::of(3).sealed().started();
    network.kill(1);
    network.run(ms(1000));
    network.start_as(1, 5);
    let took = network.until(|network| network.all_see(&(0..3).collect()));
    assert!(took <= ms(210), "it took {took:?}");
}

#[test]
fn two_of_one_name_harm_nobody_else() {
    for sealed in [false, true] {
        let network = Network::of(5);
        let network = if sealed { network.sealed() } else { network };
        let mut network = network.started();
        // It takes the place of one that was there.
        network.kill(4);
        network.run(ms(1000));
        network.forget_losses();
        network.start_twin(4, 3);
        network.run(ms(10_000));
        let others = [0, 1, 2];
        for node in others {
            let view = &network.node(node).view;
            assert!(view.is_superset(&others.into()), "{node} sees {view:?}");
        }
        let lost: Vec<_> = network.losses();
        let harmed = lost
            .iter()
            .find(|it| others.contains(&it.1) && others.contains(&it.2));
        assert_eq!(harmed, None, "{lost:?}");
    }
}

#[test]
fn one_that_some_still_hear_is_alive() {
    // Nothing gets through between two of ten, whichever they are: others who watch them vouch.
    for (one, other) in [(0, 1), (3, 7), (9, 2)] {
        let mut network = Network::of(10).started();
        network.wires.deaf.extend([(one, other), (other, one)]);
        network.run(ms(10_000));
        assert_eq!(network.losses(), [], "{one} and {other}");
    }
}

#[test]
fn one_that_hears_nobody_is_replaced_and_takes_nobody_with_it() {
    // It thinks that all are dead and tells them so.
    let mut network = Network::of(10).started();
    let deaf = (0..10).filter(|node| *node != 4).map(|node| (node, 4));
    network.wires.deaf.extend(deaf);
    network.run(ms(10_000));
    let lost: BTreeSet<_> = network
        .losses()
        .into_iter()
        .filter(|(_, by, _)| *by != 4)
        .map(|(_, _, gone)| gone)
        .collect();
    assert_eq!(lost, [4].into(), "{:?}", network.losses());
    assert_eq!(network.node(4).view, [4].into());
    network.wires.deaf.clear();
    network.forget_losses();
    network.run(ms(500));
    network.assert_all_see(&(0..10).collect());
    assert_eq!(network.losses(), []);
}

#[test]
fn the_load_of_one_does_not_grow_with_the_cluster() {
    let mut loads = Vec::new();
    for nodes in [4, 40, metallb_seeds::nodes(300)] {
        let mut network = Network::of(nodes).started();
        let before = (network.wires.sent(), network.wires.sent_bytes());
        network.run(ms(3000));
        let sent = network.wires.sent() - before.0;
        let bytes = (network.wires.sent_bytes() - before.1) / nodes as u64 / 3;
        // Three watchers, ten times a second.
        let expected = 90 * nodes as u64;
        let around = expected - nodes as u64 * 3..=expected + nodes as u64 * 3;
        assert!(around.contains(&sent), "{nodes} nodes sent {sent}");
        loads.push(bytes);

        network.kill(nodes / 2);
        let rest = (0..nodes).filter(|node| *node != nodes / 2).collect();
        let took = network.until(|network| network.all_see(&rest));
        println!("{nodes} nodes: {bytes} bytes a second each; a death known to all after {took:?}");
        assert!(took < ms(700), "{nodes} nodes took {took:?}");
    }
    // Their names are longer.
    assert!(loads[2] <= loads[0] + 30 * 3, "bytes a second: {loads:?}");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let run = || {
        let mut network = Network::of(10).seed(42).loss(40).started_or_not();
        network.run(ms(20_000));
        (network.wires.sent(), network.losses())
    };
    assert_eq!(run(), run());
}
