//! The controller is started where many Services have their addresses already.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::program::{Kind, Program};
use crate::rig::Rig;
use crate::server::Writes;
use metallb_benches::load;
use metallb_benches::table::{Bar, Table, median, worst};

/// Ready time, writes, moved addresses and memory.
pub(crate) async fn measure(rig: &Rig, table: &mut Table) -> Result<()> {
    nodes(rig).await?;
    let existing = rig.board.now().services_count;
    let what = format!("restart with {existing} Services");
    let mut ready = Vec::new();
    let mut resident = Vec::new();
    let addresses = rig.board.addresses();
    let before = Writes::read(&rig.client).await?;
    for _ in 0..rig.rounds.max(3) {
        let controller = Program::start(rig, Kind::Ours(1)).await?;
        ready.push(controller.ready_after.as_secs_f64());
        rig.leader("controller-1").await?;
        // That nothing is written cannot be waited for: whatever it finds to write it would write
        // by now.
        tokio::time::sleep(Duration::from_secs(3)).await;
        resident.push(mebibytes(controller.resident()));
        controller.stop().await?;
    }
    let writes = Writes::read(&rig.client).await?.since(&before);
    ensure!(
        rig.board.addresses().len() == existing,
        "some lost their address"
    );
    let moved = rig
        .board
        .addresses()
        .iter()
        .filter(|(name, address)| addresses.get(*name) != Some(*address))
        .count();
    let statuses = writes.count(&["PUT", "PATCH"], "services/status")
        + writes.count(&["POST", "PUT", "PATCH"], "events")
        + writes.count(&["PUT", "PATCH"], "ipaddresspools/status");
    table.row(
        &format!("{what}: ready, median"),
        "s",
        median(&ready),
        Bar::AtMost(2.0),
    );
    table.row(
        &format!("{what}: writes (Services, Events, pools)"),
        "",
        count(statuses),
        Bar::AtMost(0.0),
    );
    table.row(
        &format!("{what}: moved addresses"),
        "",
        count(moved as u64),
        Bar::AtMost(0.0),
    );
    table.row(
        &format!(
            "resident with {existing} Services and {} Nodes, worst",
            rig.nodes
        ),
        "MiB",
        worst(&resident),
        Bar::AtMost(30.0),
    );
    table.raw(
        &what,
        json!({ "ready_s": ready, "resident_mib": resident, "writes": writes.all() }),
    );
    Ok(())
}

/// Nodes as a cluster has them: labels, addresses, conditions, fifty images.
async fn nodes(rig: &Rig) -> Result<()> {
    let started = Instant::now();
    for number in 0..rig.nodes {
        let name = format!("node-{number:04}");
        let images: Vec<_> = (0..50)
            .map(|image| json!({
                "names": [format!("registry.example/some/image-{image}@sha256:{:064x}", image * 7919)],
                "sizeBytes": 10_000_000 + image,
            }))
            .collect();
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": name, "labels": {
                "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": format!("zone-{}", number % 3),
            } },
        });
        load::post(&rig.client, "/api/v1/nodes", &node).await?;
        let path = format!("/api/v1/nodes/{name}");
        let mut node = rig.get(&path).await?;
        node["status"] = json!({
            "images": images,
            "addresses": [{ "type": "InternalIP", "address": format!("10.9.{}.{}", number / 250, number % 250) }],
            "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }],
        });
        load::put(&rig.client, &format!("{path}/status"), &node).await?;
    }
    println!("  {} nodes made in {:.1?}", rig.nodes, started.elapsed());
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn count(number: u64) -> f64 {
    number as f64
}
