//! The rules one by one, then three electors against an API server that fails at random.

use std::collections::BTreeMap;

use proptest::prelude::*;

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

// === Simulation ===

/// The API server: one Lease, optimistic concurrency.
#[derive(Default)]
struct Server {
    version: u32,
    lease: Option<Record>,
}

impl Server {
    fn perform(&mut self, action: &Action) -> Observation {
        match action {
            Action::Get => {}
            Action::Create(spec) if self.lease.is_none() => self.store(spec),
            Action::Update(record)
                if self
                    .lease
                    .as_ref()
                    .is_some_and(|held| held.resource_version == record.resource_version) =>
            {
                self.store(&record.spec);
            }
            _ => return Observation::Conflict,
        }
        Observation::Lease(self.lease.clone())
    }

    fn store(&mut self, spec: &LeaseSpec) {
        self.version += 1;
        let resource_version = self.version.to_string();
        self.lease = Some(Record {
            resource_version,
            spec: spec.clone(),
        });
    }
}

/// A candidate with a clock of its own rate, and its request under way.
struct Node {
    elector: Elector,
    /// Microseconds of its clock for each millisecond of true time.
    rate: u32,
    /// When the request reaches the server, when the answer comes back (true milliseconds), and
    /// whether the request and the answer get through.
    flight: Option<Flight>,
    wakes: u64,
    alive: bool,
}

struct Flight {
    action: Action,
    arrives: u64,
    returns: u64,
    reaches: bool,
    answered: bool,
    result: Option<Observation>,
}

impl Node {
    fn local(&self, ms: u64) -> Duration {
        Duration::from_micros(ms * u64::from(self.rate))
    }

    fn leads(&self, clock: Clock, ms: u64) -> bool {
        self.alive && self.elector.is_leader(clock.0 + self.local(ms))
    }
}

/// How bad the network is during a stretch of time.
#[derive(Clone, Debug)]
struct Weather {
    until: u64,
    delay: u64,
    lost: f64,
    /// The node that is cut off: 0 to 2, `LEADER` for whoever leads when it begins, else none.
    cut: usize,
}

/// See [`Weather::cut`].
const LEADER: usize = 4;

/// Runs three electors, and fails when two lead at once. Says when the leader changed to which one
/// (`usize::MAX` for none). At `kill_leader_at` whoever leads dies.
fn simulate(
    seed: u64,
    rates: [u32; 3],
    weather: &[Weather],
    kill_leader_at: Option<u64>,
) -> BTreeMap<u64, usize> {
    let clock = Clock(Instant::now());
    let mut dice = SplitMix(seed);
    let mut server = Server::default();
    let mut nodes: Vec<Node> = (0..3)
        .map(|i| Node {
            elector: Elector::new(Settings::new(format!("node-{i}")), seed ^ i),
            rate: rates[usize::try_from(i).unwrap()],
            flight: None,
            wakes: 0,
            alive: true,
        })
        .collect();
    let mut changes = BTreeMap::new();
    let mut before = None;
    let (mut began, mut cut) = (None, LEADER);
    let end = weather.last().map_or(60_000, |w| w.until);
    for ms in 0..end {
        let at = weather.iter().position(|w| ms < w.until).unwrap();
        let now = &weather[at];
        if began != Some(at) {
            began = Some(at);
            cut = if now.cut == LEADER {
                before.unwrap_or(LEADER)
            } else {
                now.cut
            };
        }
        let now = &Weather { cut, ..now.clone() };
        for (i, node) in nodes.iter_mut().enumerate().filter(|(_, node)| node.alive) {
            step(i, node, ms, clock, now, &mut dice, &mut server);
        }
        let leaders: Vec<usize> = (0..3).filter(|i| nodes[*i].leads(clock, ms)).collect();
        assert!(leaders.len() <= 1, "two leaders {leaders:?} at {ms} ms");
        if kill_leader_at.is_some_and(|at| ms >= at)
            && nodes.iter().all(|node| node.alive)
            && let Some(leader) = leaders.first()
        {
            nodes[*leader].alive = false;
        }
        if leaders.first().copied() != before {
            before = leaders.first().copied();
            changes.insert(ms, before.unwrap_or(usize::MAX));
        }
    }
    changes
}

fn step(
    i: usize,
    node: &mut Node,
    ms: u64,
    clock: Clock,
    weather: &Weather,
    dice: &mut SplitMix,
    server: &mut Server,
) {
    if let Some(flight) = &mut node.flight {
        if flight.arrives == ms && flight.reaches {
            flight.result = Some(server.perform(&flight.action));
        }
        if flight.returns > ms {
            return;
        }
        let flight = node.flight.take().unwrap();
        let seen = flight
            .result
            .filter(|_| flight.answered)
            .unwrap_or(Observation::Failed);
        node.elector.observe(clock.at(node.local(ms)), seen);
    } else if ms < node.wakes {
        return;
    }
    match node.elector.decide(clock.at(node.local(ms))) {
        Action::Wait(until) => {
            let local = u64::try_from((until - clock.0).as_micros()).unwrap();
            node.wakes = local.div_ceil(u64::from(node.rate));
        }
        action => {
            let delay = |dice: &mut SplitMix| 1 + weather.delay * u64::from(dice.unit() < 0.5);
            let cut = weather.cut == i;
            let arrives = ms + delay(dice);
            let mut returns = arrives + delay(dice);
            let reaches = !cut && dice.unit() >= weather.lost;
            let answered = reaches && dice.unit() >= weather.lost;
            if !answered {
                returns = ms + 4_000;
            }
            let result = None;
            node.flight = Some(Flight {
                action,
                arrives,
                returns,
                reaches,
                answered,
                result,
            });
        }
    }
}

fn any_weather() -> impl Strategy<Value = Vec<Weather>> {
    let stretch = (5_000_u64..40_000, 0_u64..3_000, 0.0..0.4_f64, 0_usize..8);
    prop::collection::vec(stretch, 2..8).prop_map(|stretches| {
        let mut until = 0;
        stretches
            .into_iter()
            .map(|(length, delay, lost, cut)| {
                until += length;
                // Half of the time it is the leader.
                Weather {
                    until,
                    delay,
                    lost,
                    cut: cut.min(LEADER),
                }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: metallb_seeds::cases(32), ..ProptestConfig::default() })]

    /// Clocks run up to 20 % apart from true time each way: 1.2 / 0.8 is just the 15 s / 10 s that
    /// the rules allow for.
    #[test]
    fn never_two_leaders(
        seed: u64,
        rates in [801_u32..1_200, 801_u32..1_200, 801_u32..1_200],
        weather in any_weather(),
    ) {
        simulate(seed, rates, &weather, None);
    }

    /// After a leader dies, another leads within its lease, one try and two requests.
    #[test]
    fn a_dead_leader_is_replaced_in_time(seed: u64, kill in 20_000_u64..30_000) {
        let fair = [Weather { until: 70_000, delay: 50, lost: 0.0, cut: 3 }];
        let changes = simulate(seed, [1_000; 3], &fair, Some(kill));
        let first = changes.iter().next().unwrap();
        prop_assert!(*first.0 < 500, "the first leader after {} ms", first.0);
        let (dead, _) = changes.iter().find(|(_, who)| **who == usize::MAX).unwrap();
        let (next, _) = changes.range(dead + 1..).next().unwrap();
        // 15 s from the last look before its death, at most 4.4 s until the next look.
        prop_assert!(next - dead <= 15_000 + 4_400 + 500, "replaced after {} ms", next - dead);
    }
}
