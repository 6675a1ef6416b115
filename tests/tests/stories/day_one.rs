//! The first day: install, get an address, look around.

use anyhow::{Result, ensure};
use metallb_tests::product::{self, NAMESPACE};

use crate::world::Installed;

/// A Service that finds no pool is told so in an Event, and is served when one comes; the one that
/// is older is served first, and gets what it had.
pub(crate) fn no_pool(world: &Installed) -> Result<()> {
    let before = world.addresses()?;
    world.delete(NAMESPACE, "ipaddresspool", "demo")?;
    world.apply_service("early", &[])?;
    let event = world.event("Service/early", "AllocationFailed", "")?;
    ensure!(event["type"] == "Warning", "{event}");
    ensure!(
        event["source"]["component"] == "metallb-controller",
        "{event}"
    );
    println!("  early: {}", event["message"]);
    ensure!(product::addresses(&world.kubectl, "early")?.is_empty());

    world.kubectl.apply(&product::demo_object("pool")?)?;
    let after = world.addresses()?;
    ensure!(after == before, "{before:?} became {after:?}");
    let early = product::assigned(&world.kubectl, "early", 1)?;
    let assigned = world.event("Service/early", "IPAllocated", &early[0].to_string())?;
    ensure!(assigned["type"] == "Normal", "{assigned}");
    world.delete("default", "service", "early")
}

/// The main job.
pub(crate) fn page_over_both_families(world: &Installed) -> Result<()> {
    for address in world.addresses()? {
        let page = product::page(&world.cluster, address)?;
        ensure!(
            page.trim().starts_with("web-"),
            "{address} answered {page:?}"
        );
        println!("  {address} answered {:?}", page.trim());
    }
    Ok(())
}

/// What a user types first tells what a user wants to know.
pub(crate) fn kubectl_reads_well(world: &Installed) -> Result<()> {
    let addresses = world.addresses()?;
    let table = world
        .kubectl
        .output(&["get", "metallb,ipaddresspool,svc", "-A"])?;
    println!("{table}");
    for wanted in [
        "AVAILABLE",
        "AUTO ASSIGN",
        "AVOID BUGGY IPS",
        "ADDRESSES",
        "EXTERNAL-IP",
    ] {
        ensure!(table.contains(wanted), "no column {wanted}");
    }
    for address in addresses {
        ensure!(table.contains(&address.to_string()), "no {address}");
    }
    let service = world.kubectl.output(&["describe", "service", "web"])?;
    ensure!(
        service.contains("metallb-controller"),
        "From is missing:\n{service}"
    );
    ensure!(
        service.contains("metallb-speaker"),
        "nobody says who announces:\n{service}"
    );
    Ok(())
}

/// The definitions and every sample pass the real API server's strict validation.
pub(crate) fn samples_are_taken(world: &Installed) -> Result<()> {
    for folder in ["crds", "config/samples", "config/samples/demo"] {
        let folder = product::path(folder);
        world.kubectl.output(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            &folder.display().to_string(),
        ])?;
    }
    Ok(())
}

/// 15 MiB for each process.
pub(crate) fn memory(world: &Installed) -> Result<()> {
    let memory = product::memory(&world.cluster)?;
    for (node, program, bytes) in &memory {
        println!("  {node} {program} {:.1} MiB", mebibytes(*bytes));
    }
    for (program, count) in [("/controller", 2), ("/operator", 2), ("/speaker", 3)] {
        let running = memory
            .iter()
            .filter(|(_, name, _)| *name == program)
            .count();
        ensure!(running == count, "{running} of {program} run, not {count}");
    }
    for (node, program, bytes) in memory {
        ensure!(
            bytes <= 15 << 20,
            "{program} on {node} takes {:.1} MiB",
            mebibytes(bytes)
        );
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
