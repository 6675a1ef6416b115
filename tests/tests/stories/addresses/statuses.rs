//! Statuses that nobody should have written.

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{eventually, product};
use serde_json::{Value, json};

use super::crowd::service;
use crate::world::{Installed, SOON};

/// An address of no pool, one of another family, a host name, the addresses of two Services:
/// whatever somebody writes there, the Service ends with one address of its pool and is told.
pub(crate) fn by_hand(world: &Installed) -> Result<()> {
    world.apply_pool("hand", &["10.18.0.1-10.18.0.20"])?;
    world.crowd("hand", 2)?;
    for name in ["hand-000", "hand-001"] {
        product::assigned(&world.kubectl, name, 1)?;
    }
    for (ingress, event) in [
        (json!([{ "ip": "203.0.113.9" }]), "ClearAssignment"),
        (json!([{ "ip": "2001:db8:ffff::1" }]), "ClearAssignment"),
        (json!([{ "hostname": "load.example" }]), "nolbIPsIPFamily"),
        (
            json!([{ "ip": "10.18.0.3" }, { "ip": "10.18.0.4" }, { "ip": "10.18.0.5" }]),
            "nolbIPsIPFamily",
        ),
        (json!([]), "IPAllocated"),
    ] {
        write(world, "hand-000", &ingress)?;
        let got = settled(world, "hand-000")?;
        println!("  {ingress} became {got}");
        world.event("Service/hand-000", event, "")?;
    }
    // Text is refused by the API server itself.
    let text = write(world, "hand-000", &json!([{ "ip": "everything" }]));
    ensure!(text.is_err(), "the API server took text for an address");
    // An address of the pool that nobody has is as good as any.
    write(world, "hand-000", &json!([{ "ip": "10.18.0.7" }]))?;
    eventually("10.18.0.7 is taken for what it has", SOON, || {
        let pool = world.kubectl.json(&["get", "service", "hand-000"])?;
        let ingress = pool["status"]["loadBalancer"]["ingress"].clone();
        Ok(if ingress[0]["ip"] == "10.18.0.7" {
            Ok(())
        } else {
            Err(ingress)
        })
    })?;
    let other = product::assigned(&world.kubectl, "hand-001", 1)?;
    ensure!(
        other[0].to_string() == "10.18.0.2",
        "the one beside moved: {other:?}"
    );
    world.crowd_leaves("hand")
}

/// The status of a younger Service is given the address of an older one, and the other way round:
/// the older keeps its address, the younger gets one of its own and is told.
pub(crate) fn twice(world: &Installed) -> Result<()> {
    world.apply_pool("twice", &["10.19.0.1-10.19.0.20"])?;
    world.apply_all(&[service("twice-older", "twice")])?;
    let first = product::assigned(&world.kubectl, "twice-older", 1)?[0];
    // Ages are told apart by the second.
    let born = |name: &str| -> Result<Value> {
        let object = world.kubectl.json(&["get", "service", name])?;
        Ok(object["metadata"]["creationTimestamp"].clone())
    };
    let older = born("twice-older")?;
    eventually("a younger Service", SOON, || {
        world.delete("default", "service", "twice-younger")?;
        world.apply_all(&[service("twice-younger", "twice")])?;
        let younger = born("twice-younger")?;
        Ok(if younger == older {
            Err(younger)
        } else {
            Ok(())
        })
    })?;
    product::assigned(&world.kubectl, "twice-younger", 1)?;

    write(
        world,
        "twice-younger",
        &json!([{ "ip": first.to_string() }]),
    )?;
    let got = settled_on(world, "twice-younger", |now| now != first.to_string())?;
    println!("  the younger one, given {first} by hand, has {got}");
    world.event(
        "Service/twice-younger",
        "ClearAssignment",
        &first.to_string(),
    )?;
    let kept = product::assigned(&world.kubectl, "twice-older", 1)?[0];
    ensure!(kept == first, "the older one has {kept} instead of {first}");

    let second = got;
    write(world, "twice-older", &json!([{ "ip": second }]))?;
    let younger = settled_on(world, "twice-younger", |now| now != second)?;
    let older = product::assigned(&world.kubectl, "twice-older", 1)?[0];
    println!("  the older one, given {second} by hand, keeps {older}; the younger has {younger}");
    ensure!(older.to_string() == second, "{older} instead of {second}");
    world.crowd_leaves("twice")
}

/// Writes what a status shows, past everybody whose work that is.
fn write(world: &Installed, name: &str, ingress: &Value) -> Result<()> {
    let patch = json!({ "status": { "loadBalancer": { "ingress": ingress } } }).to_string();
    let arguments = [
        "patch",
        "service",
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ];
    world.kubectl.output(&arguments).map(drop)
}

/// Waits until a Service has one address, of its pool.
fn settled(world: &Installed, name: &str) -> Result<String> {
    settled_on(world, name, |now| now.starts_with("10.18.0."))
}

fn settled_on(world: &Installed, name: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
    eventually(&format!("{name} has an address of its own"), SOON, || {
        let object = world.kubectl.json(&["get", "service", name])?;
        let ingress = object["status"]["loadBalancer"]["ingress"].clone();
        let all = ingress.as_array().cloned().unwrap_or_default();
        let ip = all.first().and_then(|entry| entry["ip"].as_str());
        Ok(match ip {
            Some(ip) if all.len() == 1 && wanted(ip) => Ok(ip.to_owned()),
            _ => Err(ingress),
        })
    })
    .context("nobody set it right")
}
