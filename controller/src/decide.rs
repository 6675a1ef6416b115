//! Which Service gets which address, and what is said about it. Pure: no client, no clock.
//!
//! Only the leader decides. First it takes in all that the statuses hold, oldest Service first;
//! then it serves those that wait, in the order of their creation.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::ObjectReference;
use metallb_config::{Config, Parsed, Rejected};
use metallb_ipam::{Allocator, Assignment, Families, Ips, Refusal, Request, ServiceKey};
use metallb_kit::events::EventType;

use crate::index::{Index, labels_matter};
use crate::service::{Held, Requested, Service, Want, Wish};

/// Something to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Write a Service's status.
    Write(Write),
    /// Publish an Event.
    Event(Note),
    /// Forget what is still to be written: we lead no more.
    Abandon,
}

/// A status to write, if the Service is still as it was when this was decided.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    pub(crate) key: ServiceKey,
    pub(crate) uid: Box<str>,
    pub(crate) resource_version: Box<str>,
    /// The addresses and the pool they are from; `None` clears both.
    pub(crate) assignment: Option<Assignment>,
    /// To be published once it is written.
    pub(crate) notes: Vec<Note>,
}

/// An Event to publish.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Note {
    pub(crate) about: ObjectReference,
    pub(crate) event_type: EventType,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// Decides for all Services, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Decider {
    allocator: Allocator,
    config: Config,
    /// Pools that are no good, by name, with the reason.
    rejected: BTreeMap<String, String>,
    /// Those to look at, oldest first.
    dirty: BTreeSet<(i64, ServiceKey)>,
    /// Those that lack something, with what they were told, so that they are told once.
    waiting: BTreeMap<ServiceKey, Option<String>>,
    /// Those whose status is being written.
    writing: HashSet<ServiceKey>,
    /// What was sent to be written on a version that is still the last one we know: the status may
    /// show it by now.
    sent: HashMap<ServiceKey, (Box<str>, Vec<IpAddr>)>,
}

impl Decider {
    /// Begins with what the statuses hold; everything is looked at once.
    pub(crate) fn start(index: &mut Index) -> (Self, Vec<Effect>) {
        let mut this = Self::default();
        for service in index.services() {
            this.dirty.insert((service.created, service.key.clone()));
        }
        let effects = this.pools_changed(index);
        (this, effects)
    }

    /// Takes over the pools as they are now.
    pub(crate) fn pools_changed(&mut self, index: &mut Index) -> Vec<Effect> {
        let Parsed { config, rejected } = index.parse();
        let changed = self.allocator.set_pools(&config);
        if labels_matter(&self.config) || labels_matter(&config) {
            self.all_changed(index);
        }
        for key in changed.lost.iter().chain(&changed.renamed) {
            if let Some(service) = index.service(key) {
                self.linger(index, service);
            }
            self.service_changed(index, key);
        }
        self.retry_waiting(index);
        self.config = config;
        self.tell_rejected(rejected)
    }

    /// The labels of a namespace changed, which pools may select by.
    pub(crate) fn labels_changed(&mut self, index: &Index) {
        if labels_matter(&self.config) {
            self.all_changed(index);
        }
    }

    /// Looks at this Service again.
    pub(crate) fn service_changed(&mut self, index: &Index, key: &ServiceKey) {
        if let Some(service) = index.service(key) {
            self.dirty.insert((service.created, key.clone()));
        }
    }

    /// Frees what this Service had.
    pub(crate) fn service_gone(&mut self, index: &Index, key: &ServiceKey) {
        self.waiting.remove(key);
        self.writing.remove(key);
        self.sent.remove(key);
        let held = self.allocator.release(key).is_some();
        let lingered = self.allocator.linger(key, &[]);
        if held || lingered {
            self.retry_waiting(index);
        }
    }

    /// The writing of this Service's status has ended, well or not: it is looked at again.
    pub(crate) fn written(&mut self, index: &Index, key: &ServiceKey) {
        self.writing.remove(key);
        self.service_changed(index, key);
    }

    /// Decides for all that changed.
    pub(crate) fn decide(&mut self, index: &Index) -> Vec<Effect> {
        // What is assigned first, so that nobody else is given it.
        let dirty: Vec<_> = self.dirty.iter().cloned().collect();
        for (_, key) in dirty {
            let Some(service) = self.free_to_decide(index, &key) else {
                continue;
            };
            if let (Want::Addresses(wish), Held::Ips(ips)) = (&service.want, service.held.clone()) {
                // A refusal is told below, when its turn comes.
                let _ = self.adopt(index, service, wish, &ips);
            }
            self.linger(index, service);
        }
        let mut effects = Vec::new();
        while let Some((_, key)) = self.dirty.pop_first() {
            let Some(service) = self.free_to_decide(index, &key) else {
                continue;
            };
            let before = self.allocator.assignment(&key).cloned();
            self.converge(index, service, &mut effects);
            self.retry_if_freed(index, &key, before.as_ref());
            self.linger(index, service);
        }
        effects
    }

    /// How much of each pool is in use.
    pub(crate) fn allocator(&self) -> &Allocator {
        &self.allocator
    }

    /// Whether some object is not in effect as it is.
    pub(crate) fn is_stale(&self) -> bool {
        !self.rejected.is_empty()
    }

    fn all_changed(&mut self, index: &Index) {
        self.dirty.extend(
            index
                .services()
                .map(|service| (service.created, service.key.clone())),
        );
    }

    fn free_to_decide<'a>(&self, index: &'a Index, key: &ServiceKey) -> Option<&'a Service> {
        index.service(key).filter(|_| !self.writing.contains(key))
    }

    fn retry_waiting(&mut self, index: &Index) {
        let waiting: Vec<_> = self.waiting.keys().cloned().collect();
        for key in waiting {
            self.service_changed(index, &key);
        }
    }

    fn adopt(
        &mut self,
        index: &Index,
        service: &Service,
        wish: &Wish,
        ips: &Ips,
    ) -> Result<(), Refusal> {
        let before = self.allocator.assignment(&service.key).cloned();
        let adopted = self.allocator.adopt(&request(index, service, wish), ips);
        self.retry_if_freed(index, &service.key, before.as_ref());
        for key in adopted?.displaced {
            self.service_changed(index, &key);
        }
        Ok(())
    }

    /// What the status shows, or may show by now, is not free, whatever was decided.
    fn linger(&mut self, index: &Index, service: &Service) {
        let mut shown: Vec<IpAddr> = match &service.held {
            Held::Ips(ips) => ips.to_vec(),
            Held::Nothing | Held::Unusable(_) => Vec::new(),
        };
        match self.sent.get(&service.key) {
            Some((version, ips)) if *version == service.resource_version => shown.extend(ips),
            _ => drop(self.sent.remove(&service.key)),
        }
        if self.allocator.linger(&service.key, &shown) {
            self.retry_waiting(index);
        }
    }

    /// What a Service no longer holds, another may be waiting for.
    fn retry_if_freed(&mut self, index: &Index, key: &ServiceKey, before: Option<&Assignment>) {
        if before.is_some() && self.allocator.assignment(key) != before {
            self.retry_waiting(index);
        }
    }

    fn converge(&mut self, index: &Index, service: &Service, effects: &mut Vec<Effect>) {
        let wish = match &service.want {
            Want::Addresses(wish) => wish,
            Want::Nothing => {
                self.waiting.remove(&service.key);
                self.allocator.release(&service.key);
                return self.clear(service, Vec::new(), effects);
            }
            Want::Mistake(mistake) => {
                self.allocator.release(&service.key);
                let note = warning(service, mistake.reason(), mistake.to_string());
                let notes = self.refuse(service, note).into_iter().collect();
                return self.clear(service, notes, effects);
            }
        };
        let mut notes = Vec::new();
        match &service.held {
            Held::Nothing => {}
            Held::Unusable(why) => {
                let message = format!("Failed to retrieve LBIPs IPFamily: {why}");
                notes.push(warning(service, "nolbIPsIPFamily", message));
            }
            Held::Ips(ips) => {
                if let Err(refusal) = self.adopt(index, service, wish, ips) {
                    if self.is_kept(service, &refusal) {
                        self.waiting.insert(service.key.clone(), None);
                        return;
                    }
                    notes.extend(cleared(service, &refusal));
                }
            }
        }
        let assigned = self.assign(index, service, wish, &mut notes);
        match assigned {
            Ok(assignment) => self.keep(service, assignment, notes, effects),
            Err(message) => {
                let message = format!(
                    "Failed to allocate IP for {:?}: {message}",
                    service.key.to_string()
                );
                notes.extend(self.refuse(service, warning(service, "AllocationFailed", message)));
                self.clear(service, notes, effects);
            }
        }
    }

    /// Gets the Service its addresses: those it has, if they will do, else new ones.
    fn assign(
        &mut self,
        index: &Index,
        service: &Service,
        wish: &Wish,
        notes: &mut Vec<Note>,
    ) -> Result<Assignment, String> {
        let held = self.allocator.assignment(&service.key).cloned();
        if let Requested::Unusable(why) = &wish.ips {
            let Some(held) = held else {
                return Err(why.to_string());
            };
            let message = format!("invalid requested loadbalancer IPs: {why}");
            notes.extend(self.refuse(service, warning(service, "LoadBalancerFailed", message)));
            return Ok(held);
        }
        if self.config.pools().is_empty() {
            return Err("no IPAddressPool is defined or valid".to_owned());
        }
        let request = request(index, service, wish);
        let assignment = self
            .allocator
            .allocate(&request)
            .map_err(|refusal| refusal.to_string())?;
        let is_short =
            matches!(wish.families, Families::PreferBoth { .. }) && assignment.ips.len() == 1;
        if !is_short {
            self.waiting.remove(&service.key);
        }
        if service.held != Held::Ips(assignment.ips) {
            let message = format!("Assigned IP {}", assignment.ips);
            notes.push(normal(service, "IPAllocated", message));
        } else if is_short {
            return Ok(self.add_family(service, &request, assignment, notes));
        }
        Ok(assignment)
    }

    /// Tries to get the address of the second family, from the same pool.
    fn add_family(
        &mut self,
        service: &Service,
        request: &Request<'_>,
        assignment: Assignment,
        notes: &mut Vec<Note>,
    ) -> Assignment {
        match self.allocator.add_family(request) {
            Ok(Some(both)) => {
                self.waiting.remove(&service.key);
                let added = both.ips.iter().find(|ip| !assignment.ips.contains(ip));
                let message = format!(
                    "Assigned additional IP \"{}\"",
                    added.unwrap_or(&both.ips[0])
                );
                notes.push(normal(service, "IPAllocated", message));
                both
            }
            Ok(None) => assignment,
            Err(refusal) => {
                let message = format!("cannot assign additional IP in PreferDualStack: {refusal}");
                let note = normal(service, "AdditionalAssignFailed", message);
                notes.extend(self.refuse(service, note));
                assignment
            }
        }
    }

    /// Makes the status say what is assigned.
    fn keep(
        &mut self,
        service: &Service,
        assignment: Assignment,
        notes: Vec<Note>,
        effects: &mut Vec<Effect>,
    ) {
        let written = service.held == Held::Ips(assignment.ips)
            && service.held_pool.as_deref() == Some(&*assignment.pool);
        if written {
            effects.extend(notes.into_iter().map(Effect::Event));
        } else {
            self.write(service, Some(assignment), notes, effects);
        }
    }

    /// Makes the status say that nothing is assigned.
    fn clear(&mut self, service: &Service, notes: Vec<Note>, effects: &mut Vec<Effect>) {
        if service.holds_something() {
            self.write(service, None, notes, effects);
        } else {
            effects.extend(notes.into_iter().map(Effect::Event));
        }
    }

    fn write(
        &mut self,
        service: &Service,
        assignment: Option<Assignment>,
        mut notes: Vec<Note>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(key) = &service.deprecated_annotation {
            let message = format!("Service uses deprecated annotation {key}");
            notes.push(warning(service, "deprecatedAnnotation", message));
        }
        self.writing.insert(service.key.clone());
        if let Some(assignment) = &assignment {
            let version = &service.resource_version;
            let sent = self.sent.entry(service.key.clone()).or_default();
            if sent.0 != *version {
                *sent = (version.clone(), Vec::new());
            }
            sent.1.extend(assignment.ips.iter());
        }
        effects.push(Effect::Write(Write {
            key: service.key.clone(),
            uid: service.uid.clone(),
            resource_version: service.resource_version.clone(),
            assignment,
            notes,
        }));
    }

    /// Notes that the Service lacks something, to be tried again when something is freed or
    /// changed. Told only if it is not what was told last.
    fn refuse(&mut self, service: &Service, note: Note) -> Option<Note> {
        let told = self
            .waiting
            .insert(service.key.clone(), Some(note.message.clone()))
            .flatten();
        (told.as_ref() != Some(&note.message)).then_some(note)
    }

    /// Whether the addresses stay although no valid pool has them: the pool they are from is there
    /// and is no good at present.
    fn is_kept(&self, service: &Service, refusal: &Refusal) -> bool {
        let pool = service.held_pool.as_deref().unwrap_or("");
        matches!(refusal, Refusal::NotInPools(_))
            && self.rejected.contains_key(pool)
            && !self.config.pools().contains_key(pool)
    }

    /// An Event for each pool that is no good and was not so, or not for this reason, before.
    fn tell_rejected(&mut self, rejected: Vec<Rejected>) -> Vec<Effect> {
        let before = std::mem::take(&mut self.rejected);
        let mut effects = Vec::new();
        for bad in rejected {
            let message = bad.error.to_string();
            if before.get(&bad.name) != Some(&message) {
                effects.push(Effect::Event(Note {
                    about: ObjectReference {
                        api_version: Some("metallb.io/v1beta1".to_owned()),
                        kind: Some(bad.kind.to_string()),
                        namespace: Some(bad.namespace),
                        name: Some(bad.name.clone()),
                        uid: bad.uid,
                        ..ObjectReference::default()
                    },
                    event_type: EventType::Warning,
                    reason: "InvalidConfiguration",
                    message: message.clone(),
                }));
            }
            self.rejected.insert(bad.name, message);
        }
        effects
    }
}

fn request<'a>(index: &'a Index, service: &'a Service, wish: &'a Wish) -> Request<'a> {
    let mut request = Request::new(&service.key, service.created, wish.families);
    if let Some(labels) = &service.labels {
        request.labels = labels;
    }
    request.namespace_labels = index.namespace_labels(service.key.namespace());
    request.pool = wish.pool.as_deref();
    request.ips = match &wish.ips {
        Requested::These(ips) => Some(*ips),
        Requested::Any | Requested::Unusable(_) => None,
    };
    request
}

/// What to say when addresses are taken away. Nothing when the user asked for others.
fn cleared(service: &Service, refusal: &Refusal) -> Option<Note> {
    if matches!(refusal, Refusal::HeldPool { .. } | Refusal::HeldIps { .. }) {
        return None;
    }
    let key = service.key.to_string();
    let message = format!(
        "current IP for {key:?} not allowed by config, will attempt for new IP assignment: {refusal}"
    );
    Some(normal(service, "ClearAssignment", message))
}

fn normal(service: &Service, reason: &'static str, message: String) -> Note {
    Note {
        about: service.reference(),
        event_type: EventType::Normal,
        reason,
        message,
    }
}

fn warning(service: &Service, reason: &'static str, message: String) -> Note {
    Note {
        about: service.reference(),
        event_type: EventType::Warning,
        reason,
        message,
    }
}

#[cfg(test)]
mod tests;
