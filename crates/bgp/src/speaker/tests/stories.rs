use std::collections::BTreeMap;

use super::network::pair;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Three nodes and two routers, which listen.
fn cluster(dice: Dice) -> Network {
    let mut network = Network::new(5, dice);
    network.listen = [3, 4].into();
    for router in [3, 4] {
        network.start(router, &[]);
        let peers = (0..3).map(|node| {
            let settings = Settings {
                connects: false,
                ..settings(router, node)
            };
            (node, settings)
        });
        network.configure(router, peers.collect());
    }
    for node in 0..3 {
        network.start(node, &[3, 4]);
    }
    network
}

fn assert_all_know(network: &Network) {
    for node in 0..3 {
        for router in [3, 4] {
            let session = network.session(node, router);
            let why = session.last_end();
            assert_eq!(
                session.state(),
                State::Established,
                "{node} with {router}: {why:?}"
            );
            let speaker = network.speakers[node].as_ref().expect("it runs");
            let name = router.to_string();
            let told = speaker.rib().told_to(&name);
            let told: Vec<_> = told.map(|it| it.0).collect();
            assert_eq!(network.heard(router, node), told, "{router} of {node}");
        }
    }
}

#[test]
fn routers_know_all_routes_within_a_moment_and_no_change_ends_a_session() {
    let mut network = cluster(Dice::new(1));
    network.run(SECOND);
    for n in 0..1000 {
        let node = n % 3;
        let count = u32::try_from(n % 50).expect("a few");
        network.contribute(node, n % 7, routes(node, count, count % 9));
        network.run(Duration::from_millis(20));
        assert_all_know(&network);
    }
    assert_eq!(network.downs, 0);
    for node in 0..3 {
        assert_eq!(network.session(node, 3).counts().opens.sent, 1);
    }
}

#[test]
fn a_router_that_is_cut_off_is_noticed_by_its_silence_and_found_again() {
    let mut network = cluster(Dice::new(2));
    network.contribute(0, 0, routes(0, 0, 10));
    network.run(SECOND);
    network.cut = (0..3).map(|node| pair(node, 3)).collect();
    network.run(9 * SECOND);
    assert_ne!(network.session(0, 3).state(), State::Established);
    // The other one does not notice.
    assert_eq!(network.session(0, 4).state(), State::Established);
    network.run(60 * SECOND);
    network.cut.clear();
    network.run(5 * SECOND);
    assert_all_know(&network);
}

#[test]
fn a_restart_is_back_at_once() {
    let mut network = cluster(Dice::new(3));
    network.contribute(0, 0, routes(0, 0, 10));
    network.run(SECOND);
    network.kill(0);
    network.start(0, &[3, 4]);
    network.contribute(0, 0, routes(0, 0, 10));
    network.run(2 * SECOND);
    assert_all_know(&network);
    let prefixes: Vec<_> = routes(0, 0, 10).iter().map(|it| it.prefix).collect();
    assert_eq!(network.heard(3, 0), prefixes);
    // RFC 4724 section 4.1. What it begins anew later is no restart.
    let says_so = |network: &Network| {
        let agreed = network.session(3, 0).negotiated();
        let restart = agreed.and_then(|it| it.open.graceful_restart());
        restart.map(|it| it.restarting)
    };
    assert_eq!(says_so(&network), Some(true));
    let other = Settings {
        hold_time: 6,
        ..settings(0, 3)
    };
    network.configure(0, [(3, other), (4, settings(0, 4))].into());
    network.run(2 * SECOND);
    assert_all_know(&network);
    assert_eq!(says_so(&network), Some(false));
}

#[test]
fn a_change_of_settings_touches_the_session_it_is_about_and_only_when_it_must() {
    let mut network = cluster(Dice::new(4));
    network.run(SECOND);
    let peers = |hold_time, connect_retry| {
        let three = Settings {
            hold_time,
            connect_retry: Duration::from_secs(connect_retry),
            ..settings(0, 3)
        };
        BTreeMap::from([(3, three), (4, settings(0, 4))])
    };
    let opens = |network: &Network| [3, 4].map(|peer| network.session(0, peer).counts().opens.sent);
    network.configure(0, peers(9, 4));
    network.configure(0, peers(9, 60));
    network.run(2 * SECOND);
    assert_eq!((network.downs, opens(&network)), (0, [1, 1]));
    network.configure(0, peers(6, 60));
    network.run(2 * SECOND);
    assert_all_know(&network);
    // One that is replaced says so to the router alone.
    assert_eq!(network.session(3, 0).counts().opens.received, 2);
    assert_eq!(network.session(4, 0).counts().opens.received, 1);
    let agreed = network.session(0, 3).negotiated();
    assert_eq!(agreed.map(|it| (it.hold_time, it.keepalive)), Some((6, 2)));
    network.configure(0, [(4, settings(0, 4))].into());
    network.run(2 * SECOND);
    assert!(network.speaker(0).session(&3).is_none());
    let (_, end) = network.session(3, 0).last_end().expect("it ended");
    assert!(end.to_string().contains("peer de-configured"), "{end}");
}

#[test]
fn both_sides_connect_and_one_connection_is_left() {
    for_each_seed(
        "cargo test -p metallb-bgp both_sides_connect",
        300,
        |seed| {
            let mut network = Network::new(2, Dice::new(seed));
            network.listen = [0, 1].into();
            network.start(0, &[1]);
            network.start(1, &[0]);
            network.contribute(0, 0, routes(0, 0, 10));
            network.run(10 * SECOND);
            assert_eq!(network.session(0, 1).state(), State::Established);
            assert_eq!(network.heard(1, 0).len(), 10);
            let opens = network.session(0, 1).counts().opens.sent;
            network.run(100 * SECOND);
            assert_eq!(network.session(0, 1).counts().opens.sent, opens, "it stays");
        },
    );
}

/// Connections break, routers and nodes restart and are cut off, routes come and go; and then
/// nothing more happens.
#[test]
fn in_the_end_routers_know_what_nodes_tell() {
    for_each_seed(
        "cargo test -p metallb-bgp in_the_end_routers",
        500,
        |seed| {
            let mut network = cluster(Dice::new(seed));
            let mut told = vec![Vec::new(); 3];
            for _ in 0..60 {
                let node = network.dice.below(3);
                match network.dice.below(8) {
                    0..4 => {
                        let from = u32::try_from(network.dice.below(40)).expect("a few");
                        let count = u32::try_from(network.dice.below(20)).expect("a few");
                        told[node] = routes(node, from, count);
                        network.contribute(node, 0, told[node].clone());
                    }
                    4 => {
                        if let Some(stream) = network.any_stream() {
                            network.reset(stream);
                        }
                    }
                    5 => {
                        network.kill(node);
                        network.start(node, &[3, 4]);
                        network.contribute(node, 0, told[node].clone());
                    }
                    6 => {
                        let router = 3 + network.dice.below(2);
                        network.cut.insert(pair(node, router));
                    }
                    _ => network.cut.clear(),
                }
                let time = network.dice.duration(5 * SECOND);
                network.run(time);
            }
            network.cut.clear();
            // An error in the last moment is held against a peer for a while.
            network.run(60 * SECOND);
            assert_all_know(&network);
        },
    );
}
