//! Calls in any order, sensible or not.

use std::collections::BTreeMap;

use metallb_config::Pool;
use metallb_seeds::Dice;

use crate::both::Both;
use crate::chance;

pub(crate) fn run(dice: &mut Dice) {
    let mut both = Both::default();
    let (services, universe) = (chance::services(), chance::universe());
    both.set_pools(&pools(dice));
    for _ in 0..4 + dice.below(30) {
        match dice.below(17) {
            0 => {
                both.set_pools(&pools(dice));
            }
            1..4 => {
                both.adopt(&chance::ask(dice), &chance::ips(dice));
            }
            4..10 => {
                let ask = chance::ask(dice);
                if both.allocate(&ask).is_none() {
                    both.compare_explanation(&ask);
                }
            }
            10..12 => {
                both.add_family(&chance::ask(dice));
            }
            12..14 => {
                both.linger(&chance::service(dice), &chance::ips(dice));
            }
            14 => {
                both.linger(&chance::service(dice), &[]);
            }
            _ => {
                both.release(&chance::service(dice));
            }
        }
        both.compare(&services, &universe);
    }
}

fn pools(dice: &mut Dice) -> BTreeMap<String, Pool> {
    let pools = (0..=dice.below(4)).filter_map(|_| chance::pool(dice));
    pools.map(|pool| (pool.name.clone(), pool)).collect()
}
