//! Three electors, each with a clock of its own, against an API server that fails at random.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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
