//! Advertisements by layer 2.

use std::collections::BTreeSet;

use kube::ResourceExt;
use metallb_crds::v1beta1;

use crate::labels::Labels;
use crate::scope::{Fields, Scope, ScopeError};
use crate::selector::Selector;

/// An L2Advertisement: which addresses are announced by ARP and NDP, from where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct L2Advertisement {
    /// Its name.
    pub name: String,
    /// The identity of its object, when the API server gave it one.
    pub uid: Option<String>,
    /// Which addresses it announces, from which nodes, of which Services.
    pub scope: Scope,
    /// The interfaces to announce on; all when empty.
    pub interfaces: BTreeSet<String>,
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
    /// It does not say what to announce.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// There is an older one of the same name.
    #[error("duplicate definition of l2advertisement {0:?}")]
    Name(String),
}

impl L2Advertisement {
    /// How much it prefers a node with these labels: the weights of all preferences that match,
    /// nothing when it does not select the node.
    pub fn preference(&self, labels: &Labels) -> i64 {
        if !self.scope.selects_node(labels) {
            return 0;
        }
        let matching = self
            .preferred_nodes
            .iter()
            .filter(|it| it.selector.matches(labels));
        matching.map(|it| i64::from(it.weight)).sum()
    }

    /// All that it says but for the pools and the preferences.
    pub(crate) fn beside_pools(&self) -> impl Ord {
        let Scope {
            node_selectors,
            service_selectors,
            ..
        } = &self.scope;
        (&self.interfaces, node_selectors, service_selectors)
    }
}

impl TryFrom<&v1beta1::L2Advertisement> for L2Advertisement {
    type Error = L2AdvertisementError;

    /// What the object says on its own, whatever others there are.
    fn try_from(object: &v1beta1::L2Advertisement) -> Result<Self, L2AdvertisementError> {
        let name = object.name_any();
        let spec = &object.spec;
        let scope = Scope::try_from(Fields {
            name: &name,
            pools: &spec.ip_address_pools,
            pool_selectors: &spec.ip_address_pool_selectors,
            node_selectors: &spec.node_selectors,
            service_selectors: &spec.service_selectors,
        })?;
        let preferred_nodes = spec
            .preferred_node_selectors
            .iter()
            .map(|it| PreferredNodes::read(&name, it))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            name,
            uid: object.uid(),
            scope,
            interfaces: spec.interfaces.iter().cloned().collect(),
            preferred_nodes,
        })
    }
}

impl PreferredNodes {
    fn read(name: &str, object: &v1beta1::PreferredNodeSelector) -> Result<Self, ScopeError> {
        let selector = Selector::try_from(&object.preference);
        let selector = selector.map_err(|error| ScopeError::Selector {
            name: name.to_owned(),
            field: "preferredNodeSelectors",
            error,
        })?;
        let weight = object.weight;
        Ok(Self { weight, selector })
    }
}
