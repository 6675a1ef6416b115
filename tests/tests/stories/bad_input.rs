//! What users get wrong, what they are told, and that everything else goes on.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use metallb_tests::product::{self, NAMESPACE};

use crate::{admission, world::Installed};

/// Every kind of nonsense in a pool's addresses: whoever writes it is told at once, and the other
/// pools work on.
pub(crate) fn invalid_pools(world: &Installed) -> Result<()> {
    admission::required(world)?;
    let schemas: &[(&[&str], &str)] = &[
        (&["10.0.0.1"], "invalid CIDR"),
        (&[], "pool has no prefixes defined"),
        (&["everything, please"], "invalid CIDR"),
    ];
    let webhooks = NONSENSE
        .iter()
        .map(|(_, range, words)| (&range[..], *words));
    for (addresses, words) in schemas.iter().copied().chain(webhooks) {
        let applied = world.apply_pool("bad", addresses);
        let error = format!("{:#}", applied.err().context("it was taken")?);
        ensure!(error.contains(words), "{words:?} is not in: {error}");
        println!("  {addresses:?}: {error}");
    }
    world.page_answers()
}

/// Pools that were written when no webhook was there to refuse them.
pub(crate) fn write_bad_pools(world: &Installed) -> Result<()> {
    for (name, range, _) in NONSENSE {
        world.apply_pool(name, range)?;
    }
    Ok(())
}

/// Each of them says what is wrong with it, all else works, and they can be removed.
pub(crate) fn bad_pools_stop_only_themselves(world: &Installed) -> Result<()> {
    for (name, _, words) in NONSENSE {
        let pool = format!("IPAddressPool/{name}");
        let event = world.event(&pool, "InvalidConfiguration", words)?;
        ensure!(event["type"] == "Warning", "{event}");
        println!("  {name}: {}", event["message"]);
    }

    world.apply_service("beside", &[])?;
    let address = product::assigned(&world.kubectl, "beside", 1)?[0];
    product::page(&world.cluster, address)?;

    world.delete("default", "service", "beside")?;
    for (name, _, _) in NONSENSE {
        world.delete(NAMESPACE, "ipaddresspool", name)?;
    }
    world.page_answers()
}

/// Pools that the schema takes: the name, the addresses, and what is said of them.
const NONSENSE: &[(&str, [&str; 1], &str)] = &[
    ("bad-octet", ["10.0.0.300/32"], "10.0.0.300"),
    ("bad-reversed", ["10.0.0.9-10.0.0.1"], "is after the end IP"),
];

/// `192.0.2.201/30` names a host, not a network: as ever it means the network that the host is in.
pub(crate) fn host_bits(world: &Installed) -> Result<()> {
    world.apply_pool("host-bits", &["192.0.2.201/30"])?;
    world.apply_service("asks", &[("metallb.io/address-pool", "host-bits")])?;
    let got = product::assigned(&world.kubectl, "asks", 1)?;
    ensure!(got == ["192.0.2.200".parse::<IpAddr>()?], "{got:?}");
    world.delete("default", "service", "asks")?;
    world.delete(NAMESPACE, "ipaddresspool", "host-bits")
}

/// One address for two: the second is told, and has it as soon as the first lets go.
pub(crate) fn exhausted_pool(world: &Installed) -> Result<()> {
    world.apply_pool("single", &["192.0.2.200/32"])?;
    let single = [("metallb.io/address-pool", "single")];
    world.apply_service("first", &single)?;
    let held = product::assigned(&world.kubectl, "first", 1)?;
    world.apply_service("second", &single)?;
    let event = world.event("Service/second", "AllocationFailed", "no available IPs")?;
    ensure!(event["type"] == "Warning", "{event}");
    println!("  second: {}", event["message"]);

    world.delete("default", "service", "first")?;
    let passed_on = product::assigned(&world.kubectl, "second", 1)?;
    ensure!(
        held == passed_on,
        "{held:?} was free, the second got {passed_on:?}"
    );

    world.delete("default", "service", "second")?;
    world.delete(NAMESPACE, "ipaddresspool", "single")
}
