//! Who may have what, told once more and as plainly as can be: what the promises are judged by.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use metallb_config::{Config, Family, ObjectKey, Pool};
use metallb_ipam::{Families, Ips};

use crate::service::{Held, Service};
use crate::wish::{Requested, Sharing, Want, Wish};

/// All Services, as they are read.
pub(super) type Services = BTreeMap<ObjectKey, Service>;

/// Who shows which address.
pub(super) type Holders = BTreeMap<IpAddr, BTreeSet<ObjectKey>>;

pub(super) fn holders(services: &Services) -> Holders {
    let mut holders = Holders::new();
    for (key, service) in services {
        for ip in service.ips() {
            holders.entry(*ip).or_default().insert(key.clone());
        }
    }
    holders
}

/// With whom a Service may have one address.
pub(super) fn sharing(service: &Service) -> Option<&Sharing> {
    match &service.want {
        Want::Addresses(wish) => wish.sharing.as_deref(),
        Want::Nothing | Want::Mistake(_) => None,
    }
}

/// Whether two Services may have one address.
pub(super) fn may_share(a: &Service, b: &Service) -> bool {
    let (Some(a), Some(b)) = (sharing(a), sharing(b)) else {
        return false;
    };
    (&a.key, &a.backend) == (&b.key, &b.backend)
        && !a.ports.iter().any(|port| b.ports.contains(port))
}

/// Whether a Service may have these addresses, as far as pools and its own wishes go.
pub(super) fn allowed(pools: &Config, service: &Service, ips: &Ips) -> bool {
    let Some(pool) = pools.pool_of(ips) else {
        return false;
    };
    wants(service, &pool.name, ips)
        && is_for(pool, service)
        && ips.iter().all(|ip| gives(pool, *ip))
}

/// Whether a Service that has these addresses of this pool asks for nothing else.
pub(super) fn wants(service: &Service, pool: &str, ips: &Ips) -> bool {
    let Some(wish) = wish(service) else {
        return false;
    };
    let asked = match &wish.ips {
        Requested::Any | Requested::Unusable(_) => true,
        // The second family may have been added to the one that was asked for.
        Requested::These(wanted) => {
            wanted.same_set(ips) || prefers_both(wish) && wanted.iter().all(|ip| ips.contains(ip))
        }
    };
    asked && wish.families.accept(ips) && asks_for(wish, pool).unwrap_or(true)
}

/// A pool that could serve a Service that has nothing.
pub(super) fn could_serve<'a>(
    pools: &'a Config,
    service: &Service,
    services: &Services,
    holders: &Holders,
) -> Option<&'a str> {
    let wish = wish(service)?;
    let can_be_had = |ip: IpAddr| can_be_had(ip, service, services, holders);
    match &wish.ips {
        Requested::Unusable(_) => return None,
        Requested::These(ips) => {
            let pool = pools.pool_of(ips)?;
            let enough = !prefers_both(wish) || ips.len() == 2;
            let all = ips.iter().all(|ip| can_be_had(*ip));
            return (enough && all && allowed(pools, service, ips)).then_some(&*pool.name);
        }
        Requested::Any => {}
    }
    let pool = pools.pools().values().find(|pool| {
        let has = |family| addresses(pool, family).any(can_be_had);
        asks_for(wish, &pool.name).unwrap_or(pool.auto_assign)
            && is_for(pool, service)
            && match wish.families {
                Families::One(family) => has(family),
                Families::Both => has(Family::V4) && has(Family::V6),
                Families::PreferBoth { .. } => has(Family::V4) || has(Family::V6),
            }
    })?;
    Some(&pool.name)
}

/// Whether the family that a Service lacks and would rather have too could be had.
pub(super) fn could_be_added(
    pools: &Config,
    service: &Service,
    services: &Services,
    holders: &Holders,
) -> bool {
    let (Some(wish), Held::Ips(ips)) = (wish(service), &service.held) else {
        return false;
    };
    let Some(pool) = pools.pool_of(ips) else {
        return false;
    };
    let missing = Family::of(ips[0]).other();
    prefers_both(wish)
        && ips.len() == 1
        && !matches!(wish.ips, Requested::Unusable(_))
        && addresses(pool, missing).any(|ip| can_be_had(ip, service, services, holders))
}

fn can_be_had(ip: IpAddr, service: &Service, services: &Services, holders: &Holders) -> bool {
    let others = holders.get(&ip).into_iter().flatten();
    others
        .filter(|other| **other != service.key)
        .all(|other| may_share(service, &services[other]))
}

fn wish(service: &Service) -> Option<&Wish> {
    match &service.want {
        Want::Addresses(wish) => Some(wish),
        Want::Nothing | Want::Mistake(_) => None,
    }
}

fn prefers_both(wish: &Wish) -> bool {
    matches!(wish.families, Families::PreferBoth { .. })
}

/// Whether this is the pool that it asks for, if it asks for one.
fn asks_for(wish: &Wish, pool: &str) -> Option<bool> {
    wish.pool.as_deref().map(|asked| asked == pool)
}

fn is_for(pool: &Pool, service: &Service) -> bool {
    let labels = service.labels.to_map();
    pool.is_for(
        service.key.namespace(),
        &metallb_config::Labels::new(),
        &labels,
    )
}

/// What a pool gives out of a family.
fn addresses(pool: &Pool, family: Family) -> impl Iterator<Item = IpAddr> {
    let ranges = pool.ranges().iter();
    ranges
        .filter(move |range| range.family() == family)
        .flat_map(|range| (0..range.len()).filter_map(|n| range.nth(n)))
        .filter(|ip| gives(pool, *ip))
}

fn gives(pool: &Pool, ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !(pool.avoid_buggy_ips && [0, 255].contains(&v4.octets()[3])),
        IpAddr::V6(_) => true,
    }
}
