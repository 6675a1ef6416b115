//! `GoBGP`, which keeps its routes to itself and has no BFD.

use anyhow::Result;

use super::{NODES_ASN, NODES_V4, NODES_V6, Seat};

pub(super) const SUMMARY: &str = "neighbor";

pub(super) fn start(seat: &Seat<'_>) -> Result<()> {
    seat.write("gobgpd.toml", &config(seat))?;
    let config = seat.file("gobgpd.toml");
    let api = format!("127.0.0.1:{API_PORT}");
    seat.spawn(
        "gobgpd",
        &[
            "/usr/bin/gobgpd",
            "-t",
            "toml",
            "-f",
            &config,
            "--api-hosts",
            &api,
            "--pprof-disable",
        ],
    )
}

pub(super) fn ask(seat: &Seat<'_>, question: &str) -> Result<String> {
    let mut command = vec!["gobgp", "-p", API_PORT, "-j"];
    command.extend(question.split_ascii_whitespace());
    seat.output(&command)
}

fn config(seat: &Seat<'_>) -> String {
    let family = |name: &str| {
        format!(
            "[[peer-groups.afi-safis]]\n[peer-groups.afi-safis.config]\nafi-safi-name = \"{name}\"\n"
        )
    };
    let range = |prefix: &str| {
        format!(
            "[[dynamic-neighbors]]\n[dynamic-neighbors.config]\nprefix = \"{prefix}\"\npeer-group = \"nodes\"\n"
        )
    };
    format!(
        "[global.config]
as = {asn}
router-id = \"{id}\"
[[peer-groups]]
[peer-groups.config]
peer-group-name = \"nodes\"
peer-as = {NODES_ASN}
{}{}{}{}",
        family("ipv4-unicast"),
        family("ipv6-unicast"),
        range(NODES_V4),
        range(NODES_V6),
        asn = seat.asn(),
        id = seat.router_id(),
    )
}

/// Each router has a namespace of its own, so one number does for all.
const API_PORT: &str = "50051";
