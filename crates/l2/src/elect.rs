//! Which node announces an address: a pure function, so that nodes with the same view agree.

use std::cmp::Reverse;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

/// A node that may announce an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The name of the node.
    pub node: &'a str,
    /// The sum of the weights that the matching advertisements give this node; more wins.
    pub score: i64,
}

impl<'a> Candidate<'a> {
    /// A node that no advertisement prefers.
    pub fn new(node: &'a str) -> Self {
        Self { node, score: 0 }
    }
}

/// The candidates in the order in which they own `ip`: the first does, each later one when all
/// before it are gone.
///
/// Upstream's rule: score, highest first, then the SHA-256 of `node#ip`, lowest first. `ip` is the
/// first address of the Service.
pub fn order<'a>(candidates: impl IntoIterator<Item = Candidate<'a>>, ip: IpAddr) -> Vec<&'a str> {
    let mut ranked: Vec<_> = candidates
        .into_iter()
        .map(|c| (rank(c, ip), c.node))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, node)| node).collect()
}

/// The candidate that announces `ip`. None if there is none.
pub fn owner<'a>(
    candidates: impl IntoIterator<Item = Candidate<'a>>,
    ip: IpAddr,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .min_by_key(|c| (rank(*c, ip), c.node))
        .map(|c| c.node)
}

fn rank(candidate: Candidate<'_>, ip: IpAddr) -> (Reverse<i64>, [u8; 32]) {
    // The text is that of Go's net.IP: RFC 5952, and an IPv4-mapped address in its IPv4 form.
    let hash = Sha256::new()
        .chain_update(candidate.node)
        .chain_update("#")
        .chain_update(ip.to_canonical().to_string())
        .finalize();
    (Reverse(candidate.score), hash.into())
}
