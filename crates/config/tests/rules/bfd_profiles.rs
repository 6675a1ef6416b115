//! Row 30: how to watch sessions.

use std::time::Duration;

use serde_json::json;

use crate::cluster::{Cluster, assert_accepted, assert_rejected};

const PROFILE: &str = "BFDProfile metallb-system/profile";

#[test]
fn row_30_numbers_are_within_their_ranges() {
    for (field, words, min, max) in [
        ("detectMultiplier", "detect multiplier", 2, 255),
        ("receiveInterval", "receive interval", 10, 60_000),
        ("transmitInterval", "transmit interval", 10, 60_000),
        ("minimumTtl", "minimum ttl", 1, 254),
        ("echoInterval", "echo interval", 10, 60_000),
    ] {
        for value in [min - 1, max + 1, u32::MAX] {
            let read = Cluster::new()
                .bfd("profile", json!({ field: value }))
                .read();
            let reason = format!(
                "invalid value {value}, must be in {min}-{max} range\ninvalid {words} value"
            );
            assert_rejected(&read, PROFILE, &reason);
            assert!(read.config.bfd_profiles().is_empty());
        }
        for value in [min, max] {
            assert_accepted(
                &Cluster::new()
                    .bfd("profile", json!({ field: value }))
                    .read(),
            );
        }
    }
}

#[test]
fn row_30_a_profile_has_a_name_and_is_defined_once() {
    let read = Cluster::new().bfd("", json!({})).read();
    assert_rejected(
        &read,
        "BFDProfile metallb-system/",
        "missing bfd profile name",
    );
    let read = Cluster::new()
        .bfd("profile", json!({"minimumTtl": 7}))
        .bfd("profile", json!({}))
        .read();
    assert_rejected(&read, PROFILE, "found duplicate bfd profile name profile");
    assert_eq!(read.config.bfd_profiles()["profile"].minimum_ttl, 7);
}

#[test]
fn what_a_profile_says_is_read() {
    let read = Cluster::new()
        .bfd("plain", json!({}))
        .bfd(
            "odd",
            json!({
                "receiveInterval": 10, "transmitInterval": 60_000, "detectMultiplier": 255,
                "echoInterval": 11, "echoMode": true, "passiveMode": true, "minimumTtl": 1,
            }),
        )
        .read();
    assert_accepted(&read);
    let millis = Duration::from_millis;
    let plain = &read.config.bfd_profiles()["plain"];
    assert_eq!(
        (plain.receive_interval, plain.transmit_interval),
        (millis(300), millis(300))
    );
    assert_eq!((plain.detect_multiplier, plain.minimum_ttl), (3, 254));
    assert_eq!(
        (plain.echo_interval, plain.echo, plain.passive),
        (millis(50), false, false)
    );
    let odd = &read.config.bfd_profiles()["odd"];
    assert_eq!(
        (odd.receive_interval, odd.transmit_interval),
        (millis(10), millis(60_000))
    );
    assert_eq!((odd.detect_multiplier, odd.minimum_ttl), (255, 1));
    assert_eq!(
        (odd.echo_interval, odd.echo, odd.passive),
        (millis(11), true, true)
    );
}
