//! Each node's sessions as objects.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use metallb_tests::faults::Target;
use metallb_tests::{eventually, product};
use serde_json::{Value, json};

use crate::world::{FRR, SOON, World, families};

/// Of each node there is an object for each session: it says what was agreed on while there is a
/// session, why there is none while the router is stopped, and is gone with the peer.
pub(crate) fn session_states(world: &World) -> Result<()> {
    let [(_, address), _] = families(FRR);
    world.remove("bgppeer", "r1-v4")?;
    of_three_nodes(world, "none", SOON, |_| false)?;
    world.peer("r1-v4", &address, json!({}))?;
    let ip = address.ip.to_string();
    let agreed = json!({
        "bgpStatus": "Established", "bfdStatus": "N/A", "vrf": "", "peer": ip,
        "bgpPeer": "r1-v4", "localASN": 64500, "peerASN": 64501,
        "holdTime": "9s", "keepaliveTime": "3s",
        "capabilities": [
            "ipv4Unicast", "fourOctetAS", "routeRefresh", "enhancedRouteRefresh", "extendedMessage",
        ],
    });
    let is_up = |status: &Value| says(status, &agreed) && status["since"].is_string();
    let before = of_three_nodes(world, "up", SOON, is_up)?;
    // The last of a node's six sessions has its turn after three minutes.
    let numbers = json!({ "advertised": 1, "pending": 0 });
    of_three_nodes(world, "one route", Duration::from_mins(4), |status| {
        says(&status["prefixes"], &numbers)
    })?;

    let bgpd = Target::program_in(FRR, "bgpd");
    world.cluster.freeze(&bgpd)?;
    let down = json!({
        "bgpStatus": "Active",
        "lastError": format!("nothing was heard from {ip} for the hold time"),
        // Those of a session that is gone.
        "holdTime": null, "keepaliveTime": null, "peerASN": null, "capabilities": null,
    });
    let is_down = |status: &Value| says(status, &down);
    let told = of_three_nodes(world, "down", SOON, is_down);
    world.cluster.thaw(&bgpd)?;
    let after = told?;
    ensure!(
        before[0]["since"].as_str() < after[0]["since"].as_str(),
        "{before:?} {after:?}"
    );
    of_three_nodes(world, "up again", SOON, is_up)?;
    table(world)?;

    world.remove("bgppeer", "r1-v4")?;
    of_three_nodes(world, "none", SOON, |_| false)?;
    world.peer("r1-v4", &address, json!({}))?;
    of_three_nodes(world, "up", SOON, is_up).map(drop)
}

/// What people read, with all columns.
fn table(world: &World) -> Result<()> {
    let wide = ["get", "bgpsessionstates.metallb.io", "-A", "-o", "wide"];
    let table = world.kubectl.output(&wide)?;
    for line in table.lines() {
        println!("  {line}");
    }
    let head = table.lines().next().context("there is no table")?;
    let columns: Vec<_> = head.split("  ").map(str::trim).collect();
    let columns: Vec<_> = columns.into_iter().filter(|it| !it.is_empty()).collect();
    let expected = [
        "NAMESPACE",
        "NAME",
        "NODE",
        "PEER",
        "VRF",
        "BGP",
        "BFD",
        "SINCE",
        "BGPPEER",
        "LAST ERROR",
    ];
    ensure!(columns == expected, "{columns:?}");
    Ok(())
}

/// Waits until the objects of the peer `r1-v4` are one for each node, and say so; or, for `none`,
/// that there are none. Returns what they say.
fn of_three_nodes(
    world: &World,
    what: &str,
    patience: Duration,
    so: impl Fn(&Value) -> bool,
) -> Result<Vec<Value>> {
    let count = if what == "none" { 0 } else { 3 };
    let arguments = [
        "-n",
        product::NAMESPACE,
        "get",
        "bgpsessionstates.metallb.io",
        "-l",
        "metallb.io/bgp-peer=r1-v4",
        "--sort-by=.status.node",
    ];
    eventually(&format!("sessions with r1-v4: {what}"), patience, || {
        let list = world.kubectl.json(&arguments)?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let statuses: Vec<_> = items.iter().map(|it| it["status"].clone()).collect();
        let nodes = statuses.iter().map(|it| it["node"].as_str());
        let nodes_fit = nodes.eq([Some("n1"), Some("n2"), Some("n3")][..count]
            .iter()
            .copied());
        Ok(if nodes_fit && statuses.iter().all(&so) {
            Ok(statuses)
        } else {
            Err(Value::Array(statuses).to_string())
        })
    })
}

/// Whether a status has all of these; null stands for what is not there.
fn says(status: &Value, all: &Value) -> bool {
    let all = all.as_object().into_iter().flatten();
    all.into_iter().all(|(key, value)| status[key] == *value)
}
