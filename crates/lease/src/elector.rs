//! The state machine of one candidate.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// Who we are and how patient we are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Written into the Lease; must differ between any two processes, restarts included.
    pub identity: String,
    /// How long others wait after the last renewal they saw.
    pub lease_duration: Duration,
    /// How long a leader that cannot renew still leads. Less than `lease_duration`.
    pub renew_deadline: Duration,
    /// Pause between renewals, and (with jitter) between tries to acquire.
    pub retry_period: Duration,
}

impl Settings {
    /// client-go's defaults: 15 s, 10 s, 2 s.
    pub fn new(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }

    /// For work that users wait for: 4 s, 3 s, 1 s. A dead leader is replaced within 5 s, at the
    /// price of a write a second; three renewals in a row must fail before a live one steps down.
    pub fn prompt(identity: impl Into<String>) -> Self {
        Self {
            lease_duration: Duration::from_secs(4),
            renew_deadline: Duration::from_secs(3),
            retry_period: Duration::from_secs(1),
            ..Self::new(identity)
        }
    }
}

/// The present, twice: for measuring, and for writing down.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Every decision is made on this clock.
    pub monotonic: Instant,
    /// Only written into the Lease, for people to read.
    pub wall: Timestamp,
}

/// The Lease as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// `metadata.resourceVersion`, to be sent back with an update.
    pub resource_version: String,
    /// The Lease's `spec`.
    pub spec: LeaseSpec,
}

/// What the shell is to do next. After any but `Wait` it must call [`Elector::observe`] with the
/// result before it asks again.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Nothing before this moment.
    Wait(Instant),
    /// Read the Lease.
    Get,
    /// Create the Lease with this spec.
    Create(LeaseSpec),
    /// Replace the Lease's spec, on condition of the record's resourceVersion.
    Update(Record),
}

/// How the last action went.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// The Lease as read, or as the server returned it after our write; `None`: there is none.
    Lease(Option<Record>),
    /// Somebody else wrote first (409).
    Conflict,
    /// No answer, or one that says nothing about the Lease. The write may or may not have happened.
    Failed,
}

/// One candidate for leadership.
#[derive(Debug)]
pub struct Elector {
    settings: Settings,
    jitter: SplitMix,
    observed: Option<Observed>,
    pending: Option<Pending>,
    /// Whether `observed` is as fresh as we can have it, so that we may write on its strength.
    fresh: bool,
    next_try: Option<Instant>,
    leads_until: Option<Instant>,
    /// How often we came to lead.
    terms: u64,
}

/// A record and when, on our own clock, we first saw it.
#[derive(Debug)]
struct Observed {
    record: Option<Record>,
    since: Instant,
}

#[derive(Debug)]
enum Pending {
    Get,
    Write { sent: Instant },
    Release,
}

impl Elector {
    /// A candidate that has seen nothing yet. `seed` spreads the tries of several candidates.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            jitter: SplitMix(seed),
            observed: None,
            pending: None,
            fresh: false,
            next_try: None,
            leads_until: None,
            terms: 0,
        }
    }

    /// In which term of ours we may act as the leader at this moment, if we may: two moments of one
    /// number have none between them at which another could lead.
    pub fn term(&self, now: Instant) -> Option<u64> {
        self.is_leader(now).then_some(self.terms)
    }

    /// Whether we may act as the leader at this moment.
    pub fn is_leader(&self, now: Instant) -> bool {
        self.leads_until.is_some_and(|until| now < until)
    }

    /// When leadership ends if no renewal succeeds before.
    pub fn leads_until(&self) -> Option<Instant> {
        self.leads_until
    }

    /// Who holds the Lease as far as we know; `None` when nobody does.
    pub fn holder(&self) -> Option<&str> {
        let record = self.observed.as_ref()?.record.as_ref()?;
        record
            .spec
            .holder_identity
            .as_deref()
            .filter(|holder| !holder.is_empty())
    }

    /// What to do now.
    pub fn decide(&mut self, now: Now) -> Action {
        if self.leads_until.is_some_and(|until| now.monotonic >= until) {
            self.leads_until = None;
        }
        if self.pending.is_some() {
            // The shell asked again without an answer; treat the request as lost.
            self.observe(now, Observation::Failed);
        }
        if let Some(at) = self.next_try.filter(|at| now.monotonic < *at) {
            return Action::Wait(self.leads_until.map_or(at, |until| until.min(at)));
        }
        if !self.fresh {
            self.pending = Some(Pending::Get);
            return Action::Get;
        }
        if let Some(expires) = self.held_by_another_until(now.monotonic) {
            // Look again at the usual pace, not only when it ends: it may be released before.
            let at = self.retry_at(now.monotonic).min(expires);
            self.next_try = Some(at);
            self.fresh = false;
            return Action::Wait(at);
        }
        self.pending = Some(Pending::Write {
            sent: now.monotonic,
        });
        self.fresh = false;
        let spec = self.claim(now);
        match self.observed.as_ref().and_then(|seen| seen.record.as_ref()) {
            None => Action::Create(spec),
            Some(record) => Action::Update(Record {
                resource_version: record.resource_version.clone(),
                spec,
            }),
        }
    }

    /// Takes in the result of the last action.
    pub fn observe(&mut self, now: Now, observation: Observation) {
        let pending = self.pending.take();
        match observation {
            Observation::Lease(record) => {
                self.remember(now.monotonic, record);
                if !self.holder_is_me() {
                    self.leads_until = None;
                }
                match pending {
                    Some(Pending::Write { sent }) if self.holder_is_me() => {
                        if !self.is_leader(now.monotonic) {
                            self.terms += 1;
                        }
                        // From the sending, not from the answer: the others may have seen the
                        // record at any moment between the two.
                        self.leads_until = Some(sent + self.settings.renew_deadline);
                        self.next_try = Some(sent + self.settings.retry_period);
                        // A leader renews on its own last record, without reading first.
                        self.fresh = true;
                    }
                    Some(Pending::Get) => {
                        self.fresh = true;
                        self.next_try = None;
                    }
                    _ => self.next_try = Some(self.retry_at(now.monotonic)),
                }
            }
            Observation::Conflict => {
                self.fresh = false;
                // A leader reads at once: an update whose answer was lost conflicts with itself.
                self.next_try = if self.leads_until.is_some() {
                    None
                } else {
                    Some(self.retry_at(now.monotonic))
                };
            }
            Observation::Failed => {
                self.fresh = false;
                self.next_try = Some(self.retry_at(now.monotonic));
            }
        }
    }

    /// Takes in the Lease as a watch shows it, beside what is asked for: a renewal is seen when it
    /// happens, and a Lease that nobody holds any more is claimed at once. Only who does not lead
    /// needs it; client-go, which has no watch, learns the same at its next try.
    pub fn see(&mut self, now: Now, record: Option<Record>) {
        if self.pending.is_some() || self.leads_until.is_some() {
            return;
        }
        if !self.is_older(record.as_ref()) {
            self.remember(now.monotonic, record);
        }
        if self.holder().is_none() {
            // What the watch shows may be old by now: read before writing.
            self.fresh = false;
            self.next_try = None;
        }
    }

    /// Stops leading and, if we held the Lease, says how to give it away: no holder and a duration
    /// of one second, as client-go does, so that the next takes it at its next try.
    pub fn release(&mut self, now: Now) -> Option<Action> {
        let led = self.leads_until.take().is_some();
        if !led || !self.holder_is_me() {
            return None;
        }
        let record = self.observed.as_ref()?.record.as_ref()?;
        let time = MicroTime(now.wall);
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            acquire_time: Some(time.clone()),
            renew_time: Some(time),
            ..record.spec.clone()
        };
        let resource_version = record.resource_version.clone();
        self.pending = Some(Pending::Release);
        self.fresh = false;
        Some(Action::Update(Record {
            resource_version,
            spec,
        }))
    }

    fn remember(&mut self, now: Instant, record: Option<Record>) {
        // Only a *change* of the record is a sign of life.
        let unchanged = self
            .observed
            .as_ref()
            .is_some_and(|seen| seen.record == record);
        if !unchanged {
            self.observed = Some(Observed { record, since: now });
        }
    }

    /// Whether a record is of before the one that we know. One that cannot be compared is not.
    fn is_older(&self, record: Option<&Record>) -> bool {
        let known = self.observed.as_ref().and_then(|seen| seen.record.as_ref());
        let version = |record: Option<&Record>| record?.resource_version.parse::<u64>().ok();
        matches!((version(record), version(known)), (Some(new), Some(known)) if new < known)
    }

    fn holder_is_me(&self) -> bool {
        self.holder() == Some(self.settings.identity.as_str())
    }

    /// When the claim of somebody else, if there is one that still counts, runs out.
    fn held_by_another_until(&self, now: Instant) -> Option<Instant> {
        self.holder()
            .filter(|holder| *holder != self.settings.identity)?;
        let seen = self.observed.as_ref()?;
        let seconds = seen
            .record
            .as_ref()?
            .spec
            .lease_duration_seconds
            .unwrap_or(0);
        let expires = seen.since + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        (now < expires).then_some(expires)
    }

    /// The spec that claims or renews the Lease for us.
    fn claim(&self, now: Now) -> LeaseSpec {
        let time = MicroTime(now.wall);
        let before = self
            .observed
            .as_ref()
            .and_then(|seen| seen.record.as_ref())
            .map_or_else(LeaseSpec::default, |record| record.spec.clone());
        let transitions = before.lease_transitions.unwrap_or(0);
        let seconds = self.settings.lease_duration.as_secs();
        let mut spec = LeaseSpec {
            holder_identity: Some(self.settings.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
            renew_time: Some(time.clone()),
            ..before
        };
        if !self.holder_is_me() {
            spec.acquire_time = Some(time);
            // client-go counts changes of the holder; the creation is none.
            let created = self
                .observed
                .as_ref()
                .is_none_or(|seen| seen.record.is_none());
            spec.lease_transitions = Some(if created {
                0
            } else {
                transitions.saturating_add(1)
            });
        }
        spec
    }

    /// The next try: the plain period for a leader, up to 2.2 times it for the others, as client-go.
    fn retry_at(&mut self, now: Instant) -> Instant {
        let period = self.settings.retry_period;
        if self.leads_until.is_some() {
            return now + period;
        }
        now + period.mul_f64(1.0 + JITTER * self.jitter.unit())
    }
}

/// A small generator; spreading retries needs no better.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    /// The next number from 0 up to 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let top = u32::try_from((z ^ (z >> 31)) >> 32).expect("32 bits are left");
        f64::from(top) / (f64::from(u32::MAX) + 1.0)
    }
}

/// client-go's `JitterFactor`.
const JITTER: f64 = 1.2;

#[cfg(test)]
mod tests;
