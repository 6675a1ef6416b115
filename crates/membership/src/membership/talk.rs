//! What comes in, and what is answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Membership, Settle, milliseconds};
use crate::Dropped;
use crate::message::{self, Body, Message};
use crate::record::{Record, Status};
use crate::roster::{Learned, Speaker};

impl Membership {
    pub(super) fn datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Dropped> {
        let roster = &self.roster;
        let is_known = |name: &str| roster.get(name).is_some_and(Speaker::is_listed);
        let opened = self.door.open(bytes, is_known);
        if let Err(Dropped::Forged | Dropped::Unsealed) = opened {
            self.wait_for(now, from);
        }
        let opened = opened?;
        let sender = self.sender(from, opened.sealed, &opened.body)?;
        let body = opened.body;
        self.count(now, &sender, (body.incarnation, opened.sequence))?;
        let is_over = self.hear(now, &sender, &body);
        self.answer(now, &sender, body.message, is_over);
        Ok(())
    }

    /// A datagram that we cannot open, from where a speaker is: it is there, with another key. We
    /// would not start to announce beside it.
    fn wait_for(&mut self, now: Instant, from: SocketAddr) {
        let is_from = |(_, it): (_, &Speaker)| it.address.is_some_and(|at| at.ip() == from.ip());
        if let Settle::Until(at) = &mut self.settle
            && self.roster.others().any(is_from)
        {
            *at = now + self.settings.dead_after;
        }
    }

    /// Who says this. An open heartbeat is anybody's, so its address has to fit at least. A sealed
    /// one may come from another address of the node.
    fn sender(&self, from: SocketAddr, sealed: bool, body: &Body) -> Result<Arc<str>, Dropped> {
        let fits = |it: &Speaker| {
            let address = it.address.filter(|_| it.is_listed());
            address.is_some_and(|address| sealed || address.ip() == from.ip())
        };
        let sender = self.roster.get(&body.name).filter(|it| fits(it));
        sender.ok_or(Dropped::Foreign)?;
        Ok(body.name.as_str().into())
    }

    /// Each datagram counts once, and none of an incarnation before the last one known.
    fn count(
        &mut self,
        now: Instant,
        sender: &Arc<str>,
        number: (u64, u64),
    ) -> Result<(), Dropped> {
        let Some(speaker) = self.roster.get_mut(sender) else {
            return Err(Dropped::Foreign);
        };
        let known = speaker.record.as_ref().map(|record| record.incarnation);
        let incarnation = known.max(speaker.last.map(|last| last.0));
        if speaker.last.is_some_and(|last| number <= last) || incarnation > Some(number.0) {
            if incarnation > Some(number.0) {
                self.correct(now, sender);
            }
            return Err(Dropped::Replayed);
        }
        speaker.last = Some(number);
        Ok(())
    }

    /// The sender runs. True if it is thought not to, for reasons that it can refute.
    fn hear(&mut self, now: Instant, sender: &Arc<str>, body: &Body) -> bool {
        let Some(speaker) = self.roster.get_mut(sender) else {
            return false;
        };
        let own_age = (body.incarnation, false, body.version);
        let (age, status) = (speaker.age(), speaker.status());
        let is_over =
            status.is_some_and(Status::is_over) && age.is_some_and(|age| age.0 >= body.incarnation);
        if is_over {
            if status == Some(Status::Dead) {
                self.correct(now, sender);
            }
            return true;
        }
        speaker.heard = Some(now);
        if let Some(watch) = self.watches.get_mut(sender) {
            watch.heard(now);
        }
        let tells = matches!(&body.message, Message::Records(records)
            if records.iter().any(|(name, _)| **name == **sender));
        if age < Some(own_age) && !tells {
            self.send(std::slice::from_ref(sender), Message::Fetch);
        }
        false
    }

    fn answer(&mut self, now: Instant, sender: &Arc<str>, message: Message, is_over: bool) {
        let to = std::slice::from_ref(sender);
        match message {
            Message::Heartbeat(mark) => self.compare(sender, mark),
            Message::Ask(mark) => {
                let own = self.roster.own_name().clone();
                let answer = if self.is_leaving() {
                    self.record_of(&own)
                } else {
                    Some(Message::Heartbeat(self.roster.mark()))
                };
                if let Some(answer) = answer {
                    self.send(to, answer);
                }
                self.compare(sender, mark);
            }
            Message::Fetch => {
                let own = self.roster.own_name().clone();
                if let Some(own) = self.record_of(&own) {
                    self.send(to, own);
                }
            }
            Message::Records(records) => {
                let own = self.roster.own_name().clone();
                for (name, record) in records {
                    // Who was cut off from all thinks that all are dead.
                    if !is_over || *name == **sender || *name == *own {
                        self.learn(now, &name.into(), record, sender);
                    }
                }
            }
            Message::Doubt { name, incarnation } => {
                if let Some(answer) = self.word_on(now, &name, incarnation) {
                    self.send(to, answer);
                }
            }
            Message::Seen {
                name,
                incarnation,
                ago,
            } => {
                let same = self.incarnation_of(&name) == Some(incarnation);
                if let Some(watch) = self.watches.get_mut(&*name).filter(|_| same) {
                    let at = now.checked_sub(Duration::from_millis(ago.into()));
                    watch.told(now, at, &self.settings);
                }
            }
            Message::Compare { parts, answer } if !is_over => {
                self.tell_differing(to, &parts);
                if answer {
                    let parts = self.roster.parts().to_vec();
                    self.send(
                        to,
                        Message::Compare {
                            parts,
                            answer: false,
                        },
                    );
                }
            }
            Message::Compare { .. } => {}
        }
    }

    /// A speaker that twice in a row knows something else than we has missed something, or we have.
    fn compare(&mut self, sender: &Arc<str>, mark: u64) {
        let ours = self.roster.mark();
        let Some(speaker) = self.roster.get_mut(sender) else {
            return;
        };
        if mark == ours {
            speaker.differs = 0;
            return;
        }
        speaker.differs += 1;
        // Something that is on its way right now is no reason; one that starts has missed all.
        if speaker.differs >= 2 || self.settle != Settle::Settled {
            speaker.differs = 0;
            let parts = self.roster.parts().to_vec();
            let compare = Message::Compare {
                parts,
                answer: true,
            };
            self.send(std::slice::from_ref(sender), compare);
        }
    }

    /// Tells what we know of those of whom the other knows something else, as far as fits a few
    /// datagrams; the rest is found when it differs the next time.
    fn tell_differing(&mut self, to: &[Arc<str>], parts: &[u64]) {
        let (mut datagrams, mut records, mut size) = (Vec::new(), Vec::new(), 0);
        for (name, record) in self.roster.differing(parts) {
            let more = message::size(name, record);
            if size + more > ROOM {
                datagrams.push(std::mem::take(&mut records));
                size = 0;
                if datagrams.len() >= ANSWERS {
                    break;
                }
            }
            size += more;
            records.push((name.to_string(), record.clone()));
        }
        datagrams.push(records);
        for records in datagrams.into_iter().filter(|it| !it.is_empty()) {
            self.send(to, Message::Records(records));
        }
    }

    /// When we last heard a speaker that we watch, too; or that it is known to be gone.
    fn word_on(&self, now: Instant, name: &str, incarnation: u64) -> Option<Message> {
        let known = self.roster.get(name)?.record.as_ref()?;
        if known.incarnation > incarnation || known.status.is_over() {
            return self.record_of(name);
        }
        let watch = self.watches.get(name)?;
        let ago = milliseconds(watch.own_silence(now));
        Some(Message::Seen {
            name: name.to_string(),
            incarnation,
            ago,
        })
    }

    fn learn(&mut self, now: Instant, name: &Arc<str>, record: Record, sender: &Arc<str>) {
        if name == self.roster.own_name() {
            return self.defend(now, &record);
        }
        let Some(speaker) = self.roster.get(name).filter(|it| it.is_listed()) else {
            return;
        };
        let is_news = speaker.age() < Some(record.age());
        if is_news && record.status == Status::Dead && speaker.runs() {
            return self.obituary(now, name, record, sender);
        }
        if self.roster.learn(name, record) == Learned::News {
            self.rumours.drop(name);
            if let Settle::Until(at) = &mut self.settle {
                // There is somebody, so there may be more.
                *at = now + self.settings.dead_after;
            }
        }
    }

    /// Another says that a speaker is dead which runs as far as we know.
    fn obituary(&mut self, now: Instant, name: &Arc<str>, record: Record, sender: &Arc<str>) {
        if let Some(watch) = self.watches.get(name) {
            if watch.silence(now) >= self.settings.suspect_after {
                self.roster.learn(name, record);
                self.rumours.drop(name);
            } else if let Some(word) = self.word_on(now, name, record.incarnation) {
                // We hear it.
                self.send(std::slice::from_ref(sender), word);
            }
            return;
        }
        if self.rumours.hear(now, name, record, &self.settings) {
            self.ask_the_dead(name);
        }
    }

    pub(super) fn believe_rumours(&mut self, now: Instant) {
        for name in self.rumours.take_to_ask(now) {
            self.ask_the_dead(&name);
        }
        for (name, record) in self.rumours.take_true(now) {
            self.roster.learn(&name, record);
        }
    }

    /// Tells a speaker that it is said to be dead: if it is not, it says so to everybody.
    fn ask_the_dead(&mut self, name: &Arc<str>) {
        if let Some(record) = self.rumours.record(name).cloned() {
            let records = Message::Records(vec![(name.to_string(), record)]);
            self.send(std::slice::from_ref(name), records);
        }
    }

    /// Somebody knows of us what we do not. That we are dead is wrong; and what is newer than we
    /// is of an earlier start, when the clock was ahead.
    fn defend(&mut self, now: Instant, record: &Record) {
        let own = self.roster.own();
        if record.age() <= own.age() || self.is_leaving() {
            return;
        }
        let incarnation = record.incarnation.saturating_add(1);
        self.roster.change_own(|own| own.incarnation = incarnation);
        self.tell_of_own(now);
    }

    /// Tells a speaker what is thought of it, that it knows better; not more often than it speaks.
    fn correct(&mut self, now: Instant, name: &Arc<str>) {
        let pause = self.settings.heartbeat;
        let Some(speaker) = self.roster.get_mut(name) else {
            return;
        };
        if speaker.corrected.is_some_and(|at| now < at + pause) {
            return;
        }
        speaker.corrected = Some(now);
        let (known, last) = (speaker.record.clone(), speaker.last);
        // Of one that was heard and told nothing of itself yet, the incarnation alone is known.
        let record = known.or_else(|| Some(Record::dead(last?.0)));
        if let Some(record) = record {
            let records = Message::Records(vec![(name.to_string(), record)]);
            self.send(std::slice::from_ref(name), records);
        }
    }
}

/// How many bytes of records go into a datagram, so that it is not cut into pieces on any path.
const ROOM: usize = 900;
/// How many datagrams answer one question.
const ANSWERS: usize = 16;
