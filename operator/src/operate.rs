//! The leader's work: news come in, are decided upon, and what was decided is done.
//!
//! ```text
//!  API server ──watches::news──► Index ──decide──► Plan ──Applier──► API server
//!                                  ▲                        │
//!                                  └──── what came of it ───┘
//! ```
//! One task does all of this, so nothing is locked and no two writes cross.

mod frr;

use std::fmt::Display;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Client;
use metallb_admission::OPERATOR_CONFIGURATION;
use metallb_kit::client::Refusals;
use metallb_kit::leader::{Candidacy, Leadership};
use metallb_kit::ready::Condition;
use metallb_kit::shutdown::CancellationToken;
use metallb_kit::sleep;
use metallb_kit::words::in_words;
use rand::random;

use crate::apply::{Applier, Deleted};
use crate::conditions::older;
use crate::counters::Counters;
use crate::decide::{Action, Outlook, Pace, decide, is_held, own_key, speakers_write, valid_spec};
use crate::index::Index;
use crate::object::{Key, Kind, Object};
use crate::olm::{Upgradeable, upgradeable};
use crate::report::{Report, reports};
use crate::rights::Due;
use crate::settings::Settings;
use crate::watches::{self, Feed};

/// One replica at work.
pub(crate) struct Operator {
    pub(crate) settings: Settings,
    pub(crate) index: Index,
    pub(crate) applier: Applier,
    pub(crate) refusals: Refusals,
    pub(crate) leadership: Leadership,
    pub(crate) candidacy: Candidacy,
    pub(crate) counters: Counters,
    pub(crate) synced: Condition,
    /// Hurried when the namespace goes, and the operator with it.
    pub(crate) pace: Pace,
    /// What OLM was told last.
    pub(crate) told_olm: Option<Upgradeable>,
}

impl Operator {
    /// Until `shutdown`, and a little longer: see [`Self::farewell`].
    pub(crate) async fn run(mut self, client: &Client, shutdown: &CancellationToken) {
        let mut news = watches::news(client, &self.settings.namespace);
        let turning = async {
            let mut wake_at = None;
            loop {
                wake_at = self.step(&mut news, wake_at).await;
            }
        };
        // What is cut off here is found by the next leader's watches.
        let _: Option<std::convert::Infallible> = shutdown.run_until_cancelled(turning).await;
        self.farewell(&mut news).await;
    }

    /// A namespace that is deleted takes the operator before the `MetalLB` object, and would then
    /// wait for our finalizer for ever. So the leader lets the object go before it goes itself. And
    /// when there will be no operator, nobody should be sent to one.
    async fn farewell(&mut self, news: &mut Feed) {
        if self.leadership.borrow().is_none() {
            return;
        }
        let namespace_goes = self.applier.namespace_is_going().await;
        if namespace_goes || self.applier.operator_is_going().await {
            self.unregister().await;
        }
        if !namespace_goes {
            return;
        }
        tracing::info!("the namespace is being deleted: letting the MetalLB object go");
        self.pace = Pace::Hurried;
        let own = own_key(&self.settings);
        let until = (Instant::now() + LET_GO).into();
        let mut wake_at = Some(Instant::now());
        while self.leadership.borrow().is_some()
            && self.index.metallbs.get(&own).is_some_and(is_held)
        {
            match tokio::time::timeout_at(until, self.step(news, wake_at)).await {
                Ok(next) => wake_at = next,
                Err(_) => return,
            }
        }
    }

    /// Nobody is asked about `MetalLB` objects any more.
    async fn unregister(&self) {
        let key = Key::new(Kind::ValidatingWebhookConfiguration, OPERATOR_CONFIGURATION);
        let Some(seen) = self.index.operands.get(&key) else {
            return;
        };
        if let Err(error) = self.applier.delete(&key, &seen.uid).await {
            tracing::warn!(object = %key, error = in_words(&error), "not deleted");
        }
    }

    /// Waits for news or for `wake_at`, and acts. Returns when to look again without news.
    async fn step(&mut self, news: &mut Feed, wake_at: Option<Instant>) -> Option<Instant> {
        tokio::select! {
            Some(first) = news.next() => {
                self.index.handle(first);
                // News come in groups; what is at hand is decided upon together.
                let settled = tokio::time::sleep(SETTLE);
                tokio::pin!(settled);
                loop {
                    tokio::select! {
                        Some(more) = news.next() => self.index.handle(more),
                        () = &mut settled => break,
                    }
                }
            }
            // An error says that nobody will ever change it: without an election.
            Ok(()) = self.leadership.changed() => {}
            () = self.refusals.refused() => self.index.rights.doubt(),
            () = sleep::until(wake_at) => {}
        }
        let missing = self.index.missing();
        self.synced.set(missing.is_empty());
        let ask_at = self.ask_for_rights(!missing.is_empty()).await;
        if self.leadership.borrow().is_none() {
            // Whoever leads shows how things stand.
            self.counters.show(None);
            return ask_at;
        }
        let act_at = if missing.is_empty() {
            self.reconcile().await
        } else {
            self.say_what_is_locked().await
        };
        earlier(ask_at, act_at)
    }

    /// Learns what we may not, if there is a reason to ask. Returns when to ask again.
    async fn ask_for_rights(&mut self, waits: bool) -> Option<Instant> {
        let now = Instant::now();
        match self.index.rights.due(waits)? {
            Due::At(at) if now < at => return Some(at),
            Due::At(_) | Due::Now => {}
        }
        match self.applier.missing_rights().await {
            Ok(answer) => {
                if !answer.needed.is_empty() && answer.needed != self.index.rights.missing {
                    tracing::warn!(rights = answer.needed.join("; "), "rights are missing");
                }
                self.counters.missing_rights(answer.needed.len());
                if self.index.rights.learn(answer, now) {
                    tracing::info!("rights that were missing are there");
                    self.index.retry(now);
                }
            }
            Err(error) => {
                tracing::warn!(error = in_words(&error), "cannot see what we may");
                self.index.rights.unknown(now);
            }
        }
        match self.index.rights.due(waits)? {
            Due::At(at) => Some(at),
            Due::Now => None,
        }
    }

    /// Says in the status which rights are missing, when not all can be seen that is decided from.
    async fn say_what_is_locked(&mut self) -> Option<Instant> {
        if !self.index.knows_metallbs() || self.index.rights.missing.is_empty() {
            return None;
        }
        let outlook = Outlook::default();
        let mut again_at = None;
        for report in reports(&self.index, &self.settings, &outlook, Timestamp::now()) {
            again_at = earlier(again_at, self.write(&report).await);
        }
        again_at
    }

    /// Writes a status. Returns when to try again, if it was refused.
    async fn write(&mut self, report: &Report) -> Option<Instant> {
        let metallb = self.index.metallbs.get(&report.metallb)?;
        match self.applier.report(metallb, report).await {
            Ok(whole) => {
                self.index.definition_is_old = !whole;
                None
            }
            Err(error) => {
                tracing::warn!(metallb = %report.metallb, error = in_words(&error), "status not written");
                Some(Instant::now() + RETRY)
            }
        }
    }

    /// Tells OLM whether it may upgrade, if it wants to know and does not yet.
    async fn tell_olm(&mut self) -> Option<Instant> {
        let name = self.settings.operator_condition.as_deref()?;
        let metallb = self.index.metallbs.get(&own_key(&self.settings));
        let now = upgradeable(metallb, &self.index.unmanaged());
        if self.told_olm.as_ref() == Some(&now) {
            return None;
        }
        match self.applier.tell_olm(name, &now).await {
            Ok(()) => {
                self.told_olm = Some(now);
                None
            }
            Err(error) => {
                tracing::warn!(
                    name,
                    error = in_words(&error),
                    "cannot tell OLM whether it may upgrade"
                );
                Some(Instant::now() + OLM_RETRY)
            }
        }
    }

    /// Makes the cluster as wanted, as far as that can be done now. Returns when to look again
    /// without news.
    async fn reconcile(&mut self) -> Option<Instant> {
        if let Some(spec) = valid_spec(&self.index, &self.settings).cloned() {
            self.index.last_valid = Some(spec);
        }
        if speakers_write(&self.index, &self.settings) {
            self.index.frr_k8s.written = None;
        }
        let began = Instant::now();
        let mut ok = true;
        let mut wake_at = None;
        let mut outlook = Outlook::default();
        // A second round sees what came of the first, such as the memberlist key.
        for _ in 0..ROUNDS {
            self.index.note(Instant::now());
            let plan = decide(
                &self.index,
                &self.settings,
                self.pace,
                Instant::now(),
                Timestamp::now(),
            );
            wake_at = plan.wake_at;
            outlook = plan.outlook;
            let mut reads = false;
            for action in plan.actions {
                if self.leadership.borrow().is_none() {
                    return None;
                }
                let is_read = action.is_read();
                match self.perform(action).await {
                    // What else was decided may not be so any more.
                    Ok(()) if is_read => {
                        reads = true;
                        break;
                    }
                    Ok(()) => {}
                    Err(at) => {
                        ok = false;
                        wake_at = earlier(wake_at, Some(at));
                    }
                }
            }
            if !reads {
                break;
            }
        }
        let reports = reports(&self.index, &self.settings, &outlook, Timestamp::now());
        for report in &reports {
            let again_at = self.write(report).await;
            ok &= again_at.is_none();
            wake_at = earlier(wake_at, again_at);
        }
        self.show(&reports);
        wake_at = earlier(wake_at, self.tell_olm().await);
        self.counters
            .reconciled(began.elapsed(), ok, wake_at.is_some());
        if let Some(newer) = &outlook.yields_to {
            tracing::warn!("{}", older(newer));
            self.candidacy.stand_back();
            return None;
        }
        wake_at
    }

    /// Shows the status of the one object that counts in metrics.
    fn show(&self, reports: &[Report]) {
        let own = own_key(&self.settings);
        let seen = self.index.metallbs.get(&own);
        let status = reports
            .iter()
            .find(|it| it.metallb == own)
            .map(|it| &it.status)
            .or_else(|| seen?.status.as_ref());
        self.counters.show(status);
    }

    /// Does one thing, and takes in what came of it. An error is when to try again.
    async fn perform(&mut self, action: Action) -> Result<(), Instant> {
        match action {
            Action::ReadMemberlistKey => {
                let read = self.applier.memberlist_key().await;
                let key = read.map_err(later("cannot read the memberlist Secret"))?;
                self.index.memberlist.learn(key, random);
            }
            Action::Apply {
                object,
                wanted,
                repairs,
            } => return self.apply(object, wanted, repairs).await,
            Action::Delete { key, uid } => return self.delete(key, uid).await,
            Action::SetFinalizer { metallb, hold } => {
                if let Some(object) = self.index.metallbs.get(&metallb) {
                    let set = self.applier.set_finalizer(object, hold).await;
                    set.map_err(later(format!("finalizer of {metallb} not changed")))?;
                }
            }
            Action::CountAddresses => {
                let count = self.applier.addresses_in_use().await;
                let count = count.map_err(later("cannot see how many addresses are in use"))?;
                self.index.in_use = Some((count, Instant::now()));
            }
            Action::LookForFrrConfigurations => {
                let written = self.applier.frr_configurations().await;
                let written = written.map_err(later("cannot see what speakers wrote for FRR-K8s"));
                self.index.frr_k8s.written = Some(written?);
            }
            Action::DeleteFrrConfiguration { key, uid } => {
                let deleted = self.applier.delete_frr_configuration(&key, &uid).await;
                deleted.map_err(later(format!("FRRConfiguration {key} not deleted")))?;
                tracing::info!(%key, "deleted what a speaker wrote for FRR-K8s");
                self.index.frr_k8s.removed(&key);
            }
            Action::LookForLeftovers { metallb } => {
                let left = self.applier.predecessors_leftovers(&metallb).await;
                let left = left.map_err(later("cannot see what MetalLB's own operator left"))?;
                self.index.predecessors = Some(left);
            }
            Action::DeleteLeftover { key, uid } => {
                let deleted = self.applier.delete_leftover(&key, &uid).await;
                deleted.map_err(later(format!("{key} not deleted")))?;
                tracing::info!(object = %key, "deleted what MetalLB's own operator left");
                self.index
                    .predecessors
                    .as_mut()
                    .map(|left| left.remove(&key));
            }
            // It holds a whole `DaemonSet`, which everything else has no room for.
            Action::LookAtFrr { image } => return Box::pin(self.look_at_frr(&image)).await,
            Action::EndFrr { node, awaited } => {
                return Box::pin(self.end_frr(&node, &awaited)).await;
            }
            Action::DeleteControllerLease => {
                let deleted = self.applier.delete_controller_lease().await;
                // It ends by itself, too.
                let _ = deleted.map_err(later("the controllers' Lease was not deleted"));
            }
            Action::Forget => self.index.forget_metallb(),
        }
        Ok(())
    }

    async fn delete(&mut self, key: Key, uid: String) -> Result<(), Instant> {
        let deleted = self.applier.delete(&key, &uid).await;
        match deleted.map_err(later(format!("{key} not deleted")))? {
            Deleted::Yes => tracing::info!(object = %key, "deleted"),
            Deleted::NotOurs => {
                tracing::info!(object = %key, "left alone: somebody else made it");
                self.index.leave_alone(uid);
            }
        }
        Ok(())
    }

    async fn apply(&mut self, object: Object, wanted: u64, repairs: bool) -> Result<(), Instant> {
        let takes_over = !self.index.operands.contains_key(&object.key);
        let result = self.applier.apply(&object, takes_over).await;
        let now = Instant::now();
        let key = object.key;
        self.counters.applied(key.kind, repairs, result.is_ok());
        match result {
            Ok(fingerprint) => {
                let seen = self
                    .index
                    .operands
                    .get(&key)
                    .map(|operand| &operand.fingerprint);
                if seen == Some(&fingerprint) {
                    tracing::debug!(object = %key, "already as wanted");
                } else if repairs {
                    tracing::info!(object = %key, "repaired: somebody changed or deleted it");
                } else {
                    tracing::info!(object = %key, "applied");
                }
                self.index.applied(&key, wanted, fingerprint, now);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(object = %key, %error, permanent = error.permanent, "not applied");
                let retry_at = self
                    .index
                    .failed(key, wanted, error.message, error.permanent, now);
                Err(retry_at)
            }
        }
    }
}

/// Says what did not work; when to try again.
fn later<E: std::error::Error + 'static>(what: impl Display) -> impl FnOnce(E) -> Instant {
    move |error| {
        tracing::warn!(error = in_words(&error), "{what}");
        Instant::now() + RETRY
    }
}

/// The earlier of two moments that there may be.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// How long OLM may take to grant the right to its object, and more.
const OLM_RETRY: Duration = Duration::from_secs(10);
/// How long news may go on coming in before they are decided upon.
const SETTLE: Duration = Duration::from_millis(50);
/// How long it may take to let the `MetalLB` object go; less than the pod is given to end.
const LET_GO: Duration = Duration::from_secs(20);
/// How long to wait before a request that failed is made again.
const RETRY: Duration = Duration::from_secs(2);
/// What there is to read before anything is decided, and a Secret that changes meanwhile.
const ROUNDS: usize = 5;
