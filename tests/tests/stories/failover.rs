//! What dies, and who takes over.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    eventually,
    product::{self, NAMESPACE},
};

use crate::{
    admission, layer2,
    world::{Installed, SOON},
};

/// The announcing node's cable is cut, five times; another node answers each time, for both
/// families, in under three seconds.
pub(crate) fn cable_cut(world: &Installed) -> Result<()> {
    let addresses = world.addresses()?;
    for round in 1..=5 {
        let watches = addresses
            .iter()
            .map(|address| world.cluster.watch_owner(*address))
            .collect::<Result<Vec<_>>>()?;
        let owner = watches[0].settled(SOON)?;
        ensure!(
            watches[1].settled(SOON)? == owner,
            "two nodes own the addresses of one Service"
        );

        let started = Instant::now();
        world.cluster.cut(owner)?;
        let answers = watches
            .iter()
            .map(|watch| watch.next_owner(owner, started, SOON))
            .collect::<Result<Vec<_>>>();
        // What the dead one left is cleared away by the one that takes over.
        let shown = match &answers {
            Ok(answers) if round == 1 => layer2::is_shown(world, answers[0].answer.place),
            _ => Ok(()),
        };
        world.cluster.heal(owner)?;
        shown?;
        for (address, answer) in addresses.iter().zip(answers?) {
            let taken = answer.at - started;
            let node = answer.answer.place.context("it is a node's")?;
            println!(
                "  round {round}: {owner} cut, {node} answers for {address} after {taken:.2?}"
            );
            ensure!(taken < Duration::from_secs(3), "{address}: {taken:.2?}");
        }
        world.page_answers()?;
        layer2::answers_again(&watches[0], owner)?;
    }
    world.page_answers()
}

/// Pods that are killed come back and find every address where it was.
pub(crate) fn controller_killed(world: &Installed) -> Result<()> {
    let addresses = world.addresses()?;
    world.kubectl.output(&[
        "-n",
        NAMESPACE,
        "delete",
        "pods",
        "-l",
        "component=controller",
        "--grace-period=0",
        "--force",
    ])?;
    world.apply_service("meanwhile", &[])?;
    eventually(
        "the new Service has an address",
        Duration::from_secs(40),
        || {
            let got = product::addresses(&world.kubectl, "meanwhile")?;
            Ok(if got.len() == 1 {
                Ok(())
            } else {
                Err(format!("{got:?}"))
            })
        },
    )?;
    ensure!(world.addresses()? == addresses, "an address moved");
    world.delete("default", "service", "meanwhile")?;
    product::available(&world.kubectl)?;
    admission::answered(world)
}
