use serde_json::{Value, json};

use super::*;

fn read<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).expect("an object")
}

/// A cluster with a pool that is announced, and one node.
fn seen() -> Seen {
    let mut seen = Seen::default();
    seen.handle(News::Pool(Change::Apply(read(json!({
        "metadata": { "name": "web", "generation": 1 },
        "spec": { "addresses": ["192.0.2.0/24"] },
    })))));
    seen.handle(News::L2Advertisement(Change::Apply(read(
        json!({ "metadata": { "name": "all" }, "spec": {} }),
    ))));
    seen.handle(News::Node(Change::Apply(node("198.51.100.1", 0))));
    seen
}

fn synced(seen: &mut Seen) {
    for news in [
        News::Pool(Change::Synced),
        News::L2Advertisement(Change::Synced),
        News::BgpAdvertisement(Change::Synced),
        News::Peer(Change::Synced),
        News::BfdProfile(Change::Synced),
        News::Community(Change::Synced),
    ] {
        assert_eq!(seen.advice(), None, "not all is known");
        assert!(seen.handle(news));
    }
}

/// As the API server has it after the kubelet has reported so many times.
fn node(address: &str, reports: u32) -> NodeObject {
    read(json!({
        "metadata": { "name": "one", "resourceVersion": reports.to_string() },
        "spec": { "podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24", "fd01::/64"] },
        "status": {
            "addresses": [
                { "type": "InternalIP", "address": address },
                { "type": "Hostname", "address": "one" },
            ],
            "images": [{ "names": ["large"] }],
        },
    }))
}

fn reasons(seen: &Seen) -> Vec<&'static str> {
    let advice = seen.advice().expect("all is known").into_iter();
    advice.map(|it| it.reason).collect()
}

#[test]
fn only_what_matters_is_looked_at_again() {
    let mut seen = seen();
    synced(&mut seen);
    assert_eq!(reasons(&seen), [""; 0]);
    assert!(
        !seen.handle(News::Node(Change::Apply(node("198.51.100.1", 1)))),
        "a report"
    );
    let same = seen.pools.all().remove(0);
    assert!(!seen.handle(News::Pool(Change::Apply(same))), "its status");
    assert!(seen.handle(News::Node(Change::Apply(node("192.0.2.1", 2)))));
    seen.handle(News::Node(Change::Synced));
    assert_eq!(reasons(&seen), ["PoolOverlapsNode"]);
}

#[test]
fn nodes_count_once_all_are_known() {
    let mut seen = seen();
    synced(&mut seen);
    seen.handle(News::Node(Change::Apply(node("192.0.2.1", 2))));
    assert_eq!(reasons(&seen), [""; 0]);
    assert!(seen.handle(News::Node(Change::Synced)));
    assert_eq!(reasons(&seen), ["PoolOverlapsNode"]);
}

#[test]
fn ranges_of_services_are_those_of_the_cluster() {
    let mut seen = seen();
    synced(&mut seen);
    let range: ServiceCIDR = read(json!({
        "metadata": { "name": "kubernetes" }, "spec": { "cidrs": ["192.0.2.128/25"] },
    }));
    assert!(seen.handle(News::ServiceRange(Change::Apply(range.clone()))));
    assert!(!seen.handle(News::ServiceRange(Change::Apply(range))));
    assert_eq!(reasons(&seen), ["PoolOverlapsServices"]);
}

#[test]
fn kube_proxy_answers_for_others_by_ipvs_without_strict_arp() {
    let map = |conf: &str| -> ConfigMap { read(json!({ "data": { "config.conf": conf } })) };
    let kubeadms = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
    for (conf, answers) in [
        ("mode: ipvs\nipvs: { strictARP: false }\n", true),
        ("mode: ipvs\n", true),
        ("mode: \"ipvs\"\nipvs:\n  strictARP: true\n", false),
        ("mode: iptables\n", false),
        ("mode: \"\"\nipvs:\n  strictARP: false\n", false),
        ("{ no yaml", false),
    ] {
        assert_eq!(
            answers_for_others(&map(&format!("{kubeadms}{conf}"))),
            answers,
            "{conf}"
        );
    }
    assert!(!answers_for_others(&ConfigMap::default()));
}
