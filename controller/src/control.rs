//! The controller without its wires: takes in what the watches, the election and the writes tell,
//! says what is to be done. No client, and time is an argument, so that lives of it are told in
//! tests.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use metallb_config::{ObjectKey, Parsed, Report};
use metallb_crds::v1beta1::{Community, IPAddressPool, IPAddressPoolStatus};
use metallb_kit::watch::Change;

use crate::decide::{Decider, Effect, PoolUsage};
use crate::index::{Index, Touched};
use crate::watched::{WatchedNamespace, WatchedService};

/// Something to take in.
#[derive(Debug)]
pub(crate) enum Input {
    /// In which of our terms we lead, if we do.
    Leads(Option<u64>),
    Service(Change<WatchedService>),
    Pool(Change<IPAddressPool>),
    Community(Change<Community>),
    Namespace(Change<WatchedNamespace>),
    /// How the writing of a Service's status goes.
    Written {
        key: ObjectKey,
        outcome: Outcome,
    },
}

/// How the writing of a Service's status goes.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is done; the Service as it is now.
    Written(Box<WatchedService>),
    /// The Service is no longer what was decided on; as it is now, if that is known.
    Stale(Option<Box<WatchedService>>),
    /// The Service with this uid is not there any more.
    Gone(Box<str>),
    /// It takes long, or has failed and will be tried again: no end yet.
    Delayed,
    /// It has failed, perhaps without an answer, and it is time to try again.
    Retry,
}

/// What is known and, while we lead, what follows from it.
#[derive(Debug)]
pub(crate) struct Control {
    index: Index,
    services: Told,
    pools: Told,
    communities: Told,
    namespaces: Told,
    /// There while we lead and know everything.
    decider: Option<Decider>,
    /// The term that we lead in, as we were told last.
    term: Option<u64>,
    /// The term that the decisions are of.
    decided_in: Option<u64>,
    /// The configuration is another than the one that was read last.
    config_changed: bool,
    /// What is to be said of the configuration; nothing before it was read.
    report: Option<Report>,
    /// What is to be said has changed, or whether it is for us to say it.
    report_changed: bool,
    /// When each Service changed that is not decided on yet.
    changed: HashMap<ObjectKey, Instant>,
    /// Writes of ours that the watch has not told of yet: their versions, and since when.
    unheard: VecDeque<(u64, Instant)>,
}

/// What has been told of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    /// Not everything yet.
    #[default]
    Part,
    /// Everything.
    All,
    /// It is being told once more, since something may be missing.
    Again,
}

/// What there is to measure.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// The Services that were decided on, with when they changed.
    pub(crate) decided: HashMap<ObjectKey, Instant>,
    /// The pools of which more or less is in use, or that came or went.
    pub(crate) pools: Vec<Arc<str>>,
    /// How many Services held an address of another.
    pub(crate) doubles: u64,
}

impl Control {
    /// Nothing known yet. `class` is `--lb-class`, empty when not given.
    pub(crate) fn new(class: &str) -> Self {
        Self {
            index: Index::new(class),
            services: Told::default(),
            pools: Told::default(),
            communities: Told::default(),
            namespaces: Told::default(),
            decider: None,
            term: None,
            decided_in: None,
            config_changed: false,
            report: None,
            report_changed: false,
            changed: HashMap::new(),
            unheard: VecDeque::new(),
        }
    }

    /// Takes something in.
    pub(crate) fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Leads(term) => self.term = term,
            Input::Service(change) => self.service(change, now),
            Input::Pool(change) => self.pool(change),
            Input::Community(change) => self.community(change),
            Input::Namespace(change) => self.namespace(change),
            Input::Written { key, outcome } => self.written(&key, outcome, now),
        }
    }

    /// What is to be done now, in order, or about `room` of it. Nothing while something is being
    /// told once more: what is known then is half old and half new.
    pub(crate) fn poll(&mut self, room: usize) -> Vec<Effect> {
        let mut effects = Vec::new();
        // A new term is a new start: another may have led since.
        if self.term != self.decided_in && self.decider.take().is_some() {
            self.changed.clear();
            self.unheard.clear();
            self.report_changed = true;
            effects.push(Effect::Abandon);
        }
        let told = [self.services, self.pools, self.communities, self.namespaces];
        if told != [Told::All; 4] {
            return effects;
        }
        if self.term.is_some() && self.decider.is_none() {
            self.decider = Some(Decider::start(&self.index));
            self.decided_in = self.term;
            self.config_changed = true;
        }
        let parsed = std::mem::take(&mut self.config_changed).then(|| self.parse());
        if let Some(decider) = &mut self.decider {
            if let Some(parsed) = parsed {
                effects.append(&mut decider.pools_changed(&self.index, parsed));
            }
            effects.append(&mut decider.decide(&self.index, room));
        }
        effects
    }

    /// What there is to measure since this was last asked; to be asked after [`poll`](Self::poll).
    pub(crate) fn take_figures(&mut self) -> Figures {
        let mut figures = Figures::default();
        if let Some(decider) = &mut self.decider {
            let decided = decider.take_decided().into_iter();
            figures.decided = decided
                .filter_map(|key| self.changed.remove_entry(&key))
                .collect();
            figures.pools = decider.take_touched_pools();
            figures.doubles = decider.take_doubles();
        }
        figures
    }

    /// What is to be said of the configuration; nothing before it was read.
    pub(crate) fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Whether that, or whether we lead, has changed since this was last asked.
    pub(crate) fn take_report_changed(&mut self) -> bool {
        std::mem::take(&mut self.report_changed)
    }

    /// Whether we lead, and act on it.
    pub(crate) fn is_leading(&self) -> bool {
        self.decider.is_some()
    }

    /// How much of a pool is in use; nothing when there is no such pool or we do not lead.
    pub(crate) fn pool_usage(&self, name: &str) -> Option<PoolUsage> {
        self.decider.as_ref()?.pool_usage(&self.index, name)
    }

    /// What a pool's status is to say, if it says something else.
    pub(crate) fn pool_status_due(&self, name: &str) -> Option<IPAddressPoolStatus> {
        let wanted = self.pool_usage(name)?.status();
        let pool = self.index.pool(name)?;
        (pool.status.as_ref() != Some(&wanted)).then_some(wanted)
    }

    /// Whether the watch of Services has not told of a write of ours in time: it is dead, whatever
    /// it looks like, and is to be begun anew. Says so once.
    pub(crate) fn is_deaf(&mut self, now: Instant) -> bool {
        let oldest = self.unheard.front();
        let deaf = oldest.is_some_and(|(_, since)| now.duration_since(*since) >= DEAF);
        if deaf {
            self.unheard.clear();
        }
        deaf
    }

    fn service(&mut self, change: Change<WatchedService>, now: Instant) {
        match change {
            Change::Apply(service) => {
                // Of one that was replaced while changes were missed, no deletion is told.
                let replaced = self.index.delete_predecessor(&service);
                self.touched(replaced, None);
                let touched = self.index.apply_service(&service);
                self.touched(touched, Some(now));
                let heard = self.index.heard();
                while self.unheard.pop_front_if(|(it, _)| *it <= heard).is_some() {}
            }
            Change::Delete(key) => {
                let touched = self.index.delete_service(&key);
                self.touched(touched, None);
            }
            Change::Listing => {
                self.services.begin();
                if let Some(decider) = &mut self.decider {
                    decider.doubt();
                }
            }
            Change::Synced => {
                self.services = Told::All;
                self.unheard.clear();
            }
        }
    }

    /// Also who does not lead reads the configuration and says whether it is good.
    fn parse(&mut self) -> Parsed {
        let parsed = self.index.parse();
        self.report = Some(Report::of(&parsed.rejected));
        self.report_changed = true;
        parsed
    }

    fn pool(&mut self, change: Change<IPAddressPool>) {
        match change {
            Change::Apply(pool) => {
                let name: Arc<str> = pool.metadata.name.as_deref().unwrap_or("").into();
                let touched = self.index.apply_pool(pool);
                self.config_changed |= touched.spec;
                if touched.status
                    && let Some(decider) = &mut self.decider
                {
                    // Perhaps somebody else wrote it.
                    decider.touch_pool(name);
                }
            }
            Change::Delete(key) => {
                self.index.delete_pool(key.name());
                self.config_changed = true;
            }
            Change::Listing => self.pools.begin(),
            Change::Synced => {
                self.config_changed |= self.pools == Told::Part;
                self.pools = Told::All;
            }
        }
    }

    fn community(&mut self, change: Change<Community>) {
        match change {
            Change::Apply(community) => {
                self.config_changed |= self.index.apply_community(community);
            }
            Change::Delete(key) => {
                self.index.delete_community(key.name());
                self.config_changed = true;
            }
            Change::Listing => self.communities.begin(),
            Change::Synced => self.communities = Told::All,
        }
    }

    fn namespace(&mut self, change: Change<WatchedNamespace>) {
        match change {
            Change::Apply(namespace) => {
                if self.index.apply_namespace(&namespace)
                    && let Some(decider) = &mut self.decider
                {
                    let name = namespace.metadata.name.as_deref().unwrap_or("");
                    decider.labels_changed(&self.index, name);
                }
            }
            Change::Delete(key) => self.index.delete_namespace(key.name()),
            Change::Listing => self.namespaces.begin(),
            Change::Synced => self.namespaces = Told::All,
        }
    }

    fn written(&mut self, key: &ObjectKey, outcome: Outcome, now: Instant) {
        let mut version = None;
        match outcome {
            Outcome::Delayed => {
                if let Some(decider) = &mut self.decider {
                    decider.delayed(key);
                }
                return;
            }
            Outcome::Gone(uid) => {
                if self.index.service(key).is_some_and(|it| it.uid == uid) {
                    let touched = self.index.bury_service(key);
                    self.touched(touched, None);
                }
            }
            Outcome::Written(service) => {
                let text = service.metadata.resource_version.as_deref();
                version = text.and_then(|text| text.parse().ok());
                self.unheard.extend(version.map(|version| (version, now)));
                let touched = self.index.apply_answer(&service);
                self.touched(touched, None);
            }
            Outcome::Stale(service) => {
                let touched = service.map(|service| self.index.apply_answer(&service));
                self.touched(touched.unwrap_or(Touched::Nothing), Some(now));
            }
            Outcome::Retry => {}
        }
        if let Some(decider) = &mut self.decider {
            decider.written(&self.index, key, version);
        }
    }

    fn touched(&mut self, touched: Touched, changed: Option<Instant>) {
        let Some(decider) = &mut self.decider else {
            return;
        };
        match touched {
            Touched::Nothing => {}
            Touched::Changed(key) => {
                decider.service_changed(&self.index, &key);
                if let Some(at) = changed {
                    self.changed.entry(key).or_insert(at);
                }
            }
            Touched::Gone(service) => {
                self.changed.remove(&service.key);
                decider.service_gone(&service);
            }
        }
    }
}

impl Told {
    fn begin(&mut self) {
        if *self == Self::All {
            *self = Self::Again;
        }
    }
}

/// How long the watch may take to tell of a write.
const DEAF: Duration = Duration::from_secs(5);
