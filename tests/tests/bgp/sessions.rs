//! Sessions: what ends them, what does not, and what is said of it.

use anyhow::{Context as _, Result, ensure};
use metallb_tests::routers::{Nodes, router_asn};
use metallb_tests::{Place, eventually, interop, product};
use serde_json::{Value, json};

use crate::bfd;
use crate::world::{
    FRR, SOON, TOLD_WITHOUT_N3, World, families, families_behind, peer_name, table, told,
};

/// The taint has routers prefer other nodes first, and then withdraws.
pub(crate) fn drained(world: &World) -> Result<()> {
    let routers = world.routers_of(&interop::DRAINED);
    world.all_know(&routers, &told(""))?;
    let taint = |taint: &str| {
        let arguments = ["taint", "node", "n3", taint];
        world.kubectl.output(&arguments).map(drop)
    };
    taint("metallb.io/drain=:NoSchedule")?;
    let marked = "\
198.51.100.0/32 via 192.0.2.11 192.0.2.12, from 64500
198.51.100.0/32 via 192.0.2.13, from 64500, 65535:0
2001:db8:f::/128 via 2001:db8::11 2001:db8::12, from 64500
2001:db8:f::/128 via 2001:db8::13, from 64500, 65535:0
";
    world.all_know(&routers, marked)?;
    world.all_know(&routers, TOLD_WITHOUT_N3)?;
    taint("metallb.io/drain-")?;
    world.all_know(&routers, &told(""))
}

/// Each mistake has its own sentence, as an Event on the BGPPeer.
pub(crate) fn what_is_wrong(world: &World) -> Result<()> {
    let [(_, address), _] = families(FRR);
    for (mistake, words) in [
        (
            json!({ "peerASN": 65000 }),
            "of another AS than its BGPPeer says",
        ),
        (json!({ "myASN": 65000 }), "expects another AS than 65000"),
        (
            json!({ "peerPort": 1790 }),
            "refuses connections to port 1790",
        ),
        (json!({ "password": "wrong" }), "another password, or none"),
        (
            json!({ "peerAddress": "203.0.113.9" }),
            "not on a network of this node",
        ),
        (
            json!({ "sourceAddress": "203.0.113.9" }),
            "sourceAddress 203.0.113.9 is no address of this node",
        ),
        (
            json!({ "vrf": "red" }),
            "there is no VRF or interface red on this node",
        ),
    ] {
        world.peer("r1-v4", &address, mistake)?;
        world.event("r1-v4", "sessionFailed", words)?;
    }
    world.peer("r1-v4", &address, json!({}))?;
    world
        .known_by(FRR, world.addresses()?[0], &[1, 2, 3])
        .map(drop)
}

/// With a password on both sides there is a session, with one on one side there is none.
pub(crate) fn password(world: &World) -> Result<()> {
    let routers = world.routers_of(&interop::PASSWORD);
    let nodes = Nodes {
        password: Some("secret"),
        ..Nodes::default()
    };
    world.agree(&routers, &nodes, |_| json!({}))?;
    for router in &routers {
        let peer = peer_name(*router, "v4");
        world.event(&peer, "sessionFailed", "the router wants a password")?;
    }
    world.all_know(&routers, "")?;
    for router in &routers {
        for (family, address) in families(*router) {
            let given = json!({ "password": "secret" });
            world.peer(&peer_name(*router, family), &address, given)?;
        }
    }
    world.all_know(&routers, &told(""))?;
    world.as_ever(&routers)
}

/// The password is in a Secret, which may come after the peer that names it.
pub(crate) fn password_secret(world: &World) -> Result<()> {
    let nodes = Nodes {
        password: Some("from-a-secret"),
        ..Nodes::default()
    };
    let named = json!({ "passwordSecret": { "name": "router-password" } });
    world.agree(&[FRR], &nodes, |_| named.clone())?;
    world.all_know(&[FRR], "")?;
    world.kubectl.output(&[
        "-n",
        product::NAMESPACE,
        "create",
        "secret",
        "generic",
        "router-password",
        "--type=kubernetes.io/basic-auth",
        "--from-literal=password=from-a-secret",
    ])?;
    world.all_know(&[FRR], &told(""))?;
    world.as_ever(&[FRR])?;
    world.remove("secret", "router-password")
}

/// What the router sees of each field of a BGPPeer.
pub(crate) fn fields(world: &World) -> Result<()> {
    let [(_, address), _] = families(FRR);
    world.frr("neighbor nodes remote-as external")?;
    let on_n2 = json!([{ "matchLabels": { "kubernetes.io/hostname": "n2" } }]);
    // (the fields, where FRR says so of the session with n1, and what).
    let cases = [
        (
            json!({ "holdTime": "12s", "keepaliveTime": "4s" }),
            "bgpTimerHoldTimeMsecs",
            json!(12_000),
        ),
        (
            json!({ "holdTime": "30s", "keepaliveTime": "2s" }),
            "bgpTimerHoldTimeMsecs",
            json!(30_000),
        ),
        (json!({ "myASN": 64777 }), "remoteAs", json!(64777)),
        (
            json!({ "localASN": 4_200_000_000_u32 }),
            "remoteAs",
            json!(4_200_000_000_u32),
        ),
        (
            json!({ "routerID": "10.9.8.7" }),
            "remoteRouterId",
            json!("10.9.8.7"),
        ),
        (
            json!({ "peerASN": null, "dynamicASN": "external" }),
            "remoteAs",
            json!(64500),
        ),
        (
            json!({ "ebgpMultiHop": true }),
            "bgpState",
            json!("Established"),
        ),
        (json!({ "peerPort": 179 }), "portLocal", json!(179)),
        (
            json!({ "connectTime": "7s" }),
            "bgpState",
            json!("Established"),
        ),
        (
            json!({ "enableGracefulRestart": true }),
            "neighborCapabilities/gracefulRestart",
            json!("advertisedAndReceived"),
        ),
        (
            json!({ "dualStackAddressFamily": true }),
            "neighborCapabilities/multiprotocolExtensions/ipv6Unicast/advertisedAndReceived",
            json!(true),
        ),
    ];
    for (fields, place, expected) in cases {
        // A field that may not be changed is given anew.
        world.remove("bgppeer", "r1-v4")?;
        world.peer("r1-v4", &address, fields.clone())?;
        let pointer = format!("/192.0.2.11/{place}");
        eventually(&format!("{fields} is seen as {place}"), SOON, || {
            let text = world.cluster.ask_router(FRR, "show bgp neighbors json")?;
            let all: Value = serde_json::from_str(&text)?;
            let is = all.pointer(&pointer).cloned().unwrap_or_default();
            Ok(if is == expected {
                Ok(())
            } else {
                Err(is.to_string())
            })
        })?;
        println!("  {fields}: {place} is {expected}");
    }
    world.remove("bgppeer", "r1-v4")?;
    world.peer("r1-v4", &address, json!({ "nodeSelectors": on_n2 }))?;
    world.known_by(FRR, world.addresses()?[0], &[2])?;
    world.as_ever(&[FRR])
}

/// Who the nodes say that they are, in numbers of four octets, and what was agreed with them.
pub(crate) fn identity(world: &World) -> Result<()> {
    let routers = world.routers_of(&interop::IDENTITY);
    let asn = 4_200_000_000;
    let nodes = Nodes {
        asn,
        ..Nodes::default()
    };
    world.agree(&routers, &nodes, |_| {
        json!({
            "localASN": asn, "peerASN": null, "dynamicASN": "external",
            "routerID": "10.9.8.7", "holdTime": "12s", "keepaliveTime": "4s",
        })
    })?;
    // In the place of the AS of the nodes, not before it.
    world.all_know(&routers, &table(&format!(", from {asn}")))?;
    for router in &routers {
        let all = world.cluster.neighbors(*router)?;
        ensure!(all.len() == 6, "{router}: not three nodes twice: {all:?}");
        for it in all.values() {
            let seen = (it.asn, &*it.identifier, it.hold_time);
            ensure!(seen == (asn, "10.9.8.7", 12), "{router}: {it:?}");
        }
    }
    world.as_ever(&routers)
}

/// Router and nodes are of one AS: routes have a preference, that of the backend or their own.
pub(crate) fn within_an_as(world: &World) -> Result<()> {
    let routers = world.routers_of(&interop::INTERNAL);
    for router in &routers {
        let asn = asn_of(*router)?;
        let nodes = Nodes {
            asn,
            ..Nodes::default()
        };
        world.agree(&[*router], &nodes, |_| json!({ "myASN": asn }))?;
    }
    let preferred = |preference: u32| {
        let preference = format!(", preference {preference}");
        world.all_know(&routers, &table(&preference))
    };
    preferred(100)?;
    world.advertise(json!({ "ipAddressPools": ["routed"], "localPref": 7 }))?;
    preferred(7)?;
    world.advertise(json!({ "ipAddressPools": ["routed"] }))?;
    preferred(100)?;
    world.as_ever(&routers)
}

fn asn_of(router: Place) -> Result<u32> {
    match router {
        Place::Router(number) => Ok(router_asn(number)),
        other => anyhow::bail!("{other} is no router"),
    }
}

/// Routes of both families on one session.
pub(crate) fn dual_stack(world: &World) -> Result<()> {
    let routers = world.routers_of(&interop::DUAL_STACK);
    let v6 = world.addresses()?[1];
    for router in &routers {
        let [(four, address), (six, _)] = families(*router);
        world.remove("bgppeer", &peer_name(*router, six))?;
        world.known_by(*router, v6, &[])?;
        let both = json!({ "dualStackAddressFamily": true });
        world.peer(&peer_name(*router, four), &address, both)?;
    }
    // Nobody has a session by IPv6 that those of IPv6 could come by.
    world.all_know(&routers, &told(""))?;
    world.as_ever(&routers)
}

/// The speakers are replaced; routers that were told to keep their routes meanwhile do so.
pub(crate) fn graceful_restart(world: &World) -> Result<()> {
    let routers = world.routers_of(&interop::RESTART);
    let ip = world.addresses()?[0];
    world.agree_on_restart(&routers)?;
    world.all_know(&routers, &told(""))?;
    let mut looks = 0;
    world.replace_speakers(|| {
        for router in &routers {
            let known = world.known(*router, ip)?;
            ensure!(known.len() == 3, "{router} after {looks} looks: {known:?}");
        }
        looks += 1;
        Ok(())
    })?;
    println!("  in {looks} looks during the rollout, the routes by all nodes were there");
    world.as_ever(&routers)
}

/// Routers that the nodes reach by way of others, watched by BFD where they have it.
pub(crate) fn behind(world: &World) -> Result<()> {
    let routers = world.routers_of(&interop::BEHIND);
    let watched = world.routers_of(&interop::BFD_BEHIND);
    for router in &routers {
        let [(_, address), _] = families_behind(*router);
        let ping = |hops: &str| {
            let ping = [
                "ping",
                "-c",
                "1",
                "-W",
                "1",
                "-t",
                hops,
                &address.ip.to_string(),
            ];
            world.cluster.output(Place::Node(1), &ping)
        };
        ensure!(ping("1").is_err(), "{router} is one hop away");
        ping("2")?;
    }
    // BIRD sends with a hop limit of 64, where RFC 5883 leaves it to both.
    let far = json!({
        "transmitInterval": 50, "receiveInterval": 50, "detectMultiplier": 3, "minimumTtl": 60,
    });
    world.apply("BFDProfile", "far", far)?;
    let nodes = Nodes {
        far: true,
        ..Nodes::default()
    };
    world.agree(&routers, &nodes, |router| {
        let profile = watched.contains(&router).then_some("far");
        json!({ "ebgpMultiHop": true, "bfdProfile": profile })
    })?;
    world.all_know(&routers, &told(""))?;
    watched
        .iter()
        .try_for_each(|router| bfd::are_up(world, *router))?;
    bfd::while_n3_is_cut(world, || world.all_know(&watched, TOLD_WITHOUT_N3))?;
    world.all_know(&routers, &told(""))?;
    world.as_ever(&routers)?;
    world.remove("bfdprofile", "far")
}

/// What dashboards and alerts look at, where they look for it: on the port and by the names of each
/// backend, and never on two ports.
pub(crate) fn metrics(world: &World) -> Result<()> {
    let [(_, address), _] = families(FRR);
    let ip = address.ip;
    world.apply("BFDProfile", "watched", json!({}))?;
    world.peer("r1-v4", &address, json!({ "bfdProfile": "watched" }))?;
    of_backend(world, "frr", (9121, "metallb"), &format!("{ip}:179"))?;
    let backend = |name: &str| {
        let patch = json!({ "spec": { "bgpBackend": name } }).to_string();
        let metallb = ["-n", product::NAMESPACE, "patch", "metallb", "metallb"];
        let arguments = [&metallb[..], &["--type=merge", "-p", &patch]].concat();
        world.kubectl.output(&arguments)?;
        eventually(&format!("speakers like {name}"), SOON, || {
            let all = ["-n", product::NAMESPACE, "get", "daemonset", "speaker"];
            let text = world.kubectl.json(&all)?.to_string();
            let is_there = text.contains(&format!("\"value\":\"{name}\""));
            Ok(if is_there { Ok(()) } else { Err(text) })
        })?;
        product::rolled_out(&world.kubectl, product::NAMESPACE, "daemonset/speaker")
    };
    backend("frr-k8s")?;
    of_backend(world, "frr-k8s", (9141, "frrk8s"), &ip.to_string())?;
    of_frr_k8s(world)?;
    product::forget_metrics_reader(&world.kubectl)?;
    backend("frr")?;
    product::available(&world.kubectl)?;
    world.peer("r1-v4", &address, json!({}))?;
    world.remove("bfdprofile", "watched")
}

/// FRR-K8s' own program has a port, too, and FRR's one that it is alive.
fn of_frr_k8s(world: &World) -> Result<()> {
    for text in product::metrics_at(&world.cluster, &world.kubectl, "speaker", 9140)? {
        let loaded = "\nfrrk8s_k8s_client_config_loaded_bool 1\n";
        ensure!(text.contains(loaded), "no{loaded}in {text}");
        let updates = "\nfrrk8s_k8s_client_updates_total ";
        ensure!(text.contains(updates), "no{updates}in {text}");
    }
    let livez = format!("https://{}:9141/livez", Place::Node(1).address().v4);
    let curl = ["curl", "--silent", "--fail", "--insecure", &livez];
    let said = world.cluster.output(Place::Client, &curl)?;
    println!("  9140 has frrk8s_k8s_client_…, and {livez} says {said}");
    Ok(())
}

/// Where the metrics of sessions are with a backend, and how they name a router.
fn of_backend(
    world: &World,
    backend: &str,
    (port, prefix): (u16, &str),
    router: &str,
) -> Result<()> {
    let up = format!("{prefix}_bgp_session_up{{peer=\"192.0.2.");
    let text = eventually(&format!("metrics of sessions with {backend}"), SOON, || {
        let all = product::metrics_at(&world.cluster, &world.kubectl, "speaker", port)?;
        let text = all.first().cloned().unwrap_or_default();
        let is_up = |line: &&str| line.starts_with(&up) && line.ends_with(" 1");
        let count = text.lines().filter(is_up).count();
        let is_watched = text.contains("_bfd_session_up{");
        Ok(if count == 3 && is_watched {
            Ok(text)
        } else {
            Err(text)
        })
    })?;
    for metric in [
        "bgp_updates_total{",
        "bgp_announced_prefixes_total{",
        "bgp_received_prefixes_total{",
        "bgp_pending_prefixes_total{",
        "bgp_opens_sent{",
        "bgp_keepalives_received{",
        "bfd_session_up{",
        "bfd_control_packet_input{",
        "bfd_echo_packet_input{",
    ] {
        let metric = format!("{prefix}_{metric}");
        ensure!(text.contains(&metric), "no {metric} in {text}");
    }
    let labels = format!("session_up{{peer=\"{router}\",vrf=\"default\"}}");
    ensure!(text.contains(&labels), "no {labels} in {text}");
    let others = product::metrics(&world.cluster, &world.kubectl, "speaker")?;
    let other = others.first().context("there are speakers")?;
    ensure!(other.contains("protocol=\"bgp\""), "{other}");
    ensure!(!other.contains("bgp_session_up"), "twice: {other}");
    // As the FRR exporters' own metrics do, these break its rules of naming alone.
    for line in metallb_tests::promtool()?.check_metrics(&text)?.lines() {
        let is_of_names = line.contains("_total\" suffix") || line.contains("should end with");
        ensure!(is_of_names, "promtool: {line}");
    }
    Ok(())
}

/// What `speaker bgp` prints in the speaker's own pod.
pub(crate) fn on_the_command_line(world: &World) -> Result<()> {
    let speakers = [
        "-n",
        product::NAMESPACE,
        "exec",
        "daemonset/speaker",
        "--",
        "/speaker",
        "bgp",
    ];
    let table = eventually("six sessions in the table", SOON, || {
        let table = world.kubectl.output(&speakers)?;
        let up = table.lines().filter(|line| line.contains("Established"));
        Ok(if up.count() == 6 {
            Ok(table)
        } else {
            Err(table)
        })
    })?;
    for line in table.lines() {
        println!("  {line}");
    }
    Ok(())
}
