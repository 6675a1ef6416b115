//! Speakers on a wire, all of them but the API server. Each node is a network namespace, and a
//! bridge joins them with a client.

mod lan;
mod speaker;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use lan::{IPS, Lan, ip, node_address, output, plug, plug_in};

#[test]
fn one_node_answers_and_tells_of_it() {
    let Some(mut lan) = Lan::of(&["a", "b", "c"]) else {
        return;
    };
    lan.until_answered_by("c");
    let (metrics, events) = lan.stop("b");
    assert_eq!(events, [""; 0]);
    assert!(
        !metrics.contains("metallb_layer2_responses_sent{"),
        "b never answered"
    );
    // The last one goes on to its end.
    lan.stop("a");
    let (metrics, events) = lan.stop("c");
    assert_eq!(events, ["nodeAssigned"]);
    for metric in [
        "metallb_layer2_requests_received{ip=\"192.0.2.1\"}",
        "metallb_layer2_responses_sent{ip=\"2001:db8::1\"}",
        "metallb_layer2_gratuitous_sent{ip=\"192.0.2.1\"}",
        "metallb_speaker_announced{ip=\"192.0.2.1\",node=\"c\",protocol=\"layer2\",service=\"default/web\"} 1",
        "metallb_k8s_client_config_loaded_bool 1",
        "metallb_k8s_client_config_stale_bool 0",
    ] {
        assert!(metrics.contains(metric), "{metric} is not in\n{metrics}");
    }
}

#[test]
fn another_node_takes_over_from_a_node_without_a_cable_and_gives_back() {
    let Some(lan) = Lan::of(&["a", "b", "c"]) else {
        return;
    };
    lan.until_answered_by("c");
    lan.cut("c");
    let took = lan.until_answered_by("a");
    println!("cut: both addresses answered from elsewhere after {took:?}");
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    lan.heal("c");
    let took = lan.until_answered_by("c");
    println!("heal: both addresses answered from where they were after {took:?}");
}

#[test]
fn rfc_4861_an_interface_that_goes_down_and_up_answers_in_its_groups_again() {
    let Some(lan) = Lan::of(&["a", "b", "c"]) else {
        return;
    };
    lan.until_answered_by("c");
    lan.on("c", "link set eth0 down");
    lan.until_answered_by("a");
    lan.on("c", "link set eth0 up");
    lan.until_answered_by("c");
}

#[test]
fn an_interface_that_gets_another_name_announces_under_it() {
    let Some(lan) = Lan::of(&["a"]) else { return };
    lan.until_answered_by("a");
    lan.on("a", "link set eth0 down");
    lan.on("a", "link set eth0 name lan0");
    lan.on("a", "link set lan0 up");
    lan.until_answered_by("a");
}

#[test]
fn an_interface_that_comes_later_announces_too() {
    let Some(lan) = Lan::of(&["a"]) else { return };
    lan.until_answered_by("a");
    // The one that was there goes for good; another, with another MAC, takes its place.
    lan.on("a", "link delete eth0");
    plug_in(&lan.bridge, &lan.speakers[0].namespace, "later");
    lan.until_answered_by("l");
}

#[test]
fn a_speaker_that_is_told_to_stop_hands_over_without_a_gap() {
    let Some(mut lan) = Lan::of(&["a", "b", "c"]) else {
        return;
    };
    lan.until_answered_by("c");
    let speaker = lan.speakers.pop().unwrap();
    let start = Instant::now();
    speaker.shutdown.cancel();
    let mut answers = BTreeSet::new();
    while !speaker.thread.is_finished() {
        answers.insert(lan.answering(IPS[0], 1000));
    }
    let took = start.elapsed();
    println!("stop: the speaker ended after {took:?}, meanwhile {answers:?} answered");
    assert!(!answers.contains(&None), "somebody always answers");
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    assert_eq!(lan.answering(IPS[0], 1000).as_deref(), Some("a"));
    speaker.thread.join().unwrap();
}

#[test]
fn of_two_that_do_not_hear_each_other_the_worse_one_yields() {
    let Some(lan) = Lan::of(&["a", "c"]) else {
        return;
    };
    lan.until_answered_by("c");
    // No heartbeat arrives; what is said to all on the wire does.
    for (node, other) in [("a", 1), ("c", 0)] {
        let other = node_address(other);
        lan.on(node, &format!("route add blackhole {other}/32"));
    }
    // So there are two for a moment.
    lan.until_measured("a", "metallb_layer2_gratuitous_sent{ip=\"192.0.2.1\"}");
    let start = Instant::now();
    let mut others = Instant::now();
    // Longer than the pause after which the worse one tries again for the first time.
    while others.elapsed() < Duration::from_secs(3) {
        let answering = lan.answering(IPS[0], 1000);
        if answering.as_deref() != Some("c") {
            others = Instant::now();
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(40), "at last {answering:?}");
    }
}

#[test]
fn a_stranger_with_the_address_is_told_of() {
    let Some(mut lan) = Lan::of(&["a"]) else {
        return;
    };
    lan.until_answered_by("a");
    let stranger = plug(&lan.bridge, "x", "192.0.2.50", "2001:db8::50");
    let says = "arping -U -c 7 -i eth0 -S 192.0.2.1 192.0.2.1";
    stranger.run(|| output(says)).unwrap();
    let (metrics, events) = lan.stop("a");
    assert_eq!(events, ["nodeAssigned", "addressConflict"]);
    let counted = "metallb_layer2_conflicts_total{ip=\"192.0.2.1\"} 7";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn rfc_5227_an_address_that_a_stranger_has_is_used_when_it_is_free() {
    let Some(mut lan) = Lan::wired() else { return };
    let stranger = plug(&lan.bridge, "x", IPS[0], IPS[1]);
    lan.start(&["a"], &json!({ "metallb.io/probe-before-use": "true" }));
    for ip in IPS {
        let heard = format!("metallb_layer2_conflicts_total{{ip=\"{ip}\"}}");
        lan.until_measured("a", &heard);
        assert_eq!(lan.answering(ip, 1000).as_deref(), Some("x"));
    }
    // The stranger is given other addresses.
    stranger.run(|| ip("address flush dev eth0")).unwrap();
    lan.until_answered_by("a");
    let (metrics, events) = lan.stop("a");
    let both = ["addressConflict"; 2];
    assert_eq!(events, [&both[..], &["nodeAssigned"]].concat());
    assert!(
        metrics.contains("metallb_layer2_gratuitous_sent"),
        "{metrics}"
    );
}

#[test]
fn rfc_5227_an_address_that_nobody_has_is_used_after_a_second() {
    let Some(mut lan) = Lan::wired() else { return };
    let start = Instant::now();
    lan.start(&["a"], &json!({ "metallb.io/probe-before-use": "true" }));
    lan.until_answered_by("a");
    assert!(
        start.elapsed() >= Duration::from_millis(900),
        "it was asked for"
    );
    let (_, events) = lan.stop("a");
    assert_eq!(events, ["nodeAssigned"]);
}
