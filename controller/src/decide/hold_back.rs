//! While it is not sure that everything is known ([`term`](super::term)): who has to wait.

use std::mem;

use metallb_ipam::Assignment;

use super::converge::lacking;
use super::{Addresses, Asker, Decider, Effect, Write, age, words};
use crate::condition::AddressAssigned;
use crate::index::Index;
use crate::service::{Held, Service};
use crate::wish::{Requested, Want, Wish};

impl Decider {
    /// Nothing is given out or taken away.
    pub(super) fn hold_back(&mut self, index: &Index, effects: &mut Vec<Effect>) {
        for (_, key) in mem::take(&mut self.ready) {
            let Some(service) = index.service(&key) else {
                continue;
            };
            let writes = self.writing.contains_key(&key);
            // Others may wait for what was sent in vain.
            let in_doubt = self.sent.is_in_doubt(service, service.ips());
            if !writes && self.is_only_mistaken(service) {
                self.converge(index, service, effects);
            } else if !writes && self.is_to_keep(index, service) {
                self.keep(service, effects);
            } else if in_doubt || !self.is_settled(service) {
                let wanting = !writes && (in_doubt || self.is_to_write(index, service));
                // Another may have been meant, of the same name.
                self.term.block(age(service), wanting);
            }
        }
        let next = self.term.next();
        if let Some(service) = next.and_then(|key| index.service(&key)) {
            self.announce_term(service, effects);
        }
    }

    /// Whether the status says already what would be decided.
    fn is_settled(&self, service: &Service) -> bool {
        let Some((wish, assignment)) = self.keeps(service) else {
            return false;
        };
        !matches!(wish.ips, Requested::Unusable(_))
            && lacking(wish, assignment).is_none()
            && service
                .told
                .is_none_or(|told| told == words::assigned(assignment, None).told())
    }

    /// Whether a Service keeps what it has, and only asks for more in a way that makes no sense:
    /// it can be told so, whatever others have.
    fn is_only_mistaken(&self, service: &Service) -> bool {
        self.keeps(service)
            .is_some_and(|(wish, _)| matches!(wish.ips, Requested::Unusable(_)))
    }

    /// Whether a Service keeps what it holds although no valid pool has it.
    fn is_to_keep(&self, index: &Index, service: &Service) -> bool {
        let (Want::Addresses(wish), Held::Ips(held)) = (&service.want, &service.held) else {
            return false;
        };
        let asker = Asker::new(self, index, service);
        self.is_kept(service, &asker.request(wish), held)
    }

    /// What a Service has and wants, if its status shows what is assigned to it.
    fn keeps<'a>(&'a self, service: &'a Service) -> Option<(&'a Wish, &'a Assignment)> {
        let (Want::Addresses(wish), Held::Ips(held)) = (&service.want, &service.held) else {
            return None;
        };
        let assignment = self.allocator.assignment(&service.key)?;
        let shown = service.held_pool.as_deref() == Some(&*assignment.pool);
        (shown && assignment.ips == *held).then_some((wish, assignment))
    }

    /// Whether the status is to be written, as far as is known: a trial, of which nothing stays.
    fn is_to_write(&mut self, index: &Index, service: &Service) -> bool {
        let wish = match &service.want {
            Want::Addresses(wish) => wish,
            Want::Nothing => return service.holds_something(),
            Want::Mistake(mistake) => {
                let condition = words::mistaken(mistake);
                return service.holds_addresses() || service.told != Some(condition.told());
            }
        };
        let held = match &service.held {
            Held::Nothing => None,
            Held::Unusable(_) => return true,
            Held::Ips(ips) => Some(ips),
        };
        let before = self.allocator.assignment(&service.key).cloned();
        let asker = Asker::new(self, index, service);
        let request = asker.request(wish);
        match (held, before) {
            (Some(held), None) => !self.is_kept(service, &request, held),
            (Some(held), Some(before)) if before.ips != *held => true,
            (Some(held), Some(before)) => {
                let lacks = lacking(wish, &before).is_some();
                let gets = lacks && matches!(self.allocator.add_family(&request), Ok(Some(_)));
                if gets {
                    // It was adopted a moment ago.
                    let _ = self.allocator.adopt(&request, held);
                }
                gets || service.held_pool.as_deref() != Some(&*before.pool)
            }
            // It was given something before there was doubt.
            (None, Some(_)) => true,
            (None, None) => {
                let gets = self.allocator.allocate(&request).is_ok();
                self.allocator.release(&service.key);
                gets || service.told.is_none()
            }
        }
    }

    /// Writes to a Service that waits for us to know everything, so that the watch tells of it.
    fn announce_term(&mut self, service: &Service, effects: &mut Vec<Effect>) {
        self.begin_write(service);
        let (addresses, condition) = match &service.want {
            Want::Nothing => (Addresses::Clear, None),
            Want::Mistake(_) | Want::Addresses(_) => {
                // The version makes it a change even where another leader, or we, said it before:
                // of what changes nothing, no watch tells.
                let message = format!(
                    "a new leader takes in what is assigned, after version {}",
                    service.resource_version
                );
                let condition = AddressAssigned::no("Pending", message);
                (Addresses::Leave, Some(condition))
            }
        };
        effects.push(Effect::Write(Write {
            condition,
            ..Write::to(service, addresses)
        }));
    }
}
