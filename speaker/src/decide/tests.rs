use serde_json::json;

use super::*;
use crate::index::fixtures::{Cluster, apply, service, web};

fn three() -> Cluster {
    Cluster::of(&["a", "b", "c"])
}

fn withheld(decision: &Decision) -> Option<&'static str> {
    match decision {
        Decision::Withhold(reason) => Some(reason.as_str()),
        _ => None,
    }
}

#[test]
fn exactly_one_node_announces_and_it_is_the_one_that_upstream_picks() {
    // The lowest of `printf 'NODE#IP' | sha256sum` over the three nodes; of two addresses the
    // first counts.
    for (ips, owner) in [
        (&["192.0.2.1"][..], "c"),
        (&["192.0.2.2"], "a"),
        (&["2001:db8::1"], "c"),
        (&["192.0.2.2", "2001:db8::1"], "a"),
        (&["2001:db8::1", "192.0.2.2"], "c"),
    ] {
        assert_eq!(three().ips("web", ips).announcers(), [owner], "{ips:?}");
    }
}

#[test]
fn both_families_stay_on_one_node() {
    let cluster = three().ips("web", &["192.0.2.9", "2001:db8::9"]);
    let owner = cluster.announcers()[0].to_owned();
    let Decision::Announce(announcement) = cluster.decide(&owner) else {
        unreachable!()
    };
    assert_eq!(announcement.ips.len(), 2);
    assert_eq!(announcement.pool, "pool");
    assert_eq!(announcement.interfaces, Interfaces::All);
}

#[test]
fn when_the_owner_is_gone_another_takes_over_and_gives_back() {
    let cluster = three();
    let first = cluster.announcers()[0].to_owned();
    let rest: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .filter(|node| *node != first)
        .collect();
    let cluster = cluster.alive(&rest);
    let second = cluster.announcers()[0].to_owned();
    assert_ne!(first, second);
    assert_eq!(cluster.alive(&["a", "b", "c"]).announcers(), [first]);
}

#[test]
fn reasons_to_announce_nowhere() {
    let exclude = json!({ "node.kubernetes.io/exclude-from-external-load-balancers": "" });
    let one = || Cluster::of(&["a"]);
    let selected = json!({ "serviceSelectors": [{ "matchLabels": { "app": "web" } }] });
    for (what, cluster, reason) in [
        ("no address yet", one().ips("web", &[]), "noIPAllocated"),
        (
            "not an address",
            one().ips("web", &["host.example"]),
            "invalidIP",
        ),
        (
            "an address of no pool",
            one().ips("web", &["198.51.100.1"]),
            "ipNotAllowed",
        ),
        (
            "one of two in no pool",
            one().ips("web", &["192.0.2.1", "fd00::1"]),
            "ipNotAllowed",
        ),
        ("no endpoint", one().endpoints("web", &[]), "notOwner"),
        (
            "no advertisement",
            one().no_advertisement(),
            "noMatchingAdvertisement",
        ),
        (
            "an advertisement of another pool",
            one().advertisement("all", json!({ "ipAddressPools": ["other"] })),
            "noMatchingAdvertisement",
        ),
        (
            "an advertisement of other Services",
            one().advertisement("all", selected),
            "noMatchingAdvertisement",
        ),
        (
            "an advertisement from other nodes",
            one().advertisement(
                "all",
                json!({ "nodeSelectors": [{ "matchLabels": { "zone": "x" } }] }),
            ),
            "noMatchingAdvertisement",
        ),
        ("no network on the node", one().no_network("a"), "notOwner"),
        ("the node is excluded", one().node("a", exclude), "notOwner"),
        ("nobody is alive", one().alive(&[]), "notOwner"),
    ] {
        let decision = cluster.decide("a");
        assert_eq!(withheld(&decision), Some(reason), "{what}");
    }
}

#[test]
fn a_shared_address_is_not_announced_where_services_are_told_apart() {
    let selected = json!({ "serviceSelectors": [{ "matchLabels": { "app": "web" } }] });
    for annotation in [
        "metallb.io/allow-shared-ip",
        "metallb.universe.tf/allow-shared-ip",
    ] {
        let metadata = json!({ "annotations": { annotation: "" }, "labels": { "app": "web" } });
        let cluster = Cluster::of(&["a"]).service("web", metadata);
        assert_eq!(cluster.announcers(), ["a"]);
        let decision = cluster.advertisement("some", selected.clone()).decide("a");
        assert_eq!(
            withheld(&decision),
            Some("sharedIPWithServiceSelector"),
            "{annotation}"
        );
    }
}

#[test]
fn the_excluding_label_can_be_ignored() {
    let labels = json!({ "node.kubernetes.io/exclude-from-external-load-balancers": "" });
    let cluster = Cluster::of(&["a"]).node("a", labels);
    assert!(cluster.announcers().is_empty());
    assert_eq!(cluster.ignore_exclude_lb().announcers(), ["a"]);
}

#[test]
fn local_traffic_is_announced_only_where_an_endpoint_is() {
    for node in ["a", "b", "c"] {
        let cluster = three().local("web").endpoints("web", &[node]);
        assert_eq!(cluster.announcers(), [node]);
    }
    // Not by a node that is dead, even if it has the only endpoint.
    assert!(
        three()
            .local("web")
            .endpoints("web", &["a"])
            .alive(&["b", "c"])
            .announcers()
            .is_empty()
    );
    // Cluster does not ask where.
    assert_eq!(three().endpoints("web", &["a"]).announcers().len(), 1);
}

#[test]
fn only_selected_nodes_are_candidates() {
    let zone = |zone: &str| json!({ "zone": zone });
    let select = |zone: &str| json!({ "nodeSelectors": [{ "matchLabels": { "zone": zone } }] });
    let cluster = || {
        three()
            .node("a", zone("x"))
            .node("b", zone("y"))
            .node("c", zone("z"))
            .no_advertisement()
    };
    assert_eq!(
        cluster().advertisement("one", select("y")).announcers(),
        ["b"]
    );
    let two = cluster()
        .advertisement("one", select("x"))
        .advertisement("two", select("y"));
    assert_eq!(two.announcers().len(), 1);
    assert_eq!(withheld(&two.decide("c")), Some("noMatchingAdvertisement"));
}

#[test]
fn a_preferred_node_goes_first() {
    for node in ["a", "b", "c"] {
        let cluster = three().node(node, json!({ "fast": "yes" })).advertisement(
            "all",
            json!({ "preferredNodeSelectors": [
                { "weight": 1, "preference": { "matchLabels": { "fast": "yes" } } }
            ] }),
        );
        assert_eq!(cluster.announcers(), [node]);
        let others: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .filter(|it| *it != node)
            .collect();
        assert_eq!(
            cluster.alive(&others).announcers().len(),
            1,
            "it is only preferred"
        );
    }
}

#[test]
fn interfaces_are_those_of_all_advertisements_that_select_the_node() {
    let on = |names: &[&str]| json!({ "interfaces": names });
    let one = || {
        Cluster::of(&["a"])
            .no_advertisement()
            .interfaces(&["eth0", "eth1"])
    };
    let named =
        |names: &[&str]| Interfaces::Named(names.iter().map(|&name| name.to_owned()).collect());
    for (cluster, interfaces) in [
        (one().advertisement("x", on(&["eth0"])), named(&["eth0"])),
        (
            one()
                .advertisement("x", on(&["eth0"]))
                .advertisement("y", on(&["eth1"])),
            named(&["eth0", "eth1"]),
        ),
        (
            one()
                .advertisement("x", on(&["eth0"]))
                .advertisement("y", on(&[])),
            Interfaces::All,
        ),
        (
            one().advertisement("x", on(&["eth0", "eth9"])),
            named(&["eth0", "eth9"]),
        ),
    ] {
        let Decision::Announce(announcement) = cluster.decide("a") else {
            panic!("{cluster:?}")
        };
        assert_eq!(announcement.interfaces, interfaces);
    }
    let absent = one().advertisement("x", on(&["eth9"])).decide("a");
    assert!(matches!(absent, Decision::NoInterface(_)), "{absent:?}");
}

#[test]
fn an_owner_without_the_interface_does_not_hand_over_where_nobody_says_what_it_has() {
    // Upstream's rule: interfaces do not take part in the election.
    let cluster = three().advertisement("all", json!({ "interfaces": ["eth9"] }));
    let all = ["a", "b", "c"].map(|node| matches!(cluster.decide(node), Decision::NoInterface(_)));
    assert_eq!(all.iter().filter(|no_interface| **no_interface).count(), 1);
}

#[test]
fn an_owner_is_one_that_can_announce() {
    // Of three, c comes first and then a.
    let eth1 = json!({ "interfaces": ["eth1"] });
    let (fit, back) = (true, false);
    for (what, c, a, advertisement, owner) in [
        ("all can", (fit, "eth0"), (fit, "eth0"), json!({}), "c"),
        ("no carrier", (fit, "(eth0)"), (fit, "eth0"), json!({}), "a"),
        ("no such interface", (fit, "eth0"), (fit, "eth1"), eth1, "a"),
        ("just back", (back, "eth0"), (fit, "eth0"), json!({}), "a"),
        (
            "both just back",
            (back, "eth0"),
            (back, "eth0"),
            json!({}),
            "c",
        ),
        (
            "back or no carrier",
            (back, "eth0"),
            (fit, "(eth0)"),
            json!({}),
            "c",
        ),
    ] {
        let cluster = three()
            .advertisement("all", advertisement)
            .interfaces(&["eth0", "eth1"])
            .says("c", c.0, &[c.1])
            .says("a", a.0, &[a.1])
            .says("b", false, &["(eth0)"]);
        assert_eq!(cluster.announcers(), [owner], "{what}");
    }
}

#[test]
fn a_node_that_is_to_stop_hands_over_as_long_as_there_is_another() {
    assert_eq!(three().announcers(), ["c"]);
    assert_eq!(three().drain("c").announcers(), ["a"]);
    assert_eq!(three().drain("c").drain("a").announcers(), ["b"]);
    assert_eq!(three().drain("c").drain("a").drain("b").announcers(), ["c"]);
    assert_eq!(three().unwatched().drain("c").announcers(), ["a"]);
    // One that cannot announce is no better.
    let down = three()
        .drain("c")
        .says("a", true, &["(eth0)"])
        .says("b", true, &[]);
    assert_eq!(down.announcers(), ["c"]);
}

#[test]
fn where_nobody_can_announce_the_first_says_so() {
    let down = |cluster: Cluster| {
        ["a", "b", "c"]
            .into_iter()
            .fold(cluster, |cluster, node| {
                cluster.says(node, true, &["(eth0)"])
            })
            .interfaces(&["eth0"])
    };
    let cluster = down(three());
    assert_eq!(withheld(&cluster.decide("c")), Some("interfaceDown"));
    assert_eq!(withheld(&cluster.decide("a")), Some("notOwner"));
    let absent = down(three()).advertisement("all", json!({ "interfaces": ["eth9"] }));
    let decisions = ["a", "b", "c"].map(|node| absent.decide(node));
    let failed = decisions
        .iter()
        .filter(|it| matches!(it, Decision::NoInterface(_)));
    assert_eq!(failed.count(), 1, "{decisions:?}");
}

#[test]
fn without_heartbeats_all_nodes_count() {
    let cluster = three().alive(&[]).unwatched();
    assert_eq!(cluster.announcers().len(), 1);
}

#[test]
fn a_node_that_the_api_does_not_know_announces_nothing() {
    let cluster = three().alive(&["a", "b", "c", "ghost"]);
    assert_eq!(
        withheld(&cluster.decide("ghost")),
        Some("noMatchingAdvertisement")
    );
    assert_eq!(cluster.announcers().len(), 1);
}

#[test]
fn an_unknown_service_is_deleted() {
    let mut cluster = three();
    cluster
        .index
        .service(apply(service("other", json!({}), &[])));
    cluster
        .index
        .service(metallb_kit::watch::Change::Delete(web()));
    assert_eq!(withheld(&cluster.decide("a")), Some("serviceDeleted"));
}

#[test]
fn of_two_services_on_one_address_the_older_alone_is_announced() {
    let created = |year: &str| format!("{year}-01-01T00:00:00Z");
    let metadata = |year, sharing: Option<&str>| {
        let annotations = sharing.map(|key| json!({ "metallb.io/allow-shared-ip": key }));
        json!({ "creationTimestamp": created(year), "annotations": annotations })
    };
    let with_port = |name, metadata, port: u16| {
        let mut object = service(name, metadata, &["192.0.2.1"]);
        object["spec"]["ports"] = json!([{ "protocol": "TCP", "port": port }]);
        object
    };
    for (web_key, other_key, other_port, other_year, announced) in [
        (None, None, 81, "2027", true),
        (None, None, 81, "2025", false),
        (Some("k"), Some("k"), 81, "2025", true),
        // The same port, another key, no key.
        (Some("k"), Some("k"), 80, "2025", false),
        (Some("k"), Some("l"), 81, "2025", false),
        (Some("k"), None, 81, "2025", false),
    ] {
        let mut cluster = Cluster::of(&["a"]);
        let web = with_port("web", metadata("2026", web_key), 80);
        let other = with_port("other", metadata(other_year, other_key), other_port);
        cluster.index.service(apply(web));
        cluster.index.service(apply(other));
        let contested = !cluster.index.take_contested().is_empty();
        let decision = cluster.decide("a");
        let reason = (!announced).then_some("addressInUse");
        assert_eq!(
            withheld(&decision),
            reason,
            "{web_key:?} {other_key:?} {other_year}"
        );
        assert!(contested, "they show one address");
        // It is let go of, which is reason to look at the Service again.
        let gone = ObjectKey::new("default", "other");
        cluster
            .index
            .service(metallb_kit::watch::Change::Delete(gone));
        assert_eq!(withheld(&cluster.decide("a")), None);
        assert!(!cluster.index.take_contested().is_empty());
    }
}

#[test]
fn services_that_share_addresses_have_one_owner() {
    // By itself, one on 192.0.2.7 is b's, on 192.0.2.2 a's, and on 2001:db8::1 c's.
    let shared = |year: &str| {
        json!({
            "creationTimestamp": format!("{year}-01-01T00:00:00Z"),
            "annotations": { "metallb.io/allow-shared-ip": "k" },
        })
    };
    let with_port = |name: &str, year: &str, ips: &[&str], port: u16| {
        let mut object = service(name, shared(year), ips);
        object["spec"]["ports"] = json!([{ "protocol": "TCP", "port": port }]);
        object
    };
    let all = ["a", "b", "c"];
    let cluster = |younger: &[&str]| {
        let mut cluster = three();
        let web = with_port("web", "2025", &["192.0.2.2", "2001:db8::1"], 80);
        let other = with_port("other", "2026", younger, 81);
        cluster.index.service(apply(web));
        cluster.index.service(apply(other));
        cluster.endpoints("other", &all)
    };
    assert_eq!(cluster(&["192.0.2.7"]).announcers_of("other"), ["b"]);
    let both = |cluster: &Cluster| {
        let [web, other] = ["web", "other"].map(|name| cluster.announcers_of(name));
        assert_eq!(web, other);
        web.iter().map(|&node| node.to_owned()).collect::<Vec<_>>()
    };
    // The second family is shared alone: the older one's first address counts.
    assert_eq!(both(&cluster(&["2001:db8::1"])), ["a"]);
    // The older one has no endpoints for a moment: the younger one does not move for that.
    let idle = cluster(&["2001:db8::1"]).endpoints("web", &[]);
    assert_eq!(idle.announcers_of("web"), [""; 0]);
    assert_eq!(idle.announcers_of("other"), ["a"]);
    // One can be served on one node only: so both are there.
    let mut local = with_port("other", "2026", &["192.0.2.2"], 81);
    local["spec"]["externalTrafficPolicy"] = json!("Local");
    let mut cluster = cluster(&["192.0.2.2"]);
    cluster.index.service(apply(local));
    let cluster = cluster.endpoints("other", &["b"]);
    assert_eq!(both(&cluster), ["b"]);
    // Nowhere both can be: the older one is.
    let cluster = cluster.local_again("web").endpoints("web", &["c"]);
    assert_eq!(cluster.announcers_of("web"), ["c"]);
    assert_eq!(cluster.announcers_of("other"), [""; 0]);
}

#[test]
fn beside_metallbs_own_speakers_only_what_none_of_theirs_can_announce() {
    let zone = json!({ "nodeSelectors": [{ "matchLabels": { "zone": "x" } }] });
    let withheld_by = |cluster: &Cluster| {
        let nodes = ["a", "b", "c"].into_iter();
        let reasons = nodes.map(|node| withheld(&cluster.decide(node)));
        reasons.collect::<Vec<_>>()
    };
    let theirs = [Some("upstreamAnnounces"); 3];
    // One of theirs is enough, wherever it stands in the order.
    let mut cluster = three().upstream(&["a", "b", "c"]);
    for left in [&["a", "b"][..], &["b"]] {
        assert_eq!(withheld_by(&cluster), theirs);
        cluster = cluster.upstream(left);
    }
    assert_eq!(withheld_by(&cluster), theirs);
    assert_eq!(
        cluster.upstream(&[]).announcers(),
        ["c"],
        "the last is gone"
    );
    // Those of theirs that may not announce it do not count.
    let excluded = json!({ "node.kubernetes.io/exclude-from-external-load-balancers": "" });
    let cluster = three().node("b", excluded).upstream(&["b"]);
    assert_eq!(cluster.announcers(), ["c"]);
    let cluster = three().no_network("b").upstream(&["b"]);
    assert_eq!(cluster.announcers(), ["c"]);
    let cluster = three()
        .advertisement("all", zone)
        .node("c", json!({ "zone": "x" }));
    assert_eq!(cluster.upstream(&["b"]).announcers(), ["c"]);
    let local = three().local("web").endpoints("web", &["a", "c"]);
    assert_eq!(local.upstream(&["b"]).announcers(), ["c"]);
}

#[test]
fn who_shares_an_address_that_metallbs_own_announce_waits_too() {
    let sharing = || json!({ "annotations": { "metallb.io/allow-shared-ip": "key" } });
    let cluster = three()
        .service("web", sharing())
        .service("other", sharing())
        .endpoints("other", &["a", "b", "c"])
        .local_again("web")
        .endpoints("web", &["a", "c"]);
    assert_eq!(cluster.announcers_of("other"), cluster.announcers());
    // There "other" alone is theirs, and so is its address.
    let cluster = cluster.upstream(&["b"]);
    assert_eq!(cluster.announcers(), [""; 0]);
}
