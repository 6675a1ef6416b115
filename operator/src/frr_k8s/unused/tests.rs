#![expect(
    clippy::needless_pass_by_value,
    reason = "`json!` reads better without a `&`"
)]

use metallb_crds::v1beta1::MetalLB;
use serde_json::{Value, json};

use super::super::FrrNews;
use super::*;

fn see(known: &mut FrrK8s, name: &str, spec: Value) {
    let object =
        json!({ "metadata": { "namespace": "frr-k8s-system", "name": name }, "spec": spec });
    let written = serde_json::from_value(object).expect("an FRRConfiguration");
    known.handle(FrrNews::Config(Config::read(&written)));
}

fn metallb(spec: Value, acknowledged: &str) -> MetalLB {
    let object = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB", "spec": spec,
        "metadata": {
            "namespace": "metallb-system", "name": "metallb",
            "annotations": { "metallb.io/acknowledge-unused": acknowledged },
        },
    });
    serde_json::from_value(object).expect("a MetalLB")
}

/// With the backend that the object asks for, or else Kubernetes' default.
fn look(known: &FrrK8s, metallb: &MetalLB) -> Unused {
    let backend = crate::settings::Settings::new("", "")
        .backend(&metallb.spec)
        .to_owned();
    unused(known, metallb, &backend)
}

fn backend(name: &str) -> MetalLB {
    metallb(json!({ "bgpBackend": name }), "")
}

/// Neighbours whose routes are wanted, and raw lines.
fn user_spec() -> Value {
    json!({
        "bgp": { "routers": [{
            "asn": 64500, "prefixes": ["10.0.0.0/24"], "imports": [{ "vrf": "red" }],
            "neighbors": [{
                "address": "10.0.0.1", "asn": 64501, "toReceive": { "allowed": { "mode": "all" } },
            }],
        }] },
        "raw": { "rawConfig": "router bgp 64500" },
    })
}

#[test]
fn with_frr_k8s_a_users_own_is_named_with_what_it_asks_for() {
    let mut known = FrrK8s::default();
    see(&mut known, "receive", user_spec());
    let unused = look(&known, &backend("frr-k8s"));
    assert_eq!(
        unused.stops[0],
        "FRRConfiguration frr-k8s-system/receive (neighbors, prefixes, received routes, imports \
         between VRFs, raw configuration)"
    );
    let what_to_do = &unused.stops[1];
    assert!(
        what_to_do.contains("bgpBackend: frr-k8s-external"),
        "{what_to_do}"
    );
    let command = "kubectl -n metallb-system annotate metallb metallb --overwrite \
                   metallb.io/acknowledge-unused=frrconfiguration/frr-k8s-system/receive";
    assert!(what_to_do.ends_with(command), "{what_to_do}");
    assert_eq!(unused.notes, [""; 0]);
}

#[test]
fn what_is_acknowledged_is_told_without_alarm() {
    let mut known = FrrK8s::default();
    see(&mut known, "one", json!({}));
    let spec = json!({ "bgpBackend": "frr-k8s" });
    let of_one = "frrconfiguration/frr-k8s-system/one";
    for words in [of_one, "*", "other, frrconfiguration/frr-k8s-system/one"] {
        let unused = look(&known, &metallb(spec.clone(), words));
        assert_eq!(unused.stops, [""; 0], "{words}");
        let note = "FRRConfiguration frr-k8s-system/one has no effect";
        assert_eq!(unused.notes, [note]);
    }
    see(&mut known, "two", json!({}));
    let unused = look(&known, &metallb(spec, of_one));
    assert_eq!(unused.stops[0], "FRRConfiguration frr-k8s-system/two");
    let both = format!("={of_one},frrconfiguration/frr-k8s-system/two");
    assert!(unused.stops[1].ends_with(&both), "{:?}", unused.stops);
}

#[test]
fn what_would_stop_depends_on_the_backend() {
    let mut known = FrrK8s::default();
    see(&mut known, "one", json!({}));
    known.has_extras = true;
    let (config, extras) = ("FRRConfiguration", "ConfigMap");
    for (name, stops, notes) in [
        ("", vec![extras], vec![config]),
        ("frr", vec![extras], vec![config]),
        ("frr-k8s", vec![config], vec![extras]),
        ("native", vec![], vec![]),
        ("frr-k8s-external", vec![], vec![]),
    ] {
        let unused = look(&known, &backend(name));
        let first = |lines: &[String]| -> Vec<String> {
            let named = lines.iter().filter(|it| !it.starts_with("the speaker"));
            named
                .filter_map(|it| Some(it.split_once(' ')?.0.to_owned()))
                .collect()
        };
        assert_eq!(first(&unused.stops), stops, "{name}");
        assert_eq!(first(&unused.notes), notes, "{name}");
    }
}

#[test]
fn what_speakers_of_metallb_wrote_is_no_users() {
    let mut known = FrrK8s::default();
    let of = |node: &str| json!({ "nodeSelector": { "matchLabels": { "kubernetes.io/hostname": node } } });
    see(&mut known, "metallb-n1", of("n1"));
    assert_eq!(look(&known, &backend("frr-k8s")), Unused::default());
    see(&mut known, "metallb-n1", of("n2"));
    assert_eq!(look(&known, &backend("frr-k8s")).stops.len(), 2);
}

#[test]
fn many_are_counted_and_acknowledged_together() {
    let mut known = FrrK8s::default();
    for nth in 0..9 {
        see(&mut known, &format!("c{nth}"), json!({}));
    }
    let unused = look(&known, &backend("frr-k8s"));
    assert_eq!((unused.stops.len(), &*unused.stops[3]), (5, "and 6 more"));
    assert!(unused.stops[4].ends_with("acknowledge-unused='*'"));
    known.handle(FrrNews::Defined(false));
    assert_eq!(look(&known, &backend("frr-k8s")), Unused::default());
}

#[test]
fn blocks_hold_by_themselves() {
    let blocks = |name: &str| {
        let spec = json!({ "bgpBackend": name, "frrk8sConfig": { "alwaysBlock": ["10.0.0.0/8"] } });
        let unused = look(&FrrK8s::default(), &metallb(spec, ""));
        assert_eq!(unused.stops, [""; 0]);
        unused.notes.concat()
    };
    let holds = "frrk8sConfig.alwaysBlock holds by itself: no route that a router sends is used";
    assert_eq!(blocks("frr-k8s"), holds);
    assert!(blocks("frr-k8s-external").contains("set --always-block there"));
}

/// Another's definition changes as it likes.
#[test]
fn whatever_is_written_is_read() {
    for spec in [
        Value::Null,
        json!({ "bgp": 1 }),
        json!({ "bgp": { "routers": [1, { "neighbors": "x", "prefixes": null }] }, "raw": [] }),
    ] {
        let mut known = FrrK8s::default();
        see(&mut known, "odd", spec);
        assert_eq!(look(&known, &backend("frr-k8s")).stops.len(), 2);
    }
}
