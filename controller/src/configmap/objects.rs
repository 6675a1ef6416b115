//! The objects that say what the ConfigMap said.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use metallb_config::{Objects, References, duration, parse};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::legacy::{BfdProfile, BgpAdvertisement, Config, Peer, Pool};

/// In upstream's order, under upstream's names.
pub(super) fn make(config: &Config, namespace: &str) -> Result<Vec<Value>> {
    let object = |kind: &str, name: &str, spec: Value| {
        let version = if kind == "BGPPeer" {
            "v1beta2"
        } else {
            "v1beta1"
        };
        json!({
            "apiVersion": format!("metallb.io/{version}"),
            "kind": kind,
            "metadata": { "name": name, "namespace": namespace },
            "spec": given(spec),
        })
    };
    let mut objects = Vec::new();
    for (nth, it) in (1..).zip(&config.peers) {
        let name = format!("peer{nth}");
        let spec = peer(it).with_context(|| format!("peer {}", it.peer_address))?;
        objects.push(object("BGPPeer", &name, spec));
    }
    let pools = &config.address_pools;
    objects.extend(
        pools
            .iter()
            .map(|it| object("IPAddressPool", &it.name, pool(it))),
    );
    let advertisements = pools.iter().flat_map(bgp_advertisements);
    objects.extend(
        (1..)
            .zip(advertisements)
            .map(|(nth, spec)| object("BGPAdvertisement", &format!("bgpadvertisement{nth}"), spec)),
    );
    let by_layer2 = pools.iter().filter(|pool| pool.protocol == "layer2");
    objects.extend((1..).zip(by_layer2).map(|(nth, pool)| {
        let spec = json!({ "ipAddressPools": [pool.name] });
        object("L2Advertisement", &format!("l2advertisement{nth}"), spec)
    }));
    let profiles = config.bfd_profiles.iter();
    objects.extend(profiles.map(|it| object("BFDProfile", &it.name, bfd_profile(it))));
    if !config.bgp_communities.is_empty() {
        let named = config.bgp_communities.iter();
        let named: Vec<_> = named
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        objects.push(object(
            "Community",
            "communities",
            json!({ "communities": named }),
        ));
    }
    Ok(objects)
}

/// Whether MetalLB can use them.
pub(super) fn check(objects: &[Value]) -> Result<()> {
    let parsed = parse(&Objects {
        pools: &of_kind(objects, "IPAddressPool")?,
        l2_advertisements: &of_kind(objects, "L2Advertisement")?,
        bgp_advertisements: &of_kind(objects, "BGPAdvertisement")?,
        bgp_peers: &of_kind(objects, "BGPPeer")?,
        bfd_profiles: &of_kind(objects, "BFDProfile")?,
        communities: &of_kind(objects, "Community")?,
        nodes: &[],
        references: References::MustExist { secrets: None },
    });
    let wrong: Vec<_> = parsed.rejected.iter().map(ToString::to_string).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}", wrong.join("\n"))
}

fn of_kind<K: DeserializeOwned>(objects: &[Value], kind: &str) -> Result<Vec<K>> {
    let these = objects.iter().filter(|object| object["kind"] == kind);
    these
        .map(|object| {
            let name = &object["metadata"]["name"];
            serde_json::from_value(object.clone()).with_context(|| format!("{kind} {name}"))
        })
        .collect()
}

fn peer(peer: &Peer) -> Result<Value> {
    let selectors = peer.node_selectors.iter().map(|selector| {
        let expressions = selector.match_expressions.iter().map(|it| {
            given(json!({ "key": it.key, "operator": it.operator, "values": it.values }))
        });
        given(json!({
            "matchLabels": selector.match_labels,
            "matchExpressions": expressions.collect::<Vec<_>>(),
        }))
    });
    let keepalive = Some(&*peer.keepalive_time).filter(|text| !text.is_empty());
    Ok(json!({
        "myASN": peer.my_asn,
        "peerASN": peer.peer_asn,
        "peerAddress": peer.peer_address,
        "sourceAddress": peer.source_address,
        "peerPort": Some(peer.peer_port).filter(|port| *port != 0),
        "holdTime": hold_time(&peer.hold_time)?,
        "keepaliveTime": keepalive.map(|text| seconds("keepalive time", text)).transpose()?.map(go),
        "routerID": peer.router_id,
        "nodeSelectors": selectors.collect::<Vec<_>>(),
        "password": peer.password,
        "bfdProfile": peer.bfd_profile,
        "ebgpMultiHop": Some(true).filter(|_| peer.ebgp_multihop),
    }))
}

/// MetalLB's default was 90 seconds.
fn hold_time(text: &str) -> Result<String> {
    if text.is_empty() {
        return Ok(go(90));
    }
    let seconds = seconds("hold time", text)?;
    if matches!(seconds, 1 | 2) {
        bail!("invalid hold time {text:?}: must be 0 or >=3s");
    }
    Ok(go(seconds))
}

/// Parts of a second do not count.
fn seconds(what: &str, text: &str) -> Result<u64> {
    duration(text)
        .map(|it: Duration| it.as_secs())
        .map_err(|error| anyhow!("invalid {what} {text:?}: {error}"))
}

/// As Go writes a duration of whole seconds.
fn go(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

fn pool(pool: &Pool) -> Value {
    json!({
        "addresses": pool.addresses,
        "autoAssign": pool.auto_assign,
        "avoidBuggyIPs": Some(true).filter(|_| pool.avoid_buggy_ips),
    })
}

/// A pool that says `bgp` and no more is announced by BGP.
fn bgp_advertisements(pool: &Pool) -> Vec<Value> {
    if pool.bgp_advertisements.is_empty() && pool.protocol == "bgp" {
        return vec![json!({ "ipAddressPools": [pool.name] })];
    }
    let advertisement = |it: &BgpAdvertisement| {
        json!({
            "aggregationLength": it.aggregation_length,
            "aggregationLengthV6": it.aggregation_length_v6,
            "localPref": Some(it.localpref).filter(|it| *it != 0),
            "communities": it.communities,
            "ipAddressPools": [pool.name],
        })
    };
    pool.bgp_advertisements.iter().map(advertisement).collect()
}

fn bfd_profile(profile: &BfdProfile) -> Value {
    json!({
        "receiveInterval": profile.receive_interval,
        "transmitInterval": profile.transmit_interval,
        "detectMultiplier": profile.detect_multiplier,
        "echoInterval": profile.echo_interval,
        "echoMode": profile.echo_mode,
        "passiveMode": profile.passive_mode,
        "minimumTtl": profile.minimum_ttl,
    })
}

/// Without the fields that say nothing.
fn given(spec: Value) -> Value {
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    };
    match spec {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| says(value));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other,
    }
}
