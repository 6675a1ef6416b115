//! What a speaker takes when nothing happens.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use metallb_benches::load;
use metallb_benches::table::{Bar, Table};
use metallb_tests::Place;
use serde_json::json;

use crate::client::Watch;
use metallb_benches::speakers::Rig;
use metallb_benches::speakers::crowd::Crowd;
use metallb_benches::speakers::{Kind, Speakers};

/// Beside 1,000 Services with ten endpoints each, and a hundred Nodes.
pub(crate) fn measure(rig: &Rig, table: &mut Table) -> Result<()> {
    let crowd = Crowd {
        count: 1000,
        endpoints: 10,
        ready: true,
    };
    rig.beside_the_server(async |client| {
        for number in 4..=100 {
            let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": format!("fake-{number}") } });
            load::post(&client, "/api/v1/nodes", &node).await?;
        }
        crowd.make(&client).await
    })?;
    for kind in rig.kinds() {
        let speakers = Speakers::start(rig, kind)?;
        Watch::start(&rig.cluster, rig.nic, Some(rig.address()))?.settled()?;
        // Bursts of announcements are over by then, and allocators have given back what they give.
        thread::sleep(CALM);
        let process = speakers.on(Place::Node(1))?;
        let before = process.processor_time();
        thread::sleep(IDLE);
        let used = process.processor_time().saturating_sub(before);
        let bar = |most| {
            if kind == Kind::Ours {
                Bar::AtMost(most)
            } else {
                Bar::None
            }
        };
        let what = format!(
            "{}: beside 1,000 Services, 10,000 endpoints, 100 Nodes",
            kind.name()
        );
        let resident = f64::from(u32::try_from(process.resident() / 1024)?) / 1024.0;
        table.row(&format!("{what}: resident"), "MiB", resident, bar(15.0));
        let share = used.as_secs_f64() / IDLE.as_secs_f64() * 100.0;
        table.row(&format!("{what}: idle"), "%", share, bar(0.2));
    }
    rig.beside_the_server(async |client| {
        for number in 4..=100 {
            load::remove(&client, &format!("/api/v1/nodes/fake-{number}")).await?;
        }
        crowd.clear(&client).await
    })
}

const CALM: Duration = Duration::from_secs(8);
/// For how long it is looked at.
const IDLE: Duration = Duration::from_secs(20);
