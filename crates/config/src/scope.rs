//! What an advertisement is about: which addresses, from which nodes, of which Services.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::labels::LabelSet;
use crate::pool::Pool;
use crate::selector::{Duplicate, Selector, SelectorError, any_or_none, distinct};

/// The part that both kinds of advertisement have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The pools whose addresses are announced, by name; those that do not exist do no harm.
    pub pools: BTreeSet<String>,
    /// The pools, by label: any of these, together with `pools`. When both are empty, all pools.
    pub pool_selectors: Vec<Selector>,
    /// The nodes that may announce: any of these; all when empty.
    pub node_selectors: Vec<Selector>,
    /// The Services whose addresses are announced: any of these; all when empty.
    pub service_selectors: Vec<Selector>,
}

/// Why an advertisement is about nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A pool is named twice.
    #[error(transparent)]
    Pool(#[from] Duplicate),
    /// A bad label selector.
    #[error("invalid label selector in {field} of advertisement {name:?}: {error}")]
    Selector {
        /// The advertisement's name.
        name: String,
        /// The field with the selector.
        field: &'static str,
        /// What is wrong with it.
        error: SelectorError,
    },
}

/// The fields as the objects have them.
pub(crate) struct Fields<'a> {
    pub(crate) name: &'a str,
    pub(crate) pools: &'a [String],
    pub(crate) pool_selectors: &'a [LabelSelector],
    pub(crate) node_selectors: &'a [LabelSelector],
    pub(crate) service_selectors: &'a [LabelSelector],
}

impl Scope {
    /// Whether it is about addresses of `pool`.
    pub fn selects_pool(&self, pool: &Pool) -> bool {
        self.selects_all_pools()
            || self.pools.contains(&pool.name)
            || self
                .pool_selectors
                .iter()
                .any(|selector| selector.matches(&pool.labels))
    }

    /// Whether it is about all pools, whatever their names and labels.
    pub(crate) fn selects_all_pools(&self) -> bool {
        self.pools.is_empty() && self.pool_selectors.is_empty()
    }

    /// Whether a node with these labels may announce.
    pub fn selects_node(&self, labels: &impl LabelSet) -> bool {
        any_or_none(&self.node_selectors, labels)
    }

    /// Whether it is about the addresses of a Service with these labels.
    pub fn selects_service(&self, labels: &impl LabelSet) -> bool {
        any_or_none(&self.service_selectors, labels)
    }
}

impl TryFrom<Fields<'_>> for Scope {
    type Error = ScopeError;

    fn try_from(fields: Fields<'_>) -> Result<Self, ScopeError> {
        let selectors = |field, list| {
            Selector::parse_list(field, list).map_err(|error| fields.refused(field, error))
        };
        Ok(Self {
            pools: distinct("ipAddressPools", fields.pools)?,
            pool_selectors: selectors("ipAddressPoolSelectors", fields.pool_selectors)?,
            node_selectors: selectors("nodeSelectors", fields.node_selectors)?,
            service_selectors: selectors("serviceSelectors", fields.service_selectors)?,
        })
    }
}

impl Fields<'_> {
    fn refused(&self, field: &'static str, error: SelectorError) -> ScopeError {
        let name = self.name.to_owned();
        ScopeError::Selector { name, field, error }
    }
}
