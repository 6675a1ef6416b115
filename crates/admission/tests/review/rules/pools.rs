//! Address pools.

use metallb_config::Kind::IPAddressPool;
use serde_json::{Value, json};

use super::{assert_allowed, assert_denied, expression, pool, twice};
use crate::Cluster;

fn pool_for(allocation: &Value) -> Value {
    json!({"addresses": ["10.0.0.0/24"], "serviceAllocation": allocation})
}

#[test]
fn rows_01_to_08_of_pools() {
    let cluster = Cluster::default()
        .with(IPAddressPool, "old", &pool(&["10.0.0.0/8"]))
        .with(IPAddressPool, "bad", &pool(&["nonsense"]));
    for (row, addresses, words) in [
        (1, vec![], "pool has no prefixes defined"),
        (2, vec!["1.2.3.4"], "invalid CIDR \"1.2.3.4\""),
        (
            4,
            vec!["100.200.300.400/24"],
            "invalid CIDR \"100.200.300.400/24\"",
        ),
        (4, vec!["1.2.3.0/33"], "invalid CIDR \"1.2.3.0/33\""),
        (
            5,
            vec!["1.66.66.66-1.66.66.1"],
            "start IP \"1.66.66.66\" is after the end IP",
        ),
        // Upstream takes it for a pool of no addresses.
        (7, vec!["1.1.1.1-fc00::1"], "not of the same IP family"),
        (
            8,
            vec!["10.0.0.0/16"],
            "CIDR \"10.0.0.0/16\" in pool \"new\" overlaps with already defined CIDR \"10.0.0.0/8\"",
        ),
        (
            8,
            vec!["11.0.0.0/8", "11.0.0.0/8"],
            "overlaps with already defined CIDR",
        ),
    ] {
        assert_denied(row, &cluster, IPAddressPool, &pool(&addresses), words);
    }
    for (row, addresses) in [
        (3, vec!["11.0.0.5/24"]),
        (6, vec!["192.168.9.1 - 192.168.9.5"]),
        (8, vec!["11.0.0.0/24", "fd00::/64"]),
    ] {
        assert_allowed(row, &cluster, IPAddressPool, &pool(&addresses));
    }
}

#[test]
fn rows_10_to_13_of_pools_for_some_services() {
    let cluster = Cluster::default();
    for (row, allocation, words) in [
        (
            10,
            json!({"namespaces": ["a", "a"]}),
            "duplicate definition in namespaces field",
        ),
        (
            11,
            json!({"namespaceSelectors": twice()}),
            "duplicate definition of namespaceSelectors",
        ),
        (
            11,
            json!({"serviceSelectors": twice()}),
            "duplicate definition of serviceSelectors",
        ),
        (
            13,
            json!({"serviceSelectors": [expression("Surrounds", &[])]}),
            "\"Surrounds\" is not a valid label selector operator",
        ),
        (
            13,
            json!({"namespaceSelectors": [expression("In", &["b", "b"])]}),
            "duplicate definition of match expression value in label selector \"b\"",
        ),
    ] {
        assert_denied(row, &cluster, IPAddressPool, &pool_for(&allocation), words);
    }
    for (row, allocation) in [
        (12, json!({"priority": 5})),
        (12, json!({"priority": -5})),
        (
            13,
            json!({"serviceSelectors": [expression("NotIn", &["b", "c"])]}),
        ),
    ] {
        assert_allowed(row, &cluster, IPAddressPool, &pool_for(&allocation));
    }
}
