//! Many years of two replicas and one Secret, everything interleaved: what the API server trusts
//! is at every moment what every replica serves.

use std::collections::HashMap;

use metallb_seeds::{Dice, for_each_seed};

use super::*;
use crate::held::Validity;

const NAME: &str = "metallb-webhook-service.metallb-system.svc";

#[test]
fn whoever_trusts_a_bundle_accepts_what_is_served_at_every_moment_of_twelve_years() {
    for_each_seed("cargo test -p metallb-certs twelve_years", 4, |seed| {
        World::new(seed).run(12);
    });
}

/// An object with its resourceVersion.
#[derive(Clone, Default)]
struct Versioned<T> {
    version: u64,
    is: T,
}

impl<T> Versioned<T> {
    /// A write that fails if there was another since.
    fn replace(&mut self, seen: u64, by: T) -> bool {
        let fits = self.version == seen;
        if fits {
            self.version += 1;
            self.is = by;
        }
        fits
    }
}

struct World {
    dice: Dice,
    now: Timestamp,
    secret: Versioned<Stored>,
    places: Vec<Versioned<Vec<u8>>>,
    replicas: Vec<Replica>,
    /// What each place held until when; an API server may not know better for a while.
    before: Vec<(Timestamp, Vec<u8>)>,
    /// When a client that trusts the first accepts the second.
    trust: HashMap<(Vec<u8>, Vec<u8>), Vec<Validity>>,
    /// Until when all is well if nothing changes.
    well_until: Timestamp,
    authorities: usize,
}

struct Replica {
    keeper: Keeper,
    serves: Option<Presented>,
    /// What it does next, and when.
    next: (Timestamp, Step),
    seen_places: Vec<Versioned<Vec<u8>>>,
    seen_secret: Versioned<Stored>,
    decision: Option<Decision>,
}

/// One look of a replica takes several requests; others come in between.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    SeePlaces,
    SeeSecret,
    Inject(usize),
    Write,
}

impl Replica {
    fn new(now: Timestamp) -> Self {
        Self {
            keeper: Keeper::new(NAME),
            serves: None,
            next: (now, Step::SeePlaces),
            seen_places: Vec::new(),
            seen_secret: Versioned::default(),
            decision: None,
        }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let places = vec![Versioned::default(); 1 + dice.below(3)];
        Self {
            dice,
            now,
            secret: Versioned::default(),
            places,
            replicas: vec![Replica::new(now), Replica::new(now)],
            before: Vec::new(),
            trust: HashMap::new(),
            well_until: now,
            authorities: 0,
        }
    }

    fn run(&mut self, years: i64) {
        let end = self.now + SignedDuration::from_hours(24 * 365 * years);
        while self.now < end {
            let due = |replica: &usize| self.replicas[*replica].next.0;
            let replica = (0..self.replicas.len()).min_by_key(due).unwrap();
            self.now = self.now.max(self.replicas[replica].next.0);
            self.step(replica);
            self.mishap();
            self.check();
        }
        assert!(
            self.authorities > 1,
            "the authority was not replaced by its age"
        );
    }

    fn step(&mut self, replica: usize) {
        let now = self.now;
        let it = &mut self.replicas[replica];
        let next = match it.next.1 {
            Step::SeePlaces => {
                it.seen_places.clone_from(&self.places);
                Some(Step::SeeSecret)
            }
            Step::SeeSecret => {
                it.seen_secret = self.secret.clone();
                let bundles: Vec<&[u8]> = it.seen_places.iter().map(|it| &*it.is).collect();
                let decision = it.keeper.decide(now, &it.seen_secret.is, &bundles);
                if it.serves != decision.serve {
                    it.serves.clone_from(&decision.serve);
                    self.well_until = now;
                }
                it.decision = Some(decision);
                Some(Step::Inject(0))
            }
            Step::Inject(nth) => {
                let decision = it.decision.as_ref().unwrap();
                match (decision.to_inject.get(nth), &decision.bundle) {
                    (Some(&place), Some(bundle)) => {
                        let seen = it.seen_places[place].version;
                        let bundle = bundle.clone();
                        self.put(place, seen, bundle);
                        Some(Step::Inject(nth + 1))
                    }
                    _ => Some(Step::Write),
                }
            }
            Step::Write => {
                let decision = it.decision.take().unwrap();
                if let Some(renewal) = &decision.renewal {
                    let made = renewal.make(now, NAME).unwrap();
                    if self.secret.replace(it.seen_secret.version, made) {
                        self.authorities +=
                            usize::from(matches!(renewal.0, Kind::Authority { .. }));
                    }
                }
                // Whatever it wrote, or somebody else, wakes it.
                let idle = decision.renewal.is_none() && decision.to_inject.is_empty();
                if idle {
                    it.next = (decision.again, Step::SeePlaces);
                    return;
                }
                None
            }
        };
        let pause = if self.dice.percent(1) {
            // Frozen in the middle of it.
            SignedDuration::from_hours(i64::try_from(self.dice.below(6)).unwrap())
        } else {
            SignedDuration::from_millis(i64::try_from(self.dice.below(400)).unwrap())
        };
        let it = &mut self.replicas[replica];
        it.next = (now + pause, next.unwrap_or(Step::SeePlaces));
    }

    /// What people and nodes do, every few months.
    fn mishap(&mut self) {
        if self.dice.below(1500) != 0 {
            return;
        }
        match self.dice.below(4) {
            // One at a time: what is served has to be remembered by somebody.
            0 => {
                let replica = self.dice.below(self.replicas.len());
                self.replicas[replica] = Replica::new(self.now);
            }
            1 => {
                let seen = self.secret.version;
                self.secret.replace(seen, Stored::default());
            }
            2 => {
                let place = self.dice.below(self.places.len());
                self.put(place, self.places[place].version, Vec::new());
            }
            _ => {
                // A place that comes later.
                self.places.push(Versioned::default());
                self.places.truncate(4);
            }
        }
        // They are told at once; one of them may be busy.
        for replica in &mut self.replicas {
            if replica.next.1 == Step::SeePlaces {
                replica.next.0 = self.now;
            }
        }
    }

    fn put(&mut self, place: usize, seen: u64, bundle: Vec<u8>) {
        let before = self.places[place].is.clone();
        if self.places[place].replace(seen, bundle) {
            self.before.push((self.now + LAG, before));
            self.well_until = self.now;
        }
    }

    fn check(&mut self) {
        let now = self.now;
        if now < self.well_until {
            return;
        }
        self.before.retain(|(until, _)| *until >= now);
        let before = self.before.iter().map(|(_, bundle)| bundle);
        let bundles = self.places.iter().map(|place| &place.is).chain(before);
        let served = self.replicas.iter().filter_map(|it| it.serves.as_ref());
        let mut well_until = now + SignedDuration::from_hours(24 * 365);
        for serves in served {
            // A place without a bundle refuses everything; it has one soon.
            for bundle in bundles.clone().filter(|bundle| !bundle.is_empty()) {
                let key = (bundle.clone(), serves.chain.clone());
                let trust = self.trust.entry(key);
                let periods = trust.or_insert_with(|| periods(bundle, serves));
                let now_valid = periods.iter().filter(|period| period.is_at(now));
                let until = now_valid.map(|period| period.until).max();
                well_until = well_until.min(until.unwrap_or_else(|| {
                    panic!("at {now} a client does not trust what is served: {periods:?}")
                }));
            }
        }
        self.well_until = well_until;
    }
}

/// When a client that trusts `bundle` accepts `serves`, by each authority.
fn periods(bundle: &[u8], presented: &Presented) -> Vec<Validity> {
    let stored = Stored {
        ca_crt: bundle.to_vec(),
        tls_crt: presented.chain.clone(),
        tls_key: presented.key.clone(),
        ..Stored::default()
    };
    let held = Held::read(&stored, NAME);
    let server = held.server.expect("certificate and key fit").valid;
    let vouching = held.authorities.iter().filter(|it| it.vouches);
    vouching.map(|it| it.valid.and(server)).collect()
}

/// How much later than another an API server may learn of a bundle.
const LAG: SignedDuration = SignedDuration::from_secs(30);
