//! Sessions: what ends them, what does not, and what is said of it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{Place, eventually, product};
use serde_json::{Value, json};

use crate::world::{BIRD, FRR, GOBGP, SOON, World, families, peer_name};

/// The taint has routers prefer other nodes first, and then withdraws.
pub(crate) fn drained(world: &World) -> Result<()> {
    let ip = world.addresses()?[0];
    world.known_by(FRR, ip, &[1, 2, 3])?;
    let taint = |taint: &str| {
        let arguments = ["taint", "node", "n3", taint];
        world.kubectl.output(&arguments).map(drop)
    };
    taint("metallb.io/drain=:NoSchedule")?;
    eventually("routes of n3 are marked", SOON, || {
        let known = world.known(FRR, ip)?;
        // As FRR calls 65535:0.
        Ok(
            if known.text.contains("graceful-shutdown") && known.next_hops.len() == 3 {
                Ok(())
            } else {
                Err(known.text)
            },
        )
    })?;
    world.known_by(FRR, ip, &[1, 2])?;
    taint("metallb.io/drain-")?;
    world.known_by(FRR, ip, &[1, 2, 3]).map(drop)
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
    let ip = world.addresses()?[0];
    let [(_, address), _] = families(FRR);
    world.frr("neighbor nodes password secret")?;
    let wait = |nodes: &[u8]| world.known_by(FRR, ip, nodes).map(drop);
    wait(&[])?;
    world.peer("r1-v4", &address, json!({ "password": "secret" }))?;
    wait(&[1, 2, 3])?;
    world.frr("no neighbor nodes password")?;
    world.peer("r1-v4", &address, json!({}))?;
    wait(&[1, 2, 3])
}

/// The password is in a Secret, which may come after the peer that names it.
pub(crate) fn password_secret(world: &World) -> Result<()> {
    let ip = world.addresses()?[0];
    let [(_, address), _] = families(FRR);
    world.frr("neighbor nodes password from-a-secret")?;
    let named = json!({ "passwordSecret": { "name": "router-password" } });
    world.peer("r1-v4", &address, named)?;
    world.known_by(FRR, ip, &[])?;
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
    world.known_by(FRR, ip, &[1, 2, 3])?;
    world.frr("no neighbor nodes password")?;
    world.peer("r1-v4", &address, json!({}))?;
    world.known_by(FRR, ip, &[1, 2, 3])?;
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
        let mut spec = json!({});
        let given = fields.as_object().context("an object")?.clone();
        let given = given.into_iter().filter(|(_, value)| !value.is_null());
        spec.as_object_mut().context("an object")?.extend(given);
        if fields.get("dynamicASN").is_some() {
            world.peer_without(&address, "peerASN", spec)?;
        } else {
            world.peer("r1-v4", &address, spec)?;
        }
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
    world.peer("r1-v4", &address, json!({}))?;
    world
        .known_by(FRR, world.addresses()?[0], &[1, 2, 3])
        .map(drop)
}

/// Router and nodes are of one AS: routes have a preference, that of the backend or their own.
pub(crate) fn within_an_as(world: &World) -> Result<()> {
    let ip = world.addresses()?[0];
    let [(_, address), _] = families(FRR);
    world.frr("neighbor nodes remote-as internal")?;
    let internal = json!({ "myASN": 64501, "peerASN": 64501 });
    world.peer("r1-v4", &address, internal)?;
    let preferred = |preference: &str| {
        eventually(&format!("a preference of {preference}"), SOON, || {
            let known = world.known_by(FRR, ip, &[1, 2, 3])?;
            let wanted = format!("\"locPrf\":{preference},");
            Ok(if known.text.matches(&wanted).count() == 3 {
                Ok(())
            } else {
                Err(known.text)
            })
        })
    };
    preferred("100")?;
    world.advertise(json!({ "ipAddressPools": ["routed"], "localPref": 7 }))?;
    preferred("7")?;
    world.advertise(json!({ "ipAddressPools": ["routed"] }))?;
    preferred("100")?;
    world.frr("neighbor nodes remote-as external")?;
    world.peer("r1-v4", &address, json!({}))?;
    world.known_by(FRR, ip, &[1, 2, 3]).map(drop)
}

/// Routes of both families on one session, with each of the routers.
pub(crate) fn dual_stack(world: &World) -> Result<()> {
    let ips = world.addresses()?;
    for router in [FRR, BIRD, GOBGP] {
        let [(four, address), (six, other)] = families(router);
        let (four, six) = (peer_name(router, four), peer_name(router, six));
        world.remove("bgppeer", &six)?;
        world.known_by(router, ips[1], &[])?;
        world.peer(&four, &address, json!({ "dualStackAddressFamily": true }))?;
        for ip in &ips {
            world.known_by(router, *ip, &[1, 2, 3])?;
        }
        println!("  {router} has the routes of both on one session");
        world.peer(&four, &address, json!({}))?;
        world.peer(&six, &other, json!({}))?;
    }
    Ok(())
}

/// The speakers are replaced; routers that were told to keep their routes meanwhile.
pub(crate) fn graceful_restart(world: &World) -> Result<()> {
    let ip = world.addresses()?[0];
    for router in [FRR, BIRD] {
        peer_anew(world, router, json!({ "enableGracefulRestart": true }))?;
        world.known_by(router, ip, &[1, 2, 3])?;
    }
    let speakers = ["daemonset/speaker", "--timeout=1s"];
    let rollout = |verb: &str, arguments: &[&str]| {
        let arguments = [&["-n", product::NAMESPACE, "rollout", verb], arguments].concat();
        world.kubectl.output(&arguments)
    };
    rollout("restart", &speakers[..1])?;
    let until = Instant::now() + Duration::from_mins(1);
    let mut looks = 0;
    while rollout("status", &speakers).is_err() {
        ensure!(Instant::now() < until, "the speakers are not replaced");
        for _ in 0..5 {
            for router in [FRR, BIRD] {
                let known = world.known(router, ip)?;
                ensure!(
                    known.next_hops.len() == 3,
                    "{router} after {looks} looks: {known:?}"
                );
            }
            looks += 1;
        }
    }
    println!("  in {looks} looks during the rollout, the routes by all nodes were there");
    for router in [FRR, BIRD] {
        peer_anew(world, router, json!({}))?;
        world.known_by(router, ip, &[1, 2, 3])?;
    }
    Ok(())
}

/// A field that may not be changed is given anew.
fn peer_anew(world: &World, router: Place, fields: Value) -> Result<()> {
    let [(family, address), _] = families(router);
    let name = peer_name(router, family);
    world.remove("bgppeer", &name)?;
    world.peer(&name, &address, fields)
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
    product::forget_metrics_reader(&world.kubectl)?;
    backend("frr")?;
    product::available(&world.kubectl)?;
    world.peer("r1-v4", &address, json!({}))?;
    world.remove("bfdprofile", "watched")
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
