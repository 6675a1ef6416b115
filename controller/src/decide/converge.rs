//! One Service: from what it holds to what it is to hold, by upstream's steps, in upstream's words.

use metallb_config::Family;
use metallb_ipam::{Assignment, Families};

use super::waiting::Need;
use super::{Addresses, Asker, Decider, Effect, Line, Note, Write, age, words};
use crate::condition::AddressAssigned;
use crate::index::Index;
use crate::service::{Held, Service};
use crate::wish::{Requested, Want, Wish};

/// Addresses for a Service.
struct Given {
    assignment: Assignment,
    /// What it lacks all the same.
    lack: Option<Note>,
}

/// Why there are none.
struct Refused {
    why: String,
    /// Whether others could give up what would help.
    waits: bool,
}

impl Decider {
    /// Decides for one Service.
    pub(super) fn converge(&mut self, index: &Index, service: &Service, effects: &mut Vec<Effect>) {
        self.unkeep(&service.key);
        let wish = match &service.want {
            Want::Addresses(wish) => wish,
            Want::Nothing => return self.clear(service, effects),
            Want::Mistake(mistake) => {
                self.free(service);
                let mut line = Line::new(&service.key, "clearAssignment", "no usable cluster IPs");
                line.reason = Some(mistake.reason());
                line.error = Some(mistake.to_string());
                let note = Note::warning(mistake.reason(), mistake.to_string());
                let condition = words::mistaken(mistake);
                return self.refuse(service, condition, line, vec![note], effects);
            }
        };
        let mut notes = Vec::new();
        match &service.held {
            Held::Nothing => {}
            Held::Unusable(why) => {
                let message = format!("Failed to retrieve LBIPs IPFamily for {why}");
                notes.push(Note::warning("nolbIPsIPFamily", message));
            }
            Held::Ips(ips) => {
                if let Err(refusal) = self.adopt(index, service, wish, ips) {
                    let asker = Asker::new(self, index, service);
                    if self.is_kept(service, &asker.request(wish), ips) {
                        return self.keep(service, effects);
                    }
                    self.doubles += u64::from(self.doubled.remove(&service.key));
                    effects.push(Effect::Log(words::taken_away(service, &refusal)));
                    notes.extend(words::cleared(service, &refusal));
                }
            }
        }
        match self.assign(index, service, wish) {
            Ok(given) => self.give(index, service, wish, given, notes, effects),
            Err(Refused { why, waits }) => {
                let explanation = self.explain(index, service, wish);
                self.free(service);
                if waits {
                    let need = self.need(index, service, wish);
                    self.waiting.insert(&service.key, service.created, need);
                }
                let mut line = Line::new(&service.key, "allocationFailed", "IP allocation failed");
                line.error = Some(why.clone());
                let key = service.key.to_string();
                let message = format!("Failed to allocate IP for {key:?}: {why}");
                let note = Note::warning("AllocationFailed", message);
                notes.push(note);
                let condition = words::refused(&why, explanation);
                self.refuse(service, condition, line, notes, effects);
            }
        }
    }

    /// Gets the Service its addresses: those it has, if they will do, else new ones.
    fn assign(&mut self, index: &Index, service: &Service, wish: &Wish) -> Result<Given, Refused> {
        let account = self.account(&service.key);
        if let Requested::Unusable(why) = &wish.ips {
            let before = account.assignment;
            let Some(assignment) = before.filter(|it| service.held == Held::Ips(it.ips)) else {
                let why = why.to_string();
                return Err(Refused { why, waits: false });
            };
            let message = format!("invalid requested loadbalancer IPs: {why}");
            let lack = Some(Note::warning("LoadBalancerFailed", message));
            return Ok(Given { assignment, lack });
        }
        if self.config.pools().is_empty() {
            let why = "no IPAddressPool is defined or valid".to_owned();
            return Err(Refused { why, waits: true });
        }
        // What it does not show, another may not have left yet.
        let unshown = self.sent.unshown(service, account.assignment.as_ref());
        if self.allocator.lingers_elsewhere(&service.key, &unshown) {
            self.allocator.release(&service.key);
        }
        let asker = Asker::new(self, index, service);
        let request = asker.request(wish);
        let allocated = self.allocator.allocate(&request);
        let mut lack = None;
        let allocated = allocated.map(|one| {
            if lacking(wish, &one).is_none() {
                return one;
            }
            self.allocator.add_family(&request).map_or_else(
                |refusal| {
                    lack = Some(words::no_second_family(&refusal));
                    one.clone()
                },
                |both| both.unwrap_or_else(|| one.clone()),
            )
        });
        self.settle(service, account);
        match allocated {
            Ok(assignment) => Ok(Given { assignment, lack }),
            Err(refusal) => Err(Refused {
                why: refusal.to_string(),
                waits: true,
            }),
        }
    }

    /// Makes the status say what is assigned.
    fn give(
        &mut self,
        index: &Index,
        service: &Service,
        wish: &Wish,
        given: Given,
        mut notes: Vec<Note>,
        effects: &mut Vec<Effect>,
    ) {
        let Given { assignment, lack } = given;
        let missing = lacking(wish, &assignment);
        let lacks = missing.map(|family| Need {
            families: Families::One(family),
            pool: Some((&*assignment.pool).into()),
            ips: None,
            ..self.need(index, service, wish)
        });
        self.served(service, lacks);
        let is_new = service.held != Held::Ips(assignment.ips);
        if is_new {
            let (note, line) = words::allocated(service, &assignment);
            notes.push(note);
            effects.push(Effect::Log(line));
        }
        if let Some(lack) = &lack {
            let says = words::digest(lack);
            let said = self.said.insert(service.key.clone(), says);
            // Of what was so before we began, nothing is said.
            let was_so = !is_new && missing.is_some();
            let is_known = said.map_or(was_so, |said| said == says);
            if !is_known {
                notes.push(lack.clone());
            }
        } else {
            self.said.remove(&service.key);
        }
        let condition = words::assigned(&assignment, lack.as_ref());
        // One that has its addresses since before there was the condition goes without.
        let is_told = service.told.is_none_or(|told| told == condition.told());
        let is_from = service.held_pool.as_deref() == Some(&*assignment.pool);
        let in_doubt = self.sent.is_in_doubt(service, &assignment.ips);
        let addresses = Addresses::Set(assignment);
        if is_new || !is_told || !is_from {
            self.write(service, addresses, Some(condition), notes, effects);
        } else if in_doubt {
            // What was sent is foiled by a later version.
            let condition = words::unsure(condition);
            self.write(service, addresses, Some(condition), notes, effects);
        } else {
            effects.extend(notes.into_iter().map(|note| note.about(service)));
        }
    }

    /// A Service has an address: it waits no more, but perhaps for one of a second family, and
    /// those who waited for the same may be lucky, too.
    fn served(&mut self, service: &Service, lacks: Option<Need>) {
        let need = self.waiting.remove(&service.key);
        if let Some(lacks) = lacks {
            self.waiting.insert(&service.key, service.created, lacks);
        }
        if let Some(need) = need {
            let (own, writing) = (age(service), &self.writing);
            let next = self.waiting.oldest(&need, |key| !writing.contains_key(key));
            self.dirty.extend(next.filter(|next| **next > own).cloned());
        }
    }

    /// Makes the status say that nothing is assigned, and why. The last of `notes` says so, too.
    fn refuse(
        &mut self,
        service: &Service,
        condition: AddressAssigned,
        line: Line,
        mut notes: Vec<Note>,
        effects: &mut Vec<Effect>,
    ) {
        let is_told = service.told == Some(condition.told());
        if let Some(says) = notes.last().map(words::digest) {
            let said = self.said.insert(service.key.clone(), says);
            if said.map_or(is_told, |said| said == says) {
                notes.pop();
            } else {
                effects.push(Effect::Log(line));
            }
        }
        if !is_told || service.holds_addresses() {
            self.write(service, Addresses::Clear, Some(condition), notes, effects);
        } else if self.sent.is_in_doubt(service, &[]) {
            let condition = words::unsure(condition);
            self.write(service, Addresses::Clear, Some(condition), notes, effects);
        } else {
            effects.extend(notes.into_iter().map(|note| note.about(service)));
        }
    }

    /// Makes nothing be left of a Service that wants no address.
    fn clear(&mut self, service: &Service, effects: &mut Vec<Effect>) {
        self.free(service);
        self.said.remove(&service.key);
        if service.holds_something() {
            let mut line = Line::new(&service.key, "clearAssignment", "not a LoadBalancer");
            line.reason = Some("notLoadBalancer");
            effects.push(Effect::Log(line));
            self.write(service, Addresses::Clear, None, Vec::new(), effects);
        }
    }

    pub(super) fn write(
        &mut self,
        service: &Service,
        addresses: Addresses,
        condition: Option<AddressAssigned>,
        mut notes: Vec<Note>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(key) = &service.deprecated_annotation {
            let message = format!("Service uses deprecated annotation {key}");
            notes.push(Note::warning("deprecatedAnnotation", message));
        }
        self.begin_write(service);
        if let Addresses::Set(assignment) = &addresses {
            self.sent.add(service, &assignment.ips);
        }
        effects.push(Effect::Write(Write {
            condition,
            notes,
            ..Write::to(service, addresses)
        }));
    }

    /// What this Service holds is free for others, and it waits for nothing.
    pub(super) fn free(&mut self, service: &Service) {
        self.waiting.remove(&service.key);
        let account = self.account(&service.key);
        self.allocator.release(&service.key);
        self.settle(service, account);
    }

    /// Why each pool refuses a Service.
    fn explain(&self, index: &Index, service: &Service, wish: &Wish) -> String {
        if matches!(wish.ips, Requested::Unusable(_)) {
            return String::new();
        }
        let asker = Asker::new(self, index, service);
        let explanation = self.allocator.explain(&asker.request(wish), POOLS_TOLD);
        explanation.to_string()
    }

    /// What would help a Service that is refused.
    fn need(&self, index: &Index, service: &Service, wish: &Wish) -> Need {
        let asker = Asker::new(self, index, service);
        let request = asker.request(wish);
        let (namespace, labels) = (service.key.namespace(), request.namespace_labels);
        let reserved = self
            .config
            .pools()
            .values()
            .filter(|_| self.labels_matter)
            .filter(|pool| pool.service_allocation.is_some())
            .filter(|pool| pool.is_for(namespace, labels, request.labels));
        Need {
            families: wish.families,
            pool: wish.pool.clone(),
            ips: request.ips,
            sharing: wish.sharing.clone(),
            reserved: reserved.map(|pool| pool.name.as_str().into()).collect(),
        }
    }
}

/// The family that a Service would rather have too.
pub(super) fn lacking(wish: &Wish, assignment: &Assignment) -> Option<Family> {
    match (wish.families, &*assignment.ips) {
        (Families::PreferBoth { .. }, [ip]) => Some(Family::of(*ip).other()),
        _ => None,
    }
}

/// How many pools a condition speaks of.
const POOLS_TOLD: usize = 10;
