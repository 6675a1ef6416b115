//! What happens in one life: users at work, everything that can go wrong, and then a rest in which
//! nothing does.

use std::time::Instant;

use metallb_config::ObjectKey;
use metallb_seeds::Dice;

use super::history::Hand;
use super::knowledge::{Knowledge, Mind};
use super::promises::Promises;
use super::replica::{Clock, Fate, Millis, Replica};
use super::store::Store;
use super::users;
use crate::control::{Input, Outcome};
use crate::decide::{Addresses, Effect, Write};

/// One life.
pub(super) struct Life {
    dice: Dice,
    /// How bad it gets: what is late, is late by up to so many times a second.
    badness: u64,
    now: Millis,
    store: Store,
    replicas: [Replica; 2],
    minds: [Mind; 2],
    born: u32,
    /// Status writes on their way, and answers on their way back.
    requests: Vec<Request>,
    rests: Vec<Rest>,
    pub(super) promises: Promises,
    told: bool,
}

/// A status write between decision and answer.
struct Request {
    from: usize,
    epoch: u32,
    write: Write,
    knew: Knowledge,
    fate: Fate,
    /// When it counts as slow, if it has not been said yet.
    slow: Option<Millis>,
    /// What the API server did and says, when it has.
    answer: Option<Outcome>,
}

/// A write that failed, and when it is tried again.
struct Rest {
    from: usize,
    epoch: u32,
    key: ObjectKey,
    over: Millis,
}

impl Life {
    pub(super) fn new(seed: u64, told: bool) -> Self {
        let mut dice = Dice::new(seed);
        let mut store = Store::default();
        users::first_pools(&mut store);
        // Some lives are calm, so that both kinds of mistakes are seen: hasty and slow ones.
        let badness = dice.pick(&[1, 8]);
        let start = Instant::now();
        let replicas = [0, 1].map(|i| {
            let clock = clock(start, &mut dice);
            Replica::start(&format!("c{i}"), seed ^ i, clock, &store)
        });
        Self {
            dice,
            badness,
            now: 0,
            store,
            replicas,
            minds: [Mind::new(), Mind::new()],
            born: 2,
            requests: Vec::new(),
            rests: Vec::new(),
            promises: Promises::default(),
            told,
        }
    }

    /// Lives it; says which promise was broken, if one was.
    pub(super) fn live(&mut self) -> Result<(), String> {
        for _ in 0..300 {
            let step = match self.dice.below(100) {
                0..80 => between(&mut self.dice, 1, 100),
                80..97 => between(&mut self.dice, 100, 600),
                _ => between(&mut self.dice, 600, 4000),
            };
            self.now += step;
            if self.dice.percent(35) {
                let done = users::act(&mut self.dice, self.now, &mut self.store);
                self.tell(&done);
            }
            if self.dice.percent(6) {
                self.misfortune();
            }
            self.turn(false)?;
        }
        self.tell("the rest begins");
        users::repair(&mut self.store);
        for replica in &mut self.replicas {
            replica.frozen_until = 0;
            replica.services.silent_until = 0;
            replica.pools.silent_until = 0;
        }
        // Longer than anything that is under way can take.
        for turn in 0..100 {
            self.now += 400;
            self.turn(true)?;
            if turn >= 80 && !self.requests.is_empty() {
                return Err("there is always something to write".to_owned());
            }
        }
        let leader = self.replicas.iter().position(|it| it.control.is_leading());
        let leader = leader.ok_or("nobody leads")?;
        self.promises.at_rest(self.minds[leader].pools())
    }

    /// A step of the API server and of both controllers.
    fn turn(&mut self, rest: bool) -> Result<(), String> {
        self.promises.observe(&self.store, Hand::User);
        self.promises.announced_once()?;
        self.requests_arrive(rest)?;
        for at in 0..2 {
            let fate = self.fate(rest);
            let leads_before = self.replicas[at].term(self.now).is_some();
            if self.now < self.replicas[at].frozen_until {
                continue;
            }
            let replica = &mut self.replicas[at];
            replica.elect(self.now, &mut self.store, fate);
            if rest || self.dice.percent(50) {
                replica.see_lease(self.now, &self.store);
            }
            let count = if rest { 50 } else { self.dice.below(6) };
            replica.listen(self.now, count, &self.store);
            self.answers_arrive(at);
            let effects = self.replicas[at].decide(self.now, &self.store);
            self.minds[at].follow(self.now, &mut self.replicas[at], &self.store);
            if leads_before != self.replicas[at].term(self.now).is_some() {
                self.tell(&format!("controller {at} leads: {}", !leads_before));
            }
            self.perform(at, effects, rest);
        }
        let leaders = [0, 1].map(|at| self.replicas[at].term(self.now).is_some());
        if leaders == [true, true] {
            return Err("two controllers lead".to_owned());
        }
        Ok(())
    }

    fn perform(&mut self, from: usize, effects: Vec<Effect>, rest: bool) {
        for effect in effects {
            match effect {
                Effect::Write(write) => {
                    let fate = self.fate(rest);
                    let knew = self.minds[from].decide(&write, self.promises.decided_on(&write));
                    let ips = match &write.addresses {
                        Addresses::Set(assignment) => assignment.ips.to_string(),
                        other => format!("{other:?}"),
                    };
                    self.tell(&format!(
                        "controller {from} decides {} at {}: {ips}",
                        write.key, write.resource_version
                    ));
                    for note in &write.notes {
                        self.tell(&format!("  {}: {}", note.reason, note.message));
                    }
                    self.requests.push(Request {
                        from,
                        epoch: self.replicas[from].epoch,
                        write,
                        knew,
                        slow: Some(self.now + 1_000),
                        fate,
                        answer: None,
                    });
                }
                Effect::Abandon => self.replicas[from].epoch += 1,
                Effect::Event(..) | Effect::Log(_) => {}
            }
        }
    }

    /// The API server does what has reached it.
    fn requests_arrive(&mut self, rest: bool) -> Result<(), String> {
        for at in 0..self.requests.len() {
            let request = &self.requests[at];
            if request.answer.is_some() || self.now < request.fate.reaches {
                continue;
            }
            let (key, from) = (request.write.key.clone(), request.from);
            let answer = if !rest && self.dice.percent(4) {
                self.tell(&format!("refused {key} for controller {from}"));
                Outcome::Delayed
            } else if self.store.unchanged(&request.write).is_some() {
                let replica = &self.replicas[from];
                let leads = request.epoch == replica.epoch && replica.term(self.now).is_some();
                let by = if leads { Hand::Leader } else { Hand::Deposed };
                self.promises
                    .before_write(&request.write, &request.knew, by)?;
                self.store.write_status(&request.write);
                self.promises.observe(&self.store, by);
                self.tell(&format!("stored {key} for controller {from}: {by:?}"));
                Outcome::Written(Box::new(self.store.services[&key].clone()))
            } else {
                self.tell(&format!("stale {key} for controller {from}"));
                match self.store.services.get(&key) {
                    Some(service) => Outcome::Stale(Some(Box::new(service.clone()))),
                    None => Outcome::Gone(request.write.uid.clone()),
                }
            };
            self.requests[at].answer = Some(answer);
        }
        Ok(())
    }

    /// A controller hears what became of its writes, if it is still the one that asked.
    fn answers_arrive(&mut self, at: usize) {
        let now = self.now;
        let (epoch, replica) = (self.replicas[at].epoch, &mut self.replicas[at]);
        for request in &mut self.requests {
            let slow = request.slow.is_some_and(|slow| slow <= now);
            if slow && (request.from, request.epoch) == (at, epoch) {
                request.slow = None;
                let key = request.write.key.clone();
                let outcome = Outcome::Delayed;
                replica.hear(now, Input::Written { key, outcome });
            }
        }
        let is_heard = |request: &mut Request| {
            request.from == at && request.answer.is_some() && now >= request.fate.answered
        };
        for request in self.requests.extract_if(.., is_heard).collect::<Vec<_>>() {
            if request.epoch != epoch {
                continue;
            }
            let key = request.write.key;
            let lost = request.fate.fails;
            let outcome = request.answer.filter(|_| !lost).unwrap_or(Outcome::Delayed);
            if matches!(outcome, Outcome::Delayed) {
                let over = now + between(&mut self.dice, 200, 3_000);
                let key = key.clone();
                self.rests.push(Rest {
                    from: at,
                    epoch,
                    key,
                    over,
                });
            }
            self.replicas[at].hear(now, Input::Written { key, outcome });
        }
        let is_over = |rest: &mut Rest| rest.from == at && rest.over <= now;
        for rest in self.rests.extract_if(.., is_over).collect::<Vec<_>>() {
            if rest.epoch == epoch {
                let (key, outcome) = (rest.key, Outcome::Retry);
                self.replicas[at].hear(now, Input::Written { key, outcome });
            }
        }
    }

    /// How late the API server is this time.
    fn fate(&mut self, rest: bool) -> Fate {
        if rest {
            return Fate {
                reaches: self.now,
                answered: self.now,
                fails: false,
            };
        }
        let badness = self.badness;
        let late = |dice: &mut Dice| match dice.below(1000) {
            0..900 => between(dice, 0, 60),
            900..985 => between(dice, 60, 200 * badness),
            _ => between(dice, 200 * badness, 2_000 * badness),
        };
        let reaches = self.now + late(&mut self.dice);
        Fate {
            reaches,
            answered: reaches + late(&mut self.dice),
            fails: self.dice.percent(6),
        }
    }

    fn misfortune(&mut self) {
        let at = self.dice.below(2);
        let kind = self.dice.below(6);
        let length = between(&mut self.dice, 100, 1_000 * self.badness);
        match kind {
            0 | 1 => {
                self.tell(&format!("controller {at} freezes for {length} ms"));
                self.replicas[at].frozen_until = self.now + length;
            }
            2 => {
                self.tell(&format!("controller {at} dies"));
                // Some of what it had decided it has not sent yet.
                let (now, dice) = (self.now, &mut self.dice);
                self.requests.retain(|request| {
                    request.from != at || request.fate.reaches < now || dice.percent(50)
                });
                let start = Instant::now();
                let clock = clock(start, &mut self.dice);
                let epoch = self.replicas[at].epoch + 1;
                let name = format!("c{}", self.born);
                self.born += 1;
                let seed = self.dice.roll();
                self.replicas[at] = Replica::start(&name, seed, clock, &self.store);
                self.replicas[at].epoch = epoch;
                self.minds[at] = Mind::new();
                self.replicas[at].frozen_until = self.now + length / 4;
            }
            3 => {
                self.tell(&format!("the watches of controller {at} break"));
                self.replicas[at].services.relist(&self.store.service_log);
            }
            4 => self.replicas[at].pools.relist(&self.store.pool_log),
            _ => {
                self.tell(&format!("the watches of controller {at} fall silent"));
                self.replicas[at].services.silent_until = self.now + length;
                self.replicas[at].pools.silent_until = self.now + length / 2;
            }
        }
    }

    fn tell(&self, what: &str) {
        if self.told {
            println!("{:>7} {what}", self.now);
        }
    }
}

/// At most 3 % off, as no quartz is: the elector bears with a third.
fn clock(start: Instant, dice: &mut Dice) -> Clock {
    Clock {
        start,
        drift: between(dice, 0, 60).cast_signed() - 30,
        wall: between(dice, 0, 86_400_000).cast_signed(),
    }
}

/// A number from `from` up to but without `to`.
fn between(dice: &mut Dice, from: u64, to: u64) -> u64 {
    from + dice.roll() % (to - from)
}
