//! One look at a time.

use super::*;

const NAME: &str = "metallb-webhook-service.metallb-system.svc";

fn at(days: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * days)
}

/// What a keeper makes of a Secret that holds `stored`, when `bundles` are in place.
fn next(keeper: &mut Keeper, now: Timestamp, stored: &Stored, bundles: &[&[u8]]) -> Stored {
    let renewal = keeper.decide(now, stored, bundles).renewal;
    let renewal = renewal.expect("something is due");
    renewal.make(now, NAME).unwrap()
}

/// Certificates as they are made for an empty Secret.
fn fresh(now: Timestamp) -> Stored {
    next(&mut Keeper::new(NAME), now, &Stored::default(), &[])
}

fn is_signed_by_first(stored: &Stored, now: Timestamp) -> bool {
    Held::read(stored, NAME).signed_until(now).is_some()
}

/// How many authorities there are.
fn count(stored: &Stored) -> usize {
    certificates(&stored.ca_crt).len()
}

#[test]
fn an_empty_secret_is_filled_and_then_left_alone() {
    let stored = fresh(at(0));
    assert!(is_signed_by_first(&stored, at(0)));
    let mut keeper = Keeper::new(NAME);
    let decision = keeper.decide(at(0), &stored, &[b"", b"Cg=="]);
    assert_eq!(decision.renewal, None);
    assert_eq!(decision.to_inject, [0, 1]);
    assert_eq!(
        decision.bundle.as_ref(),
        Some(&stored.ca_crt),
        "byte for byte"
    );
    assert_eq!(decision.serve.unwrap().chain, stored.tls_crt);
    assert_eq!(decision.again, at(0) + CHECK);

    let injected = keeper.decide(at(0), &stored, &[&stored.ca_crt, &stored.ca_crt]);
    assert!(injected.to_inject.is_empty());
    assert_eq!(injected.renewal, None);
    assert_eq!(injected.server_expires, Some(at(365)));
    assert_eq!(injected.authority_expires, Some(at(3650)));
}

#[test]
fn a_server_certificate_is_renewed_ninety_days_ahead_by_the_same_authority() {
    let stored = fresh(at(0));
    let mut keeper = Keeper::new(NAME);
    let places: &[&[u8]] = &[&stored.ca_crt];
    assert_eq!(keeper.decide(at(275), &stored, places).renewal, None);
    let renewed = next(&mut keeper, at(276), &stored, places);
    assert_eq!(renewed.ca_crt, stored.ca_crt);
    assert_eq!(renewed.ca_key, stored.ca_key);
    assert_ne!(renewed.tls_crt, stored.tls_crt);
    let decision = keeper.decide(at(276), &renewed, places);
    assert_eq!(decision.renewal, None);
    assert_eq!(decision.server_expires, Some(at(276 + 365)));
}

#[test]
fn a_new_authority_is_known_before_it_signs_and_the_old_one_leaves_after_that() {
    let mut keeper = Keeper::new(NAME);
    let young = fresh(at(0));
    let places: &[&[u8]] = &[&young.ca_crt];
    // The server's certificate is a young one; the authority is not.
    let old = next(&mut keeper, at(3500), &young, places);
    keeper.decide(at(3500), &old, places);

    let now = at(3561);
    let both = next(&mut keeper, now, &old, places);
    assert_eq!(count(&both), 2);
    assert_eq!(both.tls_crt, old.tls_crt, "served on");
    let decision = keeper.decide(now, &both, places);
    assert_eq!(decision.to_inject, [0]);
    assert_eq!(decision.renewal, None, "not known yet");

    let places: &[&[u8]] = &[&both.ca_crt];
    let seen = keeper.decide(now, &both, places);
    assert_eq!(seen.renewal, None, "not for long enough");
    assert!(seen.again <= now + SETTLING + SignedDuration::from_secs(1));
    let switched = next(&mut keeper, seen.again, &both, places);
    assert!(is_signed_by_first(&switched, now));
    assert_eq!(count(&switched), 2);

    let decision = keeper.decide(now, &switched, places);
    assert_eq!(decision.renewal, None);
    let alone = next(&mut keeper, now + FAREWELL * 2, &switched, places);
    assert_eq!(count(&alone), 1);
    assert_eq!(alone.tls_crt, switched.tls_crt);
    let places: &[&[u8]] = &[&alone.ca_crt];
    assert_eq!(
        keeper.decide(now + FAREWELL * 2, &alone, places).renewal,
        None
    );
}

#[test]
fn who_empties_the_secret_gets_new_ones_without_a_gap() {
    let old = fresh(at(0));
    let mut keeper = Keeper::new(NAME);
    keeper.decide(at(0), &old, &[&old.ca_crt]);
    let new = next(&mut keeper, at(1), &Stored::default(), &[&old.ca_crt]);
    assert_eq!(new.tls_crt, old.tls_crt, "until the new one is known");
    assert_eq!(count(&new), 2);
    assert_ne!(new.ca_key, old.ca_key);
    let switched = next(
        &mut keeper,
        keeper_settled(&mut Keeper::new(NAME), &new),
        &new,
        &[],
    );
    assert!(is_signed_by_first(&switched, at(1)));
}

/// When a keeper that sees the bundle in place goes on.
fn keeper_settled(keeper: &mut Keeper, stored: &Stored) -> Timestamp {
    keeper.decide(at(1), stored, &[&stored.ca_crt]).again
}

#[test]
fn half_a_secret_is_made_whole() {
    let whole = fresh(at(0));
    let places: &[&[u8]] = &[&whole.ca_crt];
    let without = |key: &str| {
        Stored::read(|it| {
            let found = whole.texts().into_iter().find(|text| text.0 == it);
            found.map(|text| text.1).filter(|_| it != key)
        })
    };
    // Nobody can sign with it, but what it has signed is good.
    let unsigned = without("ca.key");
    assert_eq!(
        Keeper::new(NAME).decide(at(0), &unsigned, places).renewal,
        None
    );
    let renewed = next(&mut Keeper::new(NAME), at(300), &unsigned, places);
    assert_eq!(count(&renewed), 2, "a new authority joins");
    assert_eq!(renewed.tls_crt, whole.tls_crt);

    for lost in ["tls.crt", "tls.key"] {
        let renewed = next(&mut Keeper::new(NAME), at(0), &without(lost), places);
        assert_eq!(renewed.ca_crt, whole.ca_crt, "{lost}");
        assert!(is_signed_by_first(&renewed, at(0)), "{lost}");
    }
    let renewed = next(&mut Keeper::new(NAME), at(0), &without("ca.crt"), places);
    assert!(is_signed_by_first(&renewed, at(0)));
}

#[test]
fn what_is_of_no_use_is_replaced_at_once() {
    let good = fresh(at(0));
    let mut keeper = Keeper::new("another.metallb-system.svc");
    let another = keeper.decide(at(0), &good, &[]);
    assert!(another.serve.is_none(), "it is for another name");
    assert!(another.renewal.is_some());

    let garbage = Stored::read(|_| Some(b"-----BEGIN CERTIFICATE-----\nmoo\n"));
    assert!(is_signed_by_first(
        &next(&mut Keeper::new(NAME), at(0), &garbage, &[b"moo"]),
        at(0)
    ));

    // A key of somebody else's.
    let mixed = Stored {
        tls_key: fresh(at(0)).tls_key,
        ..good.clone()
    };
    let renewed = next(&mut Keeper::new(NAME), at(0), &mixed, &[b""]);
    assert_eq!(renewed.ca_crt, good.ca_crt);
    assert!(is_signed_by_first(&renewed, at(0)));

    // Long after everything has expired.
    let late = at(5000);
    let renewed = next(&mut Keeper::new(NAME), late, &good, &[&good.ca_crt]);
    assert_eq!(count(&renewed), 1);
    assert!(is_signed_by_first(&renewed, late));
}

#[test]
fn what_upstream_made_is_served_until_it_is_time() {
    let text = |file: &str| {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/upstream/");
        std::fs::read(format!("{dir}{file}")).unwrap()
    };
    let stored = Stored {
        ca_crt: text("ca.crt"),
        ca_key: text("ca.key"),
        tls_crt: text("tls.crt"),
        tls_key: text("tls.key"),
    };
    let places: &[&[u8]] = &[&stored.ca_crt];
    let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let mut keeper = Keeper::new(NAME);
    let decision = keeper.decide(now, &stored, places);
    assert_eq!(decision.renewal, None);
    assert!(decision.to_inject.is_empty());
    assert_eq!(decision.serve.unwrap().key, stored.tls_key);

    // Its key is one that we cannot sign with.
    let now = decision.server_expires.unwrap() - SignedDuration::from_hours(24);
    let both = next(&mut keeper, now, &stored, places);
    assert_eq!(count(&both), 2);
    assert_eq!(both.tls_crt, stored.tls_crt);
}

#[test]
fn keys_are_not_printed() {
    let stored = fresh(at(0));
    let decision = Keeper::new(NAME).decide(at(0), &stored, &[]);
    for said in [format!("{stored:?}"), format!("{decision:?}")] {
        assert!(said.contains("BEGIN CERTIFICATE"), "{said}");
        assert!(!said.contains("PRIVATE"), "{said}");
    }
}
