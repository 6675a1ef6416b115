//! The rules one by one.

mod simulation;

use super::*;

/// A clock that starts now and is turned by hand.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn at(self, after: Duration) -> Now {
        let wall = Timestamp::UNIX_EPOCH + jiff::SignedDuration::try_from(after).unwrap();
        Now {
            monotonic: self.0 + after,
            wall,
        }
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn held_by(holder: &str, version: u32, seconds: i32) -> Observation {
    Observation::Lease(Some(Record {
        resource_version: version.to_string(),
        spec: LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(seconds),
            lease_transitions: Some(3),
            ..LeaseSpec::default()
        },
    }))
}

/// What the server answers to a write.
fn taken(action: &Action, version: u32) -> Observation {
    let spec = match action {
        Action::Create(spec) | Action::Update(Record { spec, .. }) => spec.clone(),
        other => panic!("not a write: {other:?}"),
    };
    Observation::Lease(Some(Record {
        resource_version: version.to_string(),
        spec,
    }))
}

/// An elector that leads since `sent`, and the clock.
fn leader() -> (Elector, Clock) {
    let clock = Clock(Instant::now());
    let mut elector = Elector::new(Settings::new("me"), 1);
    assert_eq!(elector.decide(clock.at(secs(0))), Action::Get);
    elector.observe(clock.at(secs(0)), Observation::Lease(None));
    let create = elector.decide(clock.at(secs(0)));
    elector.observe(clock.at(secs(0)), taken(&create, 1));
    assert!(elector.is_leader(clock.at(secs(0)).monotonic));
    (elector, clock)
}

/// A record as a watch shows it.
fn shown(observation: Observation) -> Option<Record> {
    match observation {
        Observation::Lease(record) => record,
        other => panic!("no record: {other:?}"),
    }
}

#[test]
fn a_lease_that_is_seen_to_be_released_is_claimed_at_once() {
    let clock = Clock(Instant::now());
    let mut elector = Elector::new(Settings::new("me"), 1);
    elector.decide(clock.at(secs(0)));
    elector.observe(clock.at(secs(0)), held_by("other", 7, 15));
    assert!(matches!(
        elector.decide(clock.at(secs(0))),
        Action::Wait(until) if until > clock.at(secs(1)).monotonic
    ));
    // A renewal is no invitation, nor is what the watch shows late.
    elector.see(clock.at(secs(1)), shown(held_by("other", 8, 15)));
    elector.see(clock.at(secs(1)), shown(held_by("", 6, 1)));
    assert!(matches!(elector.decide(clock.at(secs(1))), Action::Wait(_)));
    elector.see(clock.at(secs(1)), shown(held_by("", 9, 1)));
    assert_eq!(elector.decide(clock.at(secs(1))), Action::Get);
    elector.observe(clock.at(secs(1)), held_by("", 9, 1));
    assert!(matches!(
        elector.decide(clock.at(secs(1))),
        Action::Update(_)
    ));
}

#[test]
fn a_renewal_that_the_watch_shows_counts_from_then_on() {
    let clock = Clock(Instant::now());
    let mut elector = Elector::new(Settings::prompt("me"), 1);
    elector.decide(clock.at(secs(0)));
    elector.observe(clock.at(secs(0)), held_by("other", 7, 4));
    elector.decide(clock.at(secs(0)));
    elector.see(clock.at(secs(3)), shown(held_by("other", 8, 4)));
    for (second, free) in [(4, false), (6, false), (7, true)] {
        let now = clock.at(secs(second));
        let mut action = elector.decide(now);
        if action == Action::Get {
            elector.observe(now, held_by("other", 8, 4));
            action = elector.decide(now);
        }
        assert_eq!(matches!(action, Action::Update(_)), free, "{second} s");
    }
}

#[test]
fn a_leader_takes_no_word_from_the_watch() {
    let (mut elector, clock) = leader();
    elector.see(clock.at(secs(1)), shown(held_by("other", 9, 15)));
    assert!(elector.is_leader(clock.at(secs(1)).monotonic));
    assert!(matches!(
        elector.decide(clock.at(secs(2))),
        Action::Update(_)
    ));
}

#[test]
fn who_led_and_leads_again_leads_in_another_term() {
    let (mut elector, clock) = leader();
    let first = elector.term(clock.at(secs(0)).monotonic);
    assert_eq!(first, Some(1));
    let renewal = elector.decide(clock.at(secs(2)));
    elector.observe(clock.at(secs(2)), taken(&renewal, 2));
    assert_eq!(elector.term(clock.at(secs(11)).monotonic), first);
    assert_eq!(elector.term(clock.at(secs(12)).monotonic), None);
    // Frozen, nobody else came, and the Lease is still ours to renew.
    let renewal = elector.decide(clock.at(secs(30)));
    elector.observe(clock.at(secs(30)), taken(&renewal, 3));
    assert_eq!(elector.term(clock.at(secs(30)).monotonic), Some(2));
}

#[test]
fn a_missing_lease_is_created_with_no_transitions() {
    let clock = Clock(Instant::now());
    let mut elector = Elector::new(Settings::new("me"), 1);
    elector.decide(clock.at(secs(0)));
    elector.observe(clock.at(secs(0)), Observation::Lease(None));
    let Action::Create(spec) = elector.decide(clock.at(secs(0))) else {
        panic!("not created")
    };
    assert_eq!(spec.holder_identity.as_deref(), Some("me"));
    assert_eq!(spec.lease_duration_seconds, Some(15));
    assert_eq!(spec.lease_transitions, Some(0));
    assert_eq!(spec.acquire_time, spec.renew_time);
    assert!(
        !elector.is_leader(clock.at(secs(0)).monotonic),
        "not before the server said yes"
    );
}

#[test]
fn a_leader_renews_every_two_seconds_on_its_own_record() {
    let (mut elector, clock) = leader();
    assert_eq!(
        elector.decide(clock.at(secs(1))),
        Action::Wait(clock.at(secs(2)).monotonic)
    );
    let Action::Update(record) = elector.decide(clock.at(secs(2))) else {
        panic!("no renewal")
    };
    assert_eq!(record.resource_version, "1");
    assert_eq!(
        record.spec.lease_transitions,
        Some(0),
        "the holder has not changed"
    );
    assert_eq!(
        record.spec.acquire_time,
        Some(MicroTime(clock.at(secs(0)).wall))
    );
    assert_eq!(
        record.spec.renew_time,
        Some(MicroTime(clock.at(secs(2)).wall))
    );
}

#[test]
fn a_leader_that_cannot_renew_stops_ten_seconds_after_it_last_asked() {
    let (mut elector, clock) = leader();
    for second in [2, 4, 6, 8] {
        assert!(!matches!(
            elector.decide(clock.at(secs(second))),
            Action::Wait(_)
        ));
        elector.observe(clock.at(secs(second)), Observation::Failed);
    }
    assert!(elector.is_leader(clock.at(Duration::from_millis(9_999)).monotonic));
    assert!(!elector.is_leader(clock.at(secs(10)).monotonic));
}

#[test]
fn a_late_answer_counts_from_when_it_was_asked_for() {
    let (mut elector, clock) = leader();
    let renewal = elector.decide(clock.at(secs(2)));
    elector.observe(clock.at(secs(9)), taken(&renewal, 2));
    assert!(elector.is_leader(clock.at(Duration::from_millis(11_999)).monotonic));
    assert!(!elector.is_leader(clock.at(secs(12)).monotonic));
}

#[test]
fn an_update_whose_answer_was_lost_conflicts_with_itself_and_is_read_at_once() {
    let (mut elector, clock) = leader();
    elector.decide(clock.at(secs(2)));
    elector.observe(clock.at(secs(3)), Observation::Conflict);
    assert_eq!(elector.decide(clock.at(secs(3))), Action::Get);
    elector.observe(clock.at(secs(3)), held_by("me", 2, 15));
    assert!(matches!(
        elector.decide(clock.at(secs(3))),
        Action::Update(_)
    ));
}

#[test]
fn a_leader_that_reads_another_holder_stops_at_once() {
    let (mut elector, clock) = leader();
    elector.decide(clock.at(secs(2)));
    elector.observe(clock.at(secs(2)), Observation::Conflict);
    elector.decide(clock.at(secs(2)));
    elector.observe(clock.at(secs(2)), held_by("other", 9, 15));
    assert!(!elector.is_leader(clock.at(secs(2)).monotonic));
}

#[test]
fn anothers_lease_lasts_from_when_we_saw_it_change() {
    let clock = Clock(Instant::now());
    let mut elector = Elector::new(Settings::new("me"), 7);
    let mut now = secs(0);
    // The same record, whatever times stand in it, read again and again.
    let acquired = loop {
        match elector.decide(clock.at(now)) {
            Action::Wait(until) => now = until - clock.0,
            Action::Get => elector.observe(clock.at(now), held_by("other", 5, 15)),
            Action::Update(record) => break record,
            Action::Create(_) => panic!("it exists"),
        }
    };
    assert_eq!(now, secs(15));
    assert_eq!(acquired.spec.lease_transitions, Some(4));
    assert_eq!(acquired.resource_version, "5");
}

#[test]
fn a_released_lease_is_taken_at_the_next_try() {
    let clock = Clock(Instant::now());
    let mut elector = Elector::new(Settings::new("me"), 7);
    elector.decide(clock.at(secs(0)));
    elector.observe(clock.at(secs(0)), held_by("", 5, 1));
    assert!(matches!(
        elector.decide(clock.at(secs(0))),
        Action::Update(_)
    ));
}

#[test]
fn release_gives_the_lease_away_and_only_a_leader_does_it() {
    let (mut elector, clock) = leader();
    let Some(Action::Update(record)) = elector.release(clock.at(secs(1))) else {
        panic!("kept")
    };
    assert_eq!(record.spec.holder_identity.as_deref(), Some(""));
    assert_eq!(record.spec.lease_duration_seconds, Some(1));
    assert!(!elector.is_leader(clock.at(secs(1)).monotonic));
    assert_eq!(elector.release(clock.at(secs(1))), None);
    let mut other = Elector::new(Settings::new("other"), 2);
    assert_eq!(other.release(clock.at(secs(1))), None);
}
