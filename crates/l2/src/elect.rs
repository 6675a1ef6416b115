//! Which node announces an address: a pure function, so that nodes with the same view agree.

use std::cmp::Reverse;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::Fitness;

/// A node that may announce an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The name of the node.
    pub node: &'a str,
    /// How well it can announce the address.
    pub fitness: Fitness,
    /// The sum of the weights that the matching advertisements give this node; more wins.
    pub score: i64,
}

impl<'a> Candidate<'a> {
    /// A node that no advertisement prefers, and nothing speaks against.
    pub fn new(node: &'a str) -> Self {
        Self {
            node,
            fitness: Fitness::Able,
            score: 0,
        }
    }
}

/// The candidates in the order in which they own `ip`: the first does, each later one when all
/// before it are gone.
///
/// Upstream's rule: score, highest first, then the SHA-256 of `node#ip`, lowest first. `ip` is the
/// first address of the Service. Before that, ours: the fittest go first, so that a node that cannot
/// announce is not chosen while another can.
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
) -> Option<Candidate<'a>> {
    candidates
        .into_iter()
        .min_by_key(|c| (rank(*c, ip), c.node))
}

fn rank(candidate: Candidate<'_>, ip: IpAddr) -> (Reverse<(Fitness, i64)>, [u8; 32]) {
    // The text is that of Go's net.IP: RFC 5952, and an IPv4-mapped address in its IPv4 form.
    let hash = Sha256::new()
        .chain_update(candidate.node)
        .chain_update("#")
        .chain_update(ip.to_canonical().to_string())
        .finalize();
    (Reverse((candidate.fitness, candidate.score)), hash.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [&str; 3] = ["node-a", "node-b", "node-c"];

    /// Reckoned by `printf %s node-a#192.0.2.10 | sha256sum`, for each node and address.
    #[test]
    fn the_order_is_that_of_the_hashes() {
        let table = [
            ("192.0.2.10", ["node-c", "node-b", "node-a"]), // 39f2, 6e9f, d4b8
            ("192.0.2.11", ["node-a", "node-c", "node-b"]), // 0b9c, cceb, dd50
            ("2001:db8::1", ["node-b", "node-a", "node-c"]), // 1aee, 3c9f, bb83
            ("2001:db8:0:1:1:1:1:1", ["node-c", "node-b", "node-a"]), // 2b75, 6a04, 9b61
            ("2001:db8::1:0:0:1", ["node-a", "node-c", "node-b"]), // 714f, 9778, c8aa
            ("::102:304", ["node-c", "node-b", "node-a"]),  // 56c8, b5f3, ccbe
            ("fe80::abcd", ["node-a", "node-c", "node-b"]), // 42e4, 4e9e, 8e10
        ];
        for (ip, wanted) in table {
            assert_eq!(
                order(NODES.map(Candidate::new), ip.parse().unwrap()),
                wanted,
                "{ip}"
            );
        }
    }

    #[test]
    fn every_way_to_write_an_address_elects_the_same() {
        let table = [
            ("192.0.2.11", "::ffff:192.0.2.11"),
            ("192.0.2.11", "::ffff:c000:20b"),
            ("2001:db8::1", "2001:DB8:0:0:0:0:0:1"),
            ("2001:db8::1:0:0:1", "2001:db8:0:0:1::1"),
            ("::102:304", "::1.2.3.4"),
        ];
        for (one, other) in table {
            let [one, other] =
                [one, other].map(|ip| order(NODES.map(Candidate::new), ip.parse().unwrap()));
            assert_eq!(one, other);
        }
    }

    #[test]
    fn a_preferred_node_comes_first_whatever_its_hash() {
        let scored =
            [("node-a", 5), ("node-b", -1), ("node-c", 0)].map(|(node, score)| Candidate {
                score,
                ..Candidate::new(node)
            });
        let ip = "192.0.2.10".parse().unwrap();
        assert_eq!(order(scored, ip), ["node-a", "node-c", "node-b"]);
        assert_eq!(owner(scored, ip), Some(scored[0]));
    }

    #[test]
    fn one_that_cannot_comes_last_whatever_it_is_preferred() {
        let mut nodes = NODES.map(Candidate::new);
        nodes[2].score = 100;
        let ip = "192.0.2.10".parse().unwrap();
        for (fitness, wanted) in [
            (Fitness::Able, ["node-c", "node-b", "node-a"]),
            (Fitness::Returning, ["node-b", "node-a", "node-c"]),
            (Fitness::Leaving, ["node-b", "node-a", "node-c"]),
            (Fitness::Unable, ["node-b", "node-a", "node-c"]),
        ] {
            nodes[2].fitness = fitness;
            assert_eq!(order(nodes, ip), wanted, "{fitness:?}");
        }
    }

    #[test]
    fn the_owner_is_the_first_in_any_order_of_asking() {
        let ip = "192.0.2.10".parse().unwrap();
        let mut nodes = NODES.map(Candidate::new);
        for _ in 0..nodes.len() {
            nodes.rotate_left(1);
            assert_eq!(owner(nodes, ip).unwrap().node, "node-c");
            assert_eq!(order(nodes, ip)[0], "node-c");
        }
        assert_eq!(owner([], ip), None);
    }

    #[test]
    fn when_the_owner_dies_nobody_else_moves() {
        let ip = "2001:db8::1".parse().unwrap();
        let rest = ["node-a", "node-c"].map(Candidate::new);
        assert_eq!(order(rest, ip), ["node-a", "node-c"]);
    }
}
