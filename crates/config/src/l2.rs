//! Advertisements by layer 2.

use std::collections::BTreeSet;

use kube::ResourceExt;
use metallb_crds::v1beta1;

use crate::pool::Pool;
use crate::selector::{Duplicate, Labels, Selector, SelectorError, distinct};

/// An L2Advertisement: which addresses are announced by ARP and NDP, from where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct L2Advertisement {
    /// Its name.
    pub name: String,
    /// The identity of its object, when the API server gave it one.
    pub uid: Option<String>,
    /// The pools whose addresses it announces, by name; those that do not exist do no harm.
    pub pools: BTreeSet<String>,
    /// The pools, by label: any of these, together with `pools`. When both are empty, all pools.
    pub pool_selectors: Vec<Selector>,
    /// The nodes that may announce: any of these; all when empty.
    pub node_selectors: Vec<Selector>,
    /// The interfaces to announce on; all when empty.
    pub interfaces: BTreeSet<String>,
    /// The Services whose addresses it announces: any of these; all when empty.
    pub service_selectors: Vec<Selector>,
    /// The nodes that should rather announce than others.
    pub preferred_nodes: Vec<PreferredNodes>,
}

/// Nodes that an advertisement prefers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreferredNodes {
    /// How much, 1 to 100.
    pub weight: i32,
    /// Which.
    pub selector: Selector,
}

/// Why an L2Advertisement is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum L2AdvertisementError {
    /// A pool is named twice.
    #[error(transparent)]
    Pool(#[from] Duplicate),
    /// A bad label selector.
    #[error("invalid label selector in {field} of l2advertisement {name:?}: {error}")]
    Selector {
        /// The advertisement's name.
        name: String,
        /// The field with the selector.
        field: &'static str,
        /// What is wrong with it.
        error: SelectorError,
    },
}

impl L2Advertisement {
    /// Whether it announces addresses of `pool`.
    pub fn selects_pool(&self, pool: &Pool) -> bool {
        (self.pools.is_empty() && self.pool_selectors.is_empty())
            || self.pools.contains(&pool.name)
            || self
                .pool_selectors
                .iter()
                .any(|selector| selector.matches(&pool.labels))
    }

    /// Whether a node with these labels may announce.
    pub fn selects_node(&self, labels: &Labels) -> bool {
        any_or_empty(&self.node_selectors, labels)
    }

    /// Whether it announces the addresses of a Service with these labels.
    pub fn selects_service(&self, labels: &Labels) -> bool {
        any_or_empty(&self.service_selectors, labels)
    }

    /// How much it prefers a node with these labels: the weights of all preferences that match,
    /// nothing when it does not select the node.
    pub fn preference(&self, labels: &Labels) -> i64 {
        if !self.selects_node(labels) {
            return 0;
        }
        let matching = self
            .preferred_nodes
            .iter()
            .filter(|it| it.selector.matches(labels));
        matching.map(|it| i64::from(it.weight)).sum()
    }
}

impl TryFrom<&v1beta1::L2Advertisement> for L2Advertisement {
    type Error = L2AdvertisementError;

    fn try_from(object: &v1beta1::L2Advertisement) -> Result<Self, L2AdvertisementError> {
        let name = object.name_any();
        let spec = &object.spec;
        let refused = |field, error| {
            let name = name.clone();
            L2AdvertisementError::Selector { name, field, error }
        };
        let selectors =
            |field, list| Selector::parse_list(field, list).map_err(|error| refused(field, error));
        let preferred_nodes = spec
            .preferred_node_selectors
            .iter()
            .map(|it| {
                let selector = Selector::try_from(&it.preference)
                    .map_err(|error| refused("preferredNodeSelectors", error))?;
                Ok(PreferredNodes {
                    weight: it.weight,
                    selector,
                })
            })
            .collect::<Result<_, L2AdvertisementError>>()?;
        Ok(Self {
            uid: object.uid(),
            pools: distinct("ipAddressPools", &spec.ip_address_pools)?,
            pool_selectors: selectors("ipAddressPoolSelectors", &spec.ip_address_pool_selectors)?,
            node_selectors: selectors("nodeSelectors", &spec.node_selectors)?,
            interfaces: spec.interfaces.iter().cloned().collect(),
            service_selectors: selectors("serviceSelectors", &spec.service_selectors)?,
            preferred_nodes,
            name,
        })
    }
}

fn any_or_empty(selectors: &[Selector], labels: &Labels) -> bool {
    selectors.is_empty() || selectors.iter().any(|selector| selector.matches(labels))
}
