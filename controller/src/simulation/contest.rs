//! Two Services on one address that may not share it: who has to leave, with all that it has, as somebody sees it who has
//! heard so much.

use std::iter;
use std::net::IpAddr;

use metallb_config::ObjectKey;
use metallb_ipam::Ips;

use super::history::{Hand, History, Place, Version};
use super::knowledge::{Grant, Knowledge};
use super::rules::{may_share, sharing};
use crate::service::{Held, Service};

/// One that is to leave its addresses, and those who may be why.
pub(super) struct Contest<'a> {
    pub(super) history: &'a History,
    pub(super) service: &'a Service,
    pub(super) held: &'a Ips,
    pub(super) knew: &'a Knowledge,
}

/// Why an address is taken away.
pub(super) enum Reason {
    /// The pools or the Service itself ask for it.
    Asked,
    /// The Service has come to share in another way.
    Unshared,
    /// An older one has it.
    Yielded,
}

impl Contest<'_> {
    /// By what rule the Service is the one who leaves, if by any.
    pub(super) fn why_lost(&self) -> Option<Reason> {
        let (history, knew) = (self.history, self.knew);
        let bars = |it: &Version| self.held.iter().any(|ip| it.bars(ip, self.service));
        let is_barred_from = |place| {
            let is_barred = |other| history.between(other, place, knew.now).any(bars);
            self.others().any(is_barred)
        };
        let to_grant = || self.ips().find_map(|ip| self.why_lost_to_grant(ip));
        let is_barred = is_barred_from(knew.told);
        if !is_barred && !is_barred_from(self.since()) {
            return to_grant();
        }
        let to_others = self.ips().find_map(|ip| self.why_lost_to_others(ip));
        let to_others = to_others.or_else(to_grant);
        to_others.or_else(|| (is_barred && self.was_asked()).then_some(Reason::Yielded))
    }

    /// From where on it has shared as it does, as far as the leader had heard. Who had the address
    /// there may have lost it before both are looked at.
    fn since(&self) -> Place {
        let versions = self.history.between(&self.service.key, 0, self.knew.told);
        let mut since = None;
        for version in versions {
            let is_same = |it: &Service| sharing(it) == sharing(self.service);
            since = version
                .service
                .as_ref()
                .filter(|it| is_same(it))
                .map(|_| since.unwrap_or(version.from));
        }
        since.unwrap_or(self.knew.told)
    }

    /// It may have lost to one that is gone since, or has changed, and find others there when its
    /// turn comes.
    fn why_lost_to_others(&self, ip: IpAddr) -> Option<Reason> {
        let (history, knew) = (self.history, self.knew);
        let hold = history.hold(&self.service.key, &ip)?;
        let turns = knew.turns.iter().rev();
        let mut turns = turns.take_while(|(_, now)| *now >= hold.from);
        turns.find_map(|(told, now)| {
            let versions = |key| history.between(key, *told, *now);
            let mut others = self.others().flat_map(versions);
            others.find_map(|other| {
                let mut own = versions(&self.service.key);
                own.find_map(|own| self.why_lost_to(ip, own, other))
            })
        })
    }

    /// Whether pools or wishes were such for a while that it was to leave anyway: it is no longer
    /// the one who was there first.
    fn was_asked(&self) -> bool {
        let (history, knew, key) = (self.history, self.knew, &self.service.key);
        let holds = self.ips().filter_map(|ip| history.hold(key, &ip));
        let since = holds.map(|hold| hold.from).max().unwrap_or(knew.now);
        let versions = history.between(key, knew.began.max(since), knew.now);
        let mut services = versions.filter_map(|version| version.service.as_ref());
        services.any(|service| match &service.held {
            Held::Ips(held) => {
                let mut pools = knew.pools_before.iter();
                pools.any(|pools| !pools.let_keep(service, held))
            }
            Held::Nothing | Held::Unusable(_) => false,
        })
    }

    /// By what rule one leaves who was like this when another was like that.
    fn why_lost_to(&self, ip: IpAddr, own: &Version, other: &Version) -> Option<Reason> {
        let (history, knew, ip) = (self.history, self.knew, &ip);
        let (service, rival) = (own.service.as_ref()?, other.service.as_ref()?);
        let hold = other.claim(ip).filter(|_| other.bars(ip, service))?;
        // Who comes to share in another way leaves himself, however old he is, whatever the other
        // does at the same time.
        let mut rivals = history.between(&rival.key, knew.began, other.from);
        let has_left = |rival: &Version| {
            let mut before = history.between(&service.key, knew.began, own.from);
            let rival = rival.service.as_ref().filter(|_| rival.bars(ip, service));
            rival.is_some_and(|rival| before.any(|version| version.shares(ip, rival)))
        };
        if rivals.any(has_left) {
            return Some(Reason::Unshared);
        }
        // Who had nothing before a mistake made it look so may leave to anybody.
        if own.hold(ip)?.is_mistake_after(knew.began) {
            return Some(Reason::Yielded);
        }
        // Who led when the other changed, and knew of both before, knows who it was, unless it had
        // no pool with the address then. Else it goes by age.
        let mut pools = knew.pools_before.iter();
        let other_changed = hold.by == Hand::Leader
            && pools.all(|pools| pools.config.pool_of(&[*ip]).is_some())
            && self.was_known_to_share(ip, own, other);
        (is_older(rival, service) && !other_changed).then_some(Reason::Yielded)
    }

    /// Whether the leader had seen both on the address when they could share it.
    fn was_known_to_share(&self, ip: &IpAddr, own: &Version, other: &Version) -> bool {
        let (history, knew) = (self.history, self.knew);
        let (Some(service), Some(rival)) = (&own.service, &other.service) else {
            return false;
        };
        let mut others = history.between(&rival.key, knew.began, other.from);
        let mut owns = history.between(&service.key, knew.began, knew.now);
        let changed = knew.saw(other).unwrap_or(usize::MAX);
        let is_granted = |it: &Version| it.hold(ip).is_some_and(|hold| hold.from > knew.there);
        others.any(|it| knew.saw(it).is_some() && it.shares(ip, service))
            && owns.any(|it| {
                let seen = knew.saw(it).is_some_and(|turn| turn < changed);
                is_granted(it) || seen && it.hold(ip).is_some()
            })
    }

    /// By what rule it leaves to one who is to get an address of it.
    fn why_lost_to_grant(&self, ip: IpAddr) -> Option<Reason> {
        let (history, knew) = (self.history, self.knew);
        let own = history.hold(&self.service.key, &ip)?;
        self.grants(ip).find_map(|grant| {
            let before = || history.between(&self.service.key, knew.began, history.end());
            let mut forms = self.forms(grant);
            if forms.any(|it| before().any(|version| version.shares(&ip, it))) {
                return Some(Reason::Unshared);
            }
            own.is_mistake_after(knew.began).then_some(Reason::Yielded)
        })
    }

    /// What the leader has decided to give to others who cannot share it, whose status may not show
    /// it yet.
    fn grants(&self, ip: IpAddr) -> impl Iterator<Item = &Grant> {
        let (history, knew) = (self.history, self.knew);
        knew.granted.values().filter(move |grant| {
            let Grant { service, ips, .. } = grant;
            let is_same = |version: &Version| {
                let it = version.service.as_ref();
                it.is_some_and(|it| it.uid == service.uid)
            };
            let mut versions = history.between(&service.key, knew.told, knew.now);
            service.key != self.service.key
                && ips.contains(&ip)
                && self.forms(grant).any(|it| !may_share(it, self.service))
                && versions.any(is_same)
        })
    }

    /// What one that is to get something was when that was decided, and has been since.
    fn forms<'b>(&'b self, grant: &'b Grant) -> impl Iterator<Item = &'b Service> {
        let Grant { service, told, .. } = grant;
        let versions = self.history.between(&service.key, *told, self.knew.now);
        let since = versions.filter_map(|version| version.service.as_ref());
        iter::once(service).chain(since.filter(|it| it.uid == service.uid))
    }

    fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.held.iter().copied()
    }

    fn others(&self) -> impl Iterator<Item = &ObjectKey> {
        let keys = self.history.keys();
        keys.filter(|other| **other != self.service.key)
    }
}

/// Whether it was created before the other one.
pub(super) fn is_older(service: &Service, than: &Service) -> bool {
    (service.created, &service.key) < (than.created, &than.key)
}
