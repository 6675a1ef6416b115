//! The routers run; what they say over BGP comes with BGP.

use std::time::Duration;

use anyhow::{Result, ensure};
use metallb_tests::{Cluster, Place, Router, eventually};

pub(crate) fn answer(cluster: &Cluster) -> Result<()> {
    for (place, router) in cluster.routers() {
        let summary = cluster.show_router(place)?;
        let (question, expected) = match router {
            Router::Frr => ("show running-config", "bgp listen range 192.0.2.0/24"),
            Router::Bird => ("show protocols all nodes4", "192.0.2.0/24"),
            Router::Gobgp => ("global", "64503"),
        };
        let answer = cluster.ask_router(place, question)?;
        ensure!(
            answer.contains(expected),
            "{place}: no {expected:?} in {answer}"
        );
        if router != Router::Bird {
            serde_json::from_str::<serde_json::Value>(&summary)?;
        }
        println!(
            "  {place}: {}",
            summary.split_whitespace().collect::<Vec<_>>().join(" ")
        );

        // A node's session would be taken.
        let target = place.address().v4.to_string();
        let connect = format!("exec 3<>/dev/tcp/{target}/179");
        eventually(&format!("BGP at {place}"), Duration::from_secs(10), || {
            let connect = ["timeout", "1", "bash", "-c", &connect];
            cluster
                .output(Place::Node(1), &connect)
                .map(Ok::<_, String>)
        })?;
    }
    Ok(())
}
