//! What is asked, what is looked at, and what is answered, webhook by webhook.

use metallb_admission::Verdict;
use metallb_config::Kind;
use serde_json::{Value, json};

use crate::{Cluster, KINDS, allowed, denied, object, read, request};

/// A spec that nothing is wrong with.
fn good(kind: Kind) -> Value {
    match kind {
        Kind::IPAddressPool => json!({"addresses": ["10.0.0.0/24"]}),
        Kind::BGPPeer => peer("10.0.0.1"),
        Kind::L2Advertisement | Kind::BGPAdvertisement | Kind::BFDProfile | Kind::Community => {
            json!({})
        }
    }
}

/// A spec that cannot be part of any configuration.
fn bad(kind: Kind) -> Value {
    match kind {
        Kind::IPAddressPool => json!({"addresses": []}),
        Kind::BGPPeer => json!({"myASN": 0}),
        Kind::L2Advertisement | Kind::BGPAdvertisement => json!({"ipAddressPools": ["a", "a"]}),
        Kind::Community => json!({"communities": [{"name": "a", "value": "b"}]}),
        Kind::BFDProfile => json!({"detectMultiplier": 1}),
    }
}

fn peer(address: &str) -> Value {
    json!({"myASN": 64512, "peerASN": 64513, "peerAddress": address})
}

fn with(mut spec: Value, field: &str, value: Value) -> Value {
    spec[field] = value;
    spec
}

fn elsewhere(kind: Kind, spec: &Value) -> Value {
    let mut object = object(kind, "a", spec);
    object["metadata"]["namespace"] = json!("default");
    object
}

#[test]
fn good_objects_are_allowed() {
    let cluster = Cluster::default();
    for kind in KINDS {
        assert_eq!(cluster.create(kind, "a", &good(kind)), allowed(), "{kind}");
        let changed = with(good(kind), "aFieldOfTheFuture", json!(1));
        assert_eq!(
            cluster.update(kind, "a", &good(kind), &changed),
            allowed(),
            "{kind}"
        );
        assert_eq!(cluster.delete(kind, "a"), allowed(), "{kind}");
    }
}

#[test]
fn bad_objects_are_refused_at_creation_and_at_change() {
    let cluster = Cluster::default();
    for kind in KINDS.into_iter().filter(|kind| *kind != Kind::BFDProfile) {
        let reason = denied(cluster.create(kind, "a", &bad(kind)));
        assert_eq!(
            denied(cluster.update(kind, "a", &good(kind), &bad(kind))),
            reason,
            "{kind}"
        );
        // Deletion is always possible.
        assert_eq!(
            Cluster::default()
                .with(kind, "a", &bad(kind))
                .delete(kind, "a"),
            allowed(),
            "{kind}"
        );
    }
    // The values of a profile are left to the schema.
    assert_eq!(
        cluster.create(Kind::BFDProfile, "a", &bad(Kind::BFDProfile)),
        allowed()
    );
}

#[test]
fn objects_must_be_created_in_metallbs_namespace() {
    let cluster = Cluster::default();
    for kind in KINDS {
        let new = elsewhere(kind, &good(kind));
        let answer = cluster.answer(kind, &request("CREATE", &new, &Value::Null));
        assert_eq!(
            denied(answer),
            "resource must be created in metallb-system namespace",
            "{kind}"
        );
        // What is elsewhere already may be changed and deleted.
        let changed = elsewhere(kind, &with(good(kind), "aFieldOfTheFuture", json!(1)));
        assert_eq!(
            cluster.answer(kind, &request("UPDATE", &changed, &new)),
            allowed(),
            "{kind}"
        );
        assert_eq!(
            cluster.answer(kind, &request("DELETE", &Value::Null, &new)),
            allowed(),
            "{kind}"
        );
    }
}

#[test]
fn what_has_no_effect_yet_is_taken_with_a_warning() {
    let cluster = Cluster::default();
    let plain = json!({ "myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.9" });
    let on = json!({ "myASN": 1, "peerASN": 2, "interface": "eth0" });
    assert_eq!(cluster.create(Kind::BGPPeer, "a", &on), allowed());
    let spec = with(on, "sourceAddress", json!("192.0.2.1"));
    let words = "sourceAddress has no effect with interface";
    assert!(warned(cluster.create(Kind::BGPPeer, "a", &spec)).starts_with(words));
    assert!(warned(cluster.update(Kind::BGPPeer, "a", &plain, &spec)).starts_with(words));
}

#[test]
fn echo_mode_of_a_peer_that_gets_no_echo_is_taken_with_a_warning() {
    let cluster = Cluster::default()
        .with(Kind::BFDProfile, "echo", &json!({ "echoMode": true }))
        .with(Kind::BFDProfile, "plain", &json!({ "echoMode": false }));
    let with = |fields: Value| {
        let mut spec = json!({ "myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.9" });
        let more = fields.as_object().cloned().unwrap_or_default();
        spec.as_object_mut().expect("an object").extend(more);
        warned(cluster.create(Kind::BGPPeer, "a", &spec))
    };
    let far = json!({ "bfdProfile": "echo", "ebgpMultiHop": true });
    let v6 = json!({ "bfdProfile": "echo", "peerAddress": "2001:db8::9" });
    for spec in [far, v6] {
        let said = with(spec.clone());
        assert!(
            said.starts_with("echoMode of the BFDProfile has no effect"),
            "{spec}"
        );
    }
    for spec in [
        json!({ "bfdProfile": "echo" }),
        json!({ "bfdProfile": "plain", "ebgpMultiHop": true }),
        json!({ "bfdProfile": "later", "ebgpMultiHop": true }),
        json!({ "ebgpMultiHop": true }),
    ] {
        assert_eq!(with(spec.clone()), "", "{spec}");
    }
}

fn warned(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow { warnings } => warnings.join(""),
        other => panic!("not allowed: {other:?}"),
    }
}

#[test]
fn a_peer_with_disable_mp_is_created_unchecked_with_a_warning() {
    let cluster = Cluster::default();
    let warned = Verdict::Allow {
        warnings: vec![
            "disable mp is deprecated and has no effect since it's the default behavior now"
                .to_owned(),
        ],
    };
    let spec = with(bad(Kind::BGPPeer), "disableMP", json!(true));
    assert_eq!(cluster.create(Kind::BGPPeer, "a", &spec), warned);
    let new = elsewhere(Kind::BGPPeer, &spec);
    assert_eq!(
        cluster.answer(Kind::BGPPeer, &request("CREATE", &new, &Value::Null)),
        warned
    );
    // A change is checked.
    let changed = with(spec.clone(), "peerPort", json!(1790));
    assert_eq!(
        denied(cluster.update(Kind::BGPPeer, "a", &spec, &changed)),
        "missing local ASN"
    );
}

#[test]
fn what_only_changes_metadata_is_allowed_for_a_bad_object_too() {
    for kind in KINDS {
        let cluster = Cluster::default().with(kind, "a", &bad(kind));
        let before = object(kind, "a", &bad(kind));
        let mut after = before.clone();
        after["metadata"]["labels"] = json!({"a": "b"});
        after["metadata"]["finalizers"] = json!([]);
        assert_eq!(
            cluster.answer(kind, &request("UPDATE", &after, &before)),
            allowed(),
            "{kind}"
        );
    }
}

#[test]
fn an_object_that_is_bad_already_is_in_nobodys_way() {
    for kind in KINDS {
        let cluster = Cluster::default().with(kind, "bad", &bad(kind));
        assert_eq!(cluster.create(kind, "a", &good(kind)), allowed(), "{kind}");
        let fixed = cluster.update(kind, "bad", &bad(kind), &good(kind));
        assert_eq!(fixed, allowed(), "{kind}");
    }
}

#[test]
fn of_two_that_clash_the_one_that_is_there_stays() {
    let pool = |range: &str| json!({ "addresses": [range] });
    let cluster = Cluster::default()
        .with(Kind::IPAddressPool, "a", &pool("10.0.0.0/24"))
        .with(Kind::IPAddressPool, "z", &pool("10.0.1.0/24"));
    let overlap = "overlaps with already defined CIDR \"10.0.0.0/24\"";
    let created = denied(cluster.create(Kind::IPAddressPool, "b", &pool("10.0.0.0/25")));
    assert!(created.contains(overlap), "{created}");
    let changed = cluster.update(
        Kind::IPAddressPool,
        "z",
        &pool("10.0.1.0/24"),
        &pool("10.0.0.0/16"),
    );
    let changed = denied(changed);
    assert!(changed.contains(overlap), "{changed}");
    // However old: whoever edits is the one to yield.
    let older = cluster.update(
        Kind::IPAddressPool,
        "a",
        &pool("10.0.0.0/24"),
        &pool("10.0.1.9/32"),
    );
    let older = denied(older);
    assert!(
        older.contains("overlaps with already defined CIDR \"10.0.1.0/24\""),
        "{older}"
    );
    // With itself nothing clashes.
    let grown = cluster.update(
        Kind::IPAddressPool,
        "a",
        &pool("10.0.0.0/24"),
        &pool("10.0.0.0/25"),
    );
    assert_eq!(grown, allowed());
}

/// Rule 3 of the quirks, and the order of creation: each webhook sees some kinds only.
#[test]
fn each_webhook_looks_at_its_own_kinds() {
    let aggregating = json!({"aggregationLength": 26});
    let narrow = json!({"addresses": ["10.0.0.0/28"]});
    let cluster = Cluster::default().with(Kind::BGPAdvertisement, "adv", &aggregating);
    // A pool that breaks an advertisement is let through, the advertisement beside it is not.
    assert_eq!(cluster.create(Kind::IPAddressPool, "a", &narrow), allowed());
    let cluster = Cluster::default().with(Kind::IPAddressPool, "a", &narrow);
    let refused = denied(cluster.create(Kind::BGPAdvertisement, "adv", &aggregating));
    assert!(
        refused.contains("invalid aggregation length 26"),
        "{refused}"
    );
    // Layer 2 has no aggregation; peers know nothing of pools.
    assert_eq!(
        cluster.create(Kind::L2Advertisement, "adv", &json!({})),
        allowed()
    );
    assert_eq!(
        cluster.create(Kind::BGPPeer, "a", &peer("10.0.0.1")),
        allowed()
    );
    // An advertisement may use the name of a community before there is one, whoever defines it.
    let named = json!({"communities": ["mine"]});
    let taken = json!({"communities": [{"name": "mine", "value": "1:2"}]});
    let cluster = Cluster::default().with(Kind::Community, "names", &taken);
    assert_eq!(
        cluster.create(Kind::BGPAdvertisement, "adv", &named),
        allowed()
    );
    let twice = denied(cluster.create(Kind::Community, "more", &taken));
    assert!(
        twice.contains("duplicate definition of community \"mine\""),
        "{twice}"
    );
}

#[test]
fn what_a_peer_names_may_come_later() {
    let cluster = Cluster::default();
    let spec = with(peer("10.0.0.1"), "passwordSecret", json!({"name": "later"}));
    let spec = with(spec, "bfdProfile", json!("later"));
    assert_eq!(cluster.create(Kind::BGPPeer, "a", &spec), allowed());
    // Both kinds of password at once are not looked at either.
    let spec = with(spec, "password", json!("secret"));
    assert_eq!(cluster.create(Kind::BGPPeer, "a", &spec), allowed());
}

#[test]
fn a_profile_in_use_stays() {
    let user = |profile: &str| with(peer("10.0.0.1"), "bfdProfile", json!(profile));
    let cluster = Cluster::default()
        .with(Kind::BGPPeer, "z", &user("fast"))
        .with(Kind::BGPPeer, "b", &user("fast"))
        .with(Kind::BGPPeer, "a", &user("slow"));
    assert_eq!(
        denied(cluster.delete(Kind::BFDProfile, "fast")),
        "failed to delete BFDProfile fast, used by BGPPeer b"
    );
    assert_eq!(cluster.delete(Kind::BFDProfile, "other"), allowed());
    // Peers use those of their own namespace.
    let other = elsewhere(Kind::BFDProfile, &json!({}));
    let cluster = Cluster::default().with(Kind::BGPPeer, "p", &user("a"));
    assert_eq!(
        cluster.answer(Kind::BFDProfile, &request("DELETE", &Value::Null, &other)),
        allowed()
    );
    denied(cluster.delete(Kind::BFDProfile, "a"));
    // It may be changed.
    let changed = cluster.update(
        Kind::BFDProfile,
        "a",
        &json!({}),
        &json!({"echoMode": true}),
    );
    assert_eq!(changed, allowed());
}

#[test]
fn what_cannot_be_read_is_malformed() {
    let cluster = Cluster::default();
    for (kind, spec, error) in [
        (
            Kind::IPAddressPool,
            json!({"addresses": "10.0.0.0/24"}),
            "invalid type: string",
        ),
        (Kind::IPAddressPool, json!({}), "missing field `addresses`"),
        (
            Kind::L2Advertisement,
            json!({"interfaces": 3}),
            "invalid type: integer",
        ),
        (
            Kind::BGPAdvertisement,
            json!({"aggregationLength": "x"}),
            "invalid type: string",
        ),
        (
            Kind::BGPPeer,
            json!({"myASN": -1}),
            "invalid value: integer `-1`",
        ),
        (
            Kind::BGPPeer,
            json!({"myASN": 1, "dynamicASN": "some"}),
            "unknown variant `some`",
        ),
        (
            Kind::BFDProfile,
            json!({"echoInterval": "x"}),
            "invalid type: string",
        ),
        (
            Kind::Community,
            json!({"communities": {}}),
            "invalid type: map",
        ),
    ] {
        for verdict in [
            cluster.create(kind, "a", &spec),
            cluster.update(kind, "a", &json!({}), &spec),
        ] {
            match verdict {
                Verdict::Malformed(said) => assert!(
                    said.starts_with("cannot read the object: ") && said.contains(error),
                    "{kind} {spec}: {said}"
                ),
                // Nothing is read where nothing is asked.
                other => assert!(
                    kind == Kind::BFDProfile && other == allowed(),
                    "{kind}: {other:?}"
                ),
            }
        }
        let nothing = cluster.answer(kind, &request("CREATE", &Value::Null, &Value::Null));
        assert_eq!(
            nothing,
            Verdict::Malformed("the request has no object".to_owned())
        );
    }
    let nothing = cluster.answer(
        Kind::BFDProfile,
        &request("DELETE", &Value::Null, &Value::Null),
    );
    assert_eq!(
        nothing,
        Verdict::Malformed("the request has no object".to_owned())
    );
}

#[test]
fn answers_are_reviews_with_upstreams_codes() {
    let request = read(&request(
        "CREATE",
        &object(Kind::Community, "a", &json!({})),
        &Value::Null,
    ));
    let answer = |verdict: Verdict| {
        let review = serde_json::to_value(verdict.answer(&request)).expect("plain data");
        assert_eq!(
            (&review["apiVersion"], &review["kind"]),
            (&json!("admission.k8s.io/v1"), &json!("AdmissionReview"))
        );
        assert_eq!(review["response"]["uid"], "0c9a8d74");
        review["response"].clone()
    };
    let yes = answer(allowed());
    assert_eq!((&yes["allowed"], yes.get("warnings")), (&json!(true), None));
    let warned = answer(Verdict::Allow {
        warnings: vec!["mind".to_owned()],
    });
    assert_eq!(
        (&warned["allowed"], &warned["warnings"]),
        (&json!(true), &json!(["mind"]))
    );
    let no = answer(Verdict::Deny("too bad".to_owned()));
    assert_eq!(no["allowed"], json!(false));
    assert_eq!(
        no["status"],
        json!({"status": "Failure", "message": "too bad", "reason": "Forbidden", "code": 403})
    );
    let what = answer(Verdict::Malformed("no sense".to_owned()));
    assert_eq!(what["allowed"], json!(false));
    assert_eq!(
        what["status"],
        json!({"status": "Failure", "message": "no sense", "reason": "BadRequest", "code": 400})
    );
}
