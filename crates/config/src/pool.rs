//! Pools of addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use kube::ResourceExt;
use metallb_crds::names::PROBE_BEFORE_USE;
use metallb_crds::v1beta1;

use crate::labels::Labels;
use crate::range::{AddrRange, Family, RangeError};
use crate::selector::{Duplicate, Selector, SelectorError, distinct};

/// A pool: addresses to give to Services, and which Services may have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// The identity of its object, when the API server gave it one.
    pub uid: Option<String>,
    /// Its labels, by which advertisements select it.
    pub labels: Labels,
    /// Whether a Service that did not ask for this pool may get an address of it.
    pub auto_assign: bool,
    /// Whether IPv4 addresses that end in .0 and .255 stay unused.
    pub avoid_buggy_ips: bool,
    /// Whether the segment is asked for an address before it is announced for the first time.
    pub probe_before_use: bool,
    /// The Services that it is for; nothing says all of them.
    pub service_allocation: Option<ServiceAllocation>,
    ranges: Vec<AddrRange>,
    /// Of each family, the entry that is made of the smallest networks.
    finest: BTreeMap<Family, (u8, AddrRange)>,
}

/// Which Services a pool is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceAllocation {
    /// Among the pools that are for a Service, a lower number goes first and 0 last.
    pub priority: i64,
    /// The namespaces of its Services, by name.
    pub namespaces: BTreeSet<String>,
    /// The namespaces of its Services, by label: any of these. Together with `namespaces`; when
    /// both are empty, all namespaces.
    pub namespace_selectors: Vec<Selector>,
    /// Its Services, by label: any of these; all when empty.
    pub service_selectors: Vec<Selector>,
}

/// Why a pool is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// No addresses at all.
    #[error("pool has no prefixes defined: list at least one CIDR or range in addresses")]
    NoAddresses,
    /// The annotation that says whether to probe is neither `true` nor `false`.
    #[error(
        "invalid annotation metallb.io/probe-before-use in pool {pool:?}: {text:?} is neither \"true\" nor \"false\""
    )]
    ProbeBeforeUse {
        /// The pool's name.
        pool: String,
        /// The annotation's value.
        text: String,
    },
    /// An entry of `addresses` that is no range.
    #[error("invalid CIDR {text:?} in pool {pool:?}: {error}")]
    Address {
        /// The pool's name.
        pool: String,
        /// The entry.
        text: String,
        /// What is wrong with it.
        error: RangeError,
    },
    /// Addresses that are there already, in the same pool or in an older one.
    #[error(
        "CIDR \"{range}\" in pool {pool:?} overlaps with already defined CIDR \"{with}\" in pool \
         {of:?}"
    )]
    Overlap {
        /// The pool's name.
        pool: String,
        /// The entry.
        range: AddrRange,
        /// The entry that was there.
        with: AddrRange,
        /// The pool that was there.
        of: String,
    },
    /// There is an older pool of the same name.
    #[error("duplicate definition of pool {0:?}")]
    Name(String),
    /// A namespace is named twice.
    #[error("duplicate definition in namespaces field: {0:?} is there twice")]
    Namespace(String),
    /// A bad entry of `namespaceSelectors`.
    #[error("invalid namespace label selector in ip pool {pool:?}: {error}")]
    NamespaceSelector {
        /// The pool's name.
        pool: String,
        /// What is wrong with it.
        error: SelectorError,
    },
    /// A bad entry of `serviceSelectors`.
    #[error("invalid service label selector in ip pool {pool:?}: {error}")]
    ServiceSelector {
        /// The pool's name.
        pool: String,
        /// What is wrong with it.
        error: SelectorError,
    },
}

impl Pool {
    /// A pool of these addresses for every Service.
    ///
    /// Refused when there are no ranges, or some address is in two of them.
    pub fn new(name: impl Into<String>, ranges: Vec<AddrRange>) -> Result<Self, PoolError> {
        let name = name.into();
        if ranges.is_empty() {
            return Err(PoolError::NoAddresses);
        }
        Taken::check(&name, &ranges)?;
        let mut finest = BTreeMap::new();
        for &range in &ranges {
            let this = (range.shortest_prefix(), range);
            let known = finest.entry(range.family()).or_insert(this);
            if this.0 > known.0 {
                *known = this;
            }
        }
        Ok(Self {
            name,
            uid: None,
            labels: Labels::new(),
            auto_assign: true,
            avoid_buggy_ips: false,
            probe_before_use: false,
            service_allocation: None,
            ranges,
            finest,
        })
    }

    /// Its addresses: at least one range, none overlapping another, in the order of the object.
    pub fn ranges(&self) -> &[AddrRange] {
        &self.ranges
    }

    /// Whether it has addresses of this family.
    pub fn has(&self, family: Family) -> bool {
        self.finest.contains_key(&family)
    }

    /// Of the entries of this family, the first whose shortest prefix is the longest, and its
    /// length: what announces no network shorter than this announces only what the pool has.
    pub(crate) fn finest(&self, family: Family) -> Option<(u8, AddrRange)> {
        self.finest.get(&family).copied()
    }

    /// Whether it is for a Service with these labels in a namespace of this name and labels.
    pub fn is_for(&self, namespace: &str, namespace_labels: &Labels, service: &Labels) -> bool {
        self.service_allocation
            .as_ref()
            .is_none_or(|allocation| allocation.admits(namespace, namespace_labels, service))
    }
}

impl ServiceAllocation {
    /// Whether a Service with these labels in a namespace of this name and labels may have an
    /// address.
    ///
    /// Selectors that match no namespace at present admit nobody. Upstream drops the restriction
    /// then, for those who ask for the pool by name.
    fn admits(&self, namespace: &str, namespace_labels: &Labels, service: &Labels) -> bool {
        let any_namespace = self.namespaces.is_empty() && self.namespace_selectors.is_empty();
        let any_service = self.service_selectors.is_empty();
        (any_namespace
            || self.namespaces.contains(namespace)
            || self
                .namespace_selectors
                .iter()
                .any(|selector| selector.matches(namespace_labels)))
            && (any_service
                || self
                    .service_selectors
                    .iter()
                    .any(|selector| selector.matches(service)))
    }

    /// What pools are ordered by: lower goes first.
    pub fn rank(&self) -> (bool, i64) {
        (self.priority == 0, self.priority)
    }
}

impl TryFrom<&v1beta1::IPAddressPool> for Pool {
    type Error = PoolError;

    /// What the object says on its own, whatever other pools there are.
    fn try_from(object: &v1beta1::IPAddressPool) -> Result<Self, PoolError> {
        let name = object.name_any();
        let spec = &object.spec;
        let ranges = spec
            .addresses
            .iter()
            .map(|text| {
                text.parse().map_err(|error| {
                    let (pool, text) = (name.clone(), text.clone());
                    PoolError::Address { pool, text, error }
                })
            })
            .collect::<Result<Vec<AddrRange>, _>>()?;
        let service_allocation = spec
            .service_allocation
            .as_ref()
            .map(|allocation| service_allocation(&name, allocation))
            .transpose()?;
        Ok(Self {
            uid: object.uid(),
            labels: object.labels().clone(),
            auto_assign: spec.auto_assign,
            avoid_buggy_ips: spec.avoid_buggy_ips,
            probe_before_use: probe_before_use(object)?,
            service_allocation,
            ..Self::new(name, ranges)?
        })
    }
}

fn probe_before_use(object: &v1beta1::IPAddressPool) -> Result<bool, PoolError> {
    let Some(text) = object.annotations().get(PROBE_BEFORE_USE) else {
        return Ok(false);
    };
    text.parse().map_err(|_| PoolError::ProbeBeforeUse {
        pool: object.name_any(),
        text: text.clone(),
    })
}

fn service_allocation(
    pool: &str,
    object: &v1beta1::ServiceAllocation,
) -> Result<ServiceAllocation, PoolError> {
    let namespaces = distinct("namespaces", &object.namespaces)
        .map_err(|Duplicate { entry, .. }| PoolError::Namespace(entry))?;
    let namespace_selectors =
        Selector::parse_list("namespaceSelectors", &object.namespace_selectors).map_err(
            |error| PoolError::NamespaceSelector {
                pool: pool.to_owned(),
                error,
            },
        )?;
    let service_selectors = Selector::parse_list("serviceSelectors", &object.service_selectors)
        .map_err(|error| PoolError::ServiceSelector {
            pool: pool.to_owned(),
            error,
        })?;
    let priority = object.priority;
    Ok(ServiceAllocation {
        priority,
        namespaces,
        namespace_selectors,
        service_selectors,
    })
}

/// Ranges that do not overlap, by their first address, each with the pool that has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Taken(BTreeMap<IpAddr, (AddrRange, Arc<str>)>);

/// The range that could not be added, and the one in its way.
#[derive(Debug)]
pub(crate) struct Overlap {
    range: AddrRange,
    with: AddrRange,
    of: String,
}

impl Taken {
    /// Adds all ranges of a pool, or none.
    pub(crate) fn claim_all(&mut self, pool: &Pool) -> Result<(), PoolError> {
        let clash = pool.ranges.iter().find_map(|&range| self.overlap(range));
        if let Some(overlap) = clash {
            return Err(overlap.refusal(&pool.name));
        }
        // A pool's own ranges do not overlap, so these cannot fail one another.
        let name: Arc<str> = pool.name.as_str().into();
        let ranges = pool.ranges.iter().map(|&range| (range, name.clone()));
        self.0.extend(ranges.map(|it| (it.0.first(), it)));
        Ok(())
    }

    /// Refuses ranges of a pool of which some overlap.
    fn check(pool: &str, ranges: &[AddrRange]) -> Result<(), PoolError> {
        let mut taken = Self::default();
        let name: Arc<str> = pool.into();
        for &range in ranges {
            if let Some(overlap) = taken.overlap(range) {
                return Err(overlap.refusal(pool));
            }
            taken.0.insert(range.first(), (range, name.clone()));
        }
        Ok(())
    }

    /// The pool that has `ip`.
    pub(crate) fn owner(&self, ip: IpAddr) -> Option<&str> {
        let (_, (range, pool)) = self.0.range(..=ip).next_back()?;
        range.contains(ip).then_some(pool)
    }

    fn overlap(&self, range: AddrRange) -> Option<Overlap> {
        // Those there do not overlap: only the last to begin in or before `range` can reach it,
        // and the first such is the better one to name.
        let before = self.0.range(..=range.first()).next_back();
        let within = || self.0.range(range.first()..=range.last()).next();
        before
            .filter(|(_, (other, _))| other.overlaps(&range))
            .or_else(within)
            .map(|(_, (with, of))| Overlap {
                range,
                with: *with,
                of: of.to_string(),
            })
    }
}

impl Overlap {
    fn refusal(self, pool: &str) -> PoolError {
        let Self { range, with, of } = self;
        PoolError::Overlap {
            pool: pool.to_owned(),
            range,
            with,
            of,
        }
    }
}
