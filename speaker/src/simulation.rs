//! Whole speakers but for sockets and the API server, on a network under a virtual clock: who owns
//! an address while everything goes wrong. Every run is a function of its seed.

mod cluster;
mod judge;
mod node;

use std::time::Duration;

use metallb_seeds::{Dice, for_each_seed};

use cluster::Cluster;
use judge::ms;

/// A cluster, and what is done to it.
struct Life {
    cluster: Cluster,
    dice: Dice,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let nodes = dice.pick(&[3, 3, 3, 4, 5, 10]);
        let loss = dice.pick(&[0, 0, 1, 5]);
        Self {
            cluster: Cluster::started(nodes, loss, Dice::new(dice.roll())),
            dice,
        }
    }

    fn something_happens(&mut self) {
        let (cluster, dice) = (&mut self.cluster, &mut self.dice);
        let node = dice.below(cluster.places());
        let runs = cluster.runs(node);
        match dice.below(10) {
            0 if runs => cluster.kill(node),
            1 | 2 if runs => {
                cluster.stop(node);
                let pause = dice.duration(ms(3000));
                cluster.run(pause);
                if dice.percent(20) {
                    // The clock has gone back.
                    cluster.start_as(node, dice.roll() % 1000);
                } else {
                    cluster.start(node);
                }
            }
            0..=3 if !runs => cluster.start(node),
            3 => {
                let longest = ms(dice.pick(&[100, 500, 2000, 20_000]));
                cluster.freeze(node, dice.duration(longest));
            }
            4 | 5 => {
                let sides = dice.pick(&[1, 1, 2, 2, 3]);
                let mut side = || u8::try_from(dice.below(sides)).expect("a few");
                let all = (0..cluster.places()).map(|_| side()).collect();
                cluster.divide(all);
            }
            6 | 7 => cluster.toggle_drain(node),
            8 => cluster.toggle_exclusion(node),
            _ => {}
        }
        let time = dice.duration(ms(4000));
        cluster.run(time);
    }

    /// Everything gets through again, and nobody stands still.
    fn calm_down(&mut self) {
        let cluster = &mut self.cluster;
        cluster.divide(vec![0; cluster.places()]);
        cluster.thaw();
        for node in 0..cluster.places() {
            cluster.include(node);
            if !cluster.runs(node) {
                cluster.start(node);
            }
        }
        cluster.run(CALM);
    }
}

#[test]
fn an_address_has_one_owner_whatever_happens() {
    let test = "cargo test -p metallb-speaker an_address_has_one_owner";
    for_each_seed(test, 2000, |seed| {
        let mut life = Life::new(seed);
        for _ in 0..12 {
            life.something_happens();
        }
        life.calm_down();
        let owners = life.cluster.owners();
        assert!(owners.iter().all(|it| it.len() == 1), "{owners:?}");
        // And nobody changes its mind without a reason.
        life.cluster.run(ms(10_000));
        assert_eq!(life.cluster.owners(), owners);
    });
}

#[test]
fn nodes_that_do_not_hear_each_other_are_no_reason_to_move_while_others_hear_them() {
    for pair in [(0, 1), (1, 2), (2, 3), (0, 4)] {
        let mut cluster = Cluster::started(5, 0, Dice::new(1));
        let owners = cluster.owners();
        cluster.network.deaf.extend([pair, (pair.1, pair.0)]);
        cluster.run(ms(20_000));
        assert_eq!(cluster.owners(), owners, "{pair:?}");
    }
}

#[test]
fn one_that_hears_nobody_takes_everything_and_gives_back_when_it_hears_again() {
    let mut cluster = Cluster::started(4, 0, Dice::new(1));
    let before = cluster.owners();
    let deaf = before[0][0];
    let others = (0..4).filter(|it| *it != deaf);
    cluster.network.deaf.extend(others.map(|it| (it, deaf)));
    // It believes that all are dead, and so two may own an address: nothing to be judged.
    cluster.network.run(ms(600));
    let owners = cluster.owners();
    assert!(owners.iter().all(|it| it.contains(&deaf)), "{owners:?}");
    cluster.network.deaf.clear();
    cluster.network.run(ms(600));
    let owners = cluster.owners();
    assert!(owners.iter().all(|it| it.len() == 1), "{owners:?}");
    cluster.run(ms(5000));
    assert_eq!(cluster.owners(), before);
}

/// Long enough for every hold-down, and for those who fell out to be patient with each other.
const CALM: Duration = ms(20_000);
