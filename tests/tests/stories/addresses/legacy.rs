//! Objects that were written for MetalLB, years ago.

use anyhow::{Context as _, Result, ensure};
use metallb_tests::product;

use super::ledger::Ledger;
use crate::world::Installed;

/// They are applied as they are and get what they ask for; who uses the old prefix is told so;
/// and nobody who was there before notices.
pub(crate) fn unchanged(world: &Installed) -> Result<()> {
    let ledger = Ledger::start(world)?;
    world.kubectl.apply(OBJECTS)?;
    for (service, address) in [
        ("legacy-pool", "10.17.0.0"),
        ("legacy-address", "10.17.1.3"),
        ("legacy-field", "10.17.1.4"),
        ("legacy-dns-tcp", "10.17.1.5"),
        ("legacy-dns-udp", "10.17.1.5"),
    ] {
        let got = product::assigned(&world.kubectl, service, 1)?;
        ensure!(got[0].to_string() == address, "{service} got {got:?}");
    }
    for service in ["legacy-pool", "legacy-address", "legacy-dns-tcp"] {
        world.event(
            &format!("Service/{service}"),
            "deprecatedAnnotation",
            "Service uses deprecated annotation metallb.universe.tf/",
        )?;
    }
    ledger.nothing_moved_but_shared("", &["10.17.1.5".parse()?])?;
    world.kubectl.delete(OBJECTS).context("they do not go")?;
    world.page_answers()
}

const OBJECTS: &str = include_str!("legacy.yaml");
