//! Whatever happens to a cluster, in the end everybody knows who is there.

use std::collections::BTreeSet;
use std::time::Duration;

use metallb_seeds::{Dice, for_each_seed};

use crate::network::{Network, ms};

/// A cluster, and what was done to it.
struct Life {
    network: Network,
    dice: Dice,
    running: BTreeSet<usize>,
    nodes: usize,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let nodes = dice.pick(&[3, 3, 4, 5, 10, 30]);
        let mut network =
            Network::by_dice(nodes, Dice::new(seed ^ 1)).loss(dice.pick(&[0, 0, 1, 5]));
        if dice.percent(20) {
            network = network.sealed();
        }
        network.wires.latency = Duration::from_micros(dice.pick(&[50, 2000, 5000]));
        for node in 0..nodes {
            network.start(node);
        }
        Self {
            network,
            running: (0..nodes).collect(),
            dice,
            nodes,
        }
    }

    fn something_happens(&mut self) {
        let node = self.dice.below(self.nodes);
        let is_running = self.running.contains(&node);
        match self.dice.below(9) {
            0 if is_running => self.kill(node),
            1 if is_running => {
                self.network.leave(node);
                self.running.remove(&node);
                // It has said so by then.
                self.network.run(ms(100));
                self.network.kill(node);
            }
            0..=2 => {
                if is_running {
                    self.kill(node);
                }
                self.network.start(node);
                self.running.insert(node);
            }
            3 if is_running => {
                let longest = ms(self.dice.pick(&[100, 500, 2000, 20_000]));
                let time = self.dice.duration(longest);
                self.network.freeze(node, time);
            }
            4 | 5 => {
                let sides = self.dice.pick(&[1, 2, 2, 3]);
                for side in &mut self.network.wires.side {
                    *side = u8::try_from(self.dice.below(sides)).expect("a few");
                }
            }
            6 => {
                // One way, or both.
                let other = self.dice.below(self.nodes);
                self.network.wires.deaf.insert((node, other));
                if self.dice.percent(50) {
                    self.network.wires.deaf.insert((other, node));
                }
            }
            7 => self.network.wires.deaf.clear(),
            _ => {}
        }
        let time = self.dice.duration(ms(3000));
        self.network.run(time);
    }

    fn kill(&mut self, node: usize) {
        self.network.kill(node);
        self.running.remove(&node);
    }

    /// Everything gets through again, and nobody stands still.
    fn calm_down(&mut self) {
        self.network.wires.side.fill(0);
        self.network.wires.deaf.clear();
        // Whoever is frozen thaws.
        self.network.run(ms(20_000));
        if self.running.is_empty() {
            self.network.start(0);
            self.running.insert(0);
        }
        self.network.run(CALM);
    }
}

#[test]
fn in_the_end_everybody_knows_who_is_there() {
    let test = "cargo test -p metallb-membership --test simulation in_the_end";
    for_each_seed(test, 2000, |seed| {
        let mut life = Life::new(seed);
        for _ in 0..12 {
            life.something_happens();
        }
        life.calm_down();
        life.network.assert_all_see(&life.running);
        // And nobody changes its mind without a reason.
        life.network.forget_losses();
        life.network.run(ms(10_000));
        assert_eq!(life.network.losses(), []);
    });
}

/// After this much time without a fault, all agree.
const CALM: Duration = ms(2000);
