//! One Service that has addresses, and the pool that they are from.

use std::borrow::Cow;
use std::net::IpAddr;

use metallb_config::Pool;
use metallb_crds::names::EXCLUDE_FROM_EXTERNAL_LOAD_BALANCERS as EXCLUDE;
use metallb_kit::watch::ObjectKey;

use super::Own;
use crate::index::{Index, Ingress, Node, Service};
use crate::reason::Reason;

/// A Service with addresses that the configuration allows.
#[derive(Debug)]
pub(super) struct Assigned<'a> {
    pub(super) key: &'a ObjectKey,
    pub(super) service: &'a Service,
    pub(super) ips: &'a [IpAddr],
    pub(super) pool: Cow<'a, Pool>,
}

impl<'a> Assigned<'a> {
    pub(super) fn of(index: &'a Index, key: &'a ObjectKey) -> Result<Self, Reason> {
        let service = index.services.get(key).ok_or(Reason::ServiceDeleted)?;
        let ips = match &service.ingress {
            Ingress::None => return Err(Reason::NoIpAllocated),
            Ingress::Invalid => return Err(Reason::InvalidIp),
            Ingress::Ips(ips) => ips,
        };
        if ips.is_empty() {
            return Err(Reason::NoIpAllocated);
        }
        // The controller will give it another; until then the older Service alone is announced.
        if index.gives_way(key) {
            return Err(Reason::AddressInUse);
        }
        let configuration = &index.configuration;
        let pool = if let Some(pool) = configuration.config().pool_of(ips) {
            Cow::Borrowed(pool)
        } else {
            let name = service.pool.as_deref().ok_or(Reason::IpNotAllowed)?;
            let broken = configuration.broken_pool(name, ips);
            Cow::Owned(broken.ok_or(Reason::IpNotAllowed)?)
        };
        Ok(Self {
            key,
            service,
            ips,
            pool,
        })
    }
}

/// Not excluded by its label.
pub(super) fn is_excluded(own: &Own, node: &Node) -> bool {
    !own.ignore_exclude_lb && node.labels.contains_key(EXCLUDE)
}
