//! What each Service was at every place of the log, and whose hand put an address on it: what a
//! controller knew is a question of how far it had heard.

use std::collections::BTreeMap;
use std::net::IpAddr;

use metallb_config::ObjectKey;

use super::rules::{Services, may_share};
use super::store::{self, Happened, Store};
use crate::service::Service;

/// How much of the log of Services had happened: what is at place 3 is the work of the first
/// three entries.
pub(super) type Place = usize;

/// All that Services were.
#[derive(Default)]
pub(super) struct History {
    versions: BTreeMap<ObjectKey, Vec<Version>>,
    /// What each Service is.
    pub(super) services: Services,
    seen: Place,
}

/// What a Service was from some place on.
pub(super) struct Version {
    pub(super) from: Place,
    /// Nothing, when it was gone or none of ours.
    pub(super) service: Option<Service>,
    holds: BTreeMap<IpAddr, Hold>,
    /// What a user's hand has wiped off its status: still its own for whoever leads, until a
    /// controller has written other addresses.
    wiped: BTreeMap<IpAddr, Hold>,
}

/// An address in a status.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    /// Where it came there.
    pub(super) from: Place,
    pub(super) by: Hand,
}

/// Who wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hand {
    /// The controller that led when the write was done.
    Leader,
    /// One that had led when it decided, and did not when the write was done.
    Deposed,
    User,
}

impl History {
    /// Takes in what is new in the log, all of it written by one hand. Says whether anything was.
    pub(super) fn observe(&mut self, store: &Store, by: Hand) -> bool {
        let log = &store.service_log;
        let is_news = self.seen < log.len();
        for happened in &log[self.seen..] {
            self.seen += 1;
            let (Happened::Stored(object) | Happened::Deleted(object)) = happened;
            let service = match happened {
                Happened::Stored(object) => Service::read(object, ""),
                Happened::Deleted(_) => None,
            };
            self.push(store::key(object), service, by);
        }
        is_news
    }

    fn push(&mut self, key: ObjectKey, service: Option<Service>, by: Hand) {
        let from = self.seen;
        let versions = self.versions.entry(key.clone()).or_default();
        let before = versions.last();
        let hold = |ip: &IpAddr| {
            let before = before.and_then(|before| before.hold(ip));
            (*ip, before.unwrap_or(Hold { from, by }))
        };
        let ips = service.iter().flat_map(Service::ips);
        let holds: BTreeMap<_, _> = ips.map(hold).collect();
        let is_kept = |before: &&Version| {
            let uid = |service: &Option<Service>| service.as_ref().map(|it| it.uid.clone());
            uid(&before.service) == uid(&service)
                && (by == Hand::User || before.holds.keys().eq(holds.keys()))
        };
        let wiped = before.filter(is_kept).into_iter();
        let wiped = wiped.flat_map(|before| before.holds.iter().chain(&before.wiped));
        let wiped = wiped
            .filter(|(ip, _)| !holds.contains_key(ip))
            .map(|(ip, hold)| (*ip, *hold))
            .collect();
        match &service {
            Some(service) => drop(self.services.insert(key, service.clone())),
            None => drop(self.services.remove(&key)),
        }
        versions.push(Version {
            from,
            service,
            holds,
            wiped,
        });
    }

    /// What somebody may take a Service for who has heard the log up to a place, and of some things
    /// more: what it was there and since, up to another place.
    pub(super) fn between(
        &self,
        key: &ObjectKey,
        from: Place,
        to: Place,
    ) -> impl Iterator<Item = &Version> {
        let versions = self.versions.get(key).map_or(&[][..], Vec::as_slice);
        let first = versions.iter().rposition(|version| version.from <= from);
        let versions = &versions[first.unwrap_or(0)..];
        versions
            .iter()
            .take_while(move |version| version.from <= to)
    }

    /// What a Service was at a version.
    pub(super) fn version(&self, key: &ObjectKey, version: &str) -> Option<&Service> {
        let services = self.versions.get(key)?.iter().rev();
        let mut services = services.filter_map(|it| it.service.as_ref());
        services.find(|service| *service.resource_version == *version)
    }

    /// How a Service came to an address that it shows now.
    pub(super) fn hold(&self, key: &ObjectKey, ip: &IpAddr) -> Option<Hold> {
        self.versions.get(key)?.last()?.hold(ip)
    }

    /// Where the log ends.
    pub(super) fn end(&self) -> Place {
        self.seen
    }

    /// All that ever were.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.versions.keys()
    }
}

impl Hold {
    /// Whether somebody put it there later who should not have written.
    pub(super) fn is_mistake_after(&self, place: Place) -> bool {
        self.by != Hand::Leader && self.from > place
    }
}

impl Version {
    pub(super) fn hold(&self, ip: &IpAddr) -> Option<Hold> {
        self.holds.get(ip).copied()
    }

    /// Whether it shows this address, and this other Service may have it too.
    pub(super) fn shares(&self, ip: &IpAddr, other: &Service) -> bool {
        let service = self.service.as_ref();
        self.hold(ip).is_some() && service.is_some_and(|it| may_share(it, other))
    }

    /// How it came to an address that is its own, shown or wiped off.
    pub(super) fn claim(&self, ip: &IpAddr) -> Option<Hold> {
        self.hold(ip).or_else(|| self.wiped.get(ip).copied())
    }

    /// Whether this address is its own, and this other Service may not have it.
    pub(super) fn bars(&self, ip: &IpAddr, other: &Service) -> bool {
        let service = self.service.as_ref();
        self.claim(ip).is_some() && service.is_some_and(|it| !may_share(it, other))
    }
}
