use super::*;

/// Three nodes with FRR on all of them, and speakers that have been ready for long.
pub(crate) fn three() -> Frr {
    let nodes = ["n1", "n2", "n3"].map(str::to_owned);
    let sessions = nodes.iter().flat_map(|node| {
        ["tor", "old"].map(|peer| {
            let session = Session {
                established: false,
                held: peer == "tor",
                peer: peer.to_owned(),
            };
            (session_name(node, peer), session)
        })
    });
    Frr {
        seen_at: Instant::now(),
        daemon_set: DaemonSet::default(),
        sessions: sessions.collect(),
        speakers: nodes.clone().map(|it| (it, ready(0))).into(),
        nodes: nodes.into(),
    }
}

fn ready(second: i64) -> Speaker {
    Speaker::ReadySince(Timestamp::from_second(second).expect("a time"))
}

fn wall() -> Timestamp {
    Timestamp::from_second(100).expect("a time")
}

/// The same after a merge patch.
pub(crate) fn patched(daemon_set: &DaemonSet, patch: &Value) -> DaemonSet {
    let mut all = serde_json::to_value(daemon_set).expect("JSON");
    merge(&mut all, patch);
    serde_json::from_value(all).expect("a DaemonSet")
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        return into.clone_from(patch);
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in patch {
        merge(&mut into[name], value);
    }
}

/// Does what is due, as the cluster would; gives the node whose turn it was.
fn step(frr: &mut Frr) -> String {
    let Turn::Of(node, awaited) = frr.turn(wall()) else {
        panic!("{:?}", frr.turn(wall()));
    };
    frr.daemon_set = patched(&frr.daemon_set, &without(&frr.daemon_set, &node, &awaited));
    let ends = format!("ends on node {node}");
    assert_eq!(frr.turn(wall()), Turn::Waits(ends));
    frr.nodes.remove(&node);
    node
}

fn up(frr: &mut Frr, name: &str) {
    let session = frr.sessions.get_mut(name).expect("there is one");
    (session.established, session.held) = (true, false);
}

#[test]
fn a_node_has_its_turn_when_the_sessions_of_the_one_before_are_there_again() {
    let mut frr = three();
    for node in ["n1", "n2", "n3"] {
        assert_eq!(step(&mut frr), node);
        let Turn::Waits(why) = frr.turn(wall()) else {
            panic!("{:?}", frr.turn(wall()));
        };
        assert_eq!(
            why,
            format!("has ended on node {node}, whose BGP session with tor is not established yet")
        );
        // The other router was not there with FRR either.
        up(&mut frr, &session_name(node, "tor"));
    }
    assert_eq!(frr.turn(wall()), Turn::Over);
}

#[test]
fn nothing_ends_where_no_speaker_is_ready_to_follow() {
    let mut frr = three();
    for speaker in frr.speakers.values_mut() {
        *speaker = Speaker::NotReady;
    }
    let waits = frr.turn(wall());
    assert!(matches!(&waits, Turn::Waits(why) if why.contains("speaker of node")));
    frr.speakers.insert("n2".to_owned(), ready(96));
    assert_eq!(frr.turn(wall()), waits, "it has had no time to look around");
    frr.speakers.insert("n2".to_owned(), ready(95));
    assert_eq!(step(&mut frr), "n2");
    // It falls, and nobody knows how its sessions are.
    frr.sessions.clear();
    frr.speakers.insert("n2".to_owned(), Speaker::NotReady);
    frr.speakers.insert("n3".to_owned(), ready(0));
    let why = "waits for the speaker of node n2".to_owned();
    assert_eq!(frr.turn(wall()), Turn::Waits(why));
    frr.speakers.insert("n2".to_owned(), ready(0));
    assert_eq!(step(&mut frr), "n3", "the sessions are not wanted any more");
    // Speakers are no longer to be on n1.
    frr.speakers.remove("n1");
    assert_eq!(frr.turn(wall()), Turn::Over);
}

#[test]
fn what_its_affinity_says_goes_on_to_count() {
    let zone = json!({ "key": "zone", "operator": "In", "values": ["a"] });
    let disk = json!({ "key": "disk", "operator": "Exists" });
    let daemon_set: DaemonSet = serde_json::from_value(json!({
        "metadata": { "resourceVersion": "7" },
        "spec": {
            "selector": {},
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1 } },
            "template": { "spec": {
                "containers": [],
                "affinity": { "podAffinity": {}, "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                        { "matchExpressions": [zone] }, { "matchExpressions": [disk] },
                    ] },
                } },
            } },
        },
    }))
    .expect("a DaemonSet");
    assert!(excluded(&daemon_set).is_empty());
    let awaited = BTreeSet::from(["n1/tor".to_owned()]);
    let one = patched(&daemon_set, &without(&daemon_set, "n1", &awaited));
    let two = patched(&one, &without(&one, "n2", &BTreeSet::new()));
    assert_eq!(super::awaited(&one), awaited);
    assert!(super::awaited(&two).is_empty());
    assert_eq!(excluded(&two), ["n1", "n2"].map(str::to_owned).into());
    let other = |node: &str| json!({ "key": NODE_NAME, "operator": "NotIn", "values": [node] });
    let fields = [other("n1"), other("n2")];
    let two = serde_json::to_value(&two).expect("JSON");
    assert_eq!(two["spec"]["updateStrategy"], json!({ "type": "OnDelete" }));
    let affinity = &two["spec"]["template"]["spec"]["affinity"];
    assert_eq!(affinity["podAffinity"], json!({}));
    assert_eq!(
        affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"],
        json!({ "nodeSelectorTerms": [
            { "matchExpressions": [zone], "matchFields": fields },
            { "matchExpressions": [disk], "matchFields": fields },
        ] })
    );
}
