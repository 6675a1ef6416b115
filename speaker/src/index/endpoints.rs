use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use metallb_kit::watch::ObjectKey;

use crate::api;

/// Where each Service has endpoints that can serve. Of a slice nothing else is kept.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    slices: BTreeMap<ObjectKey, Slice>,
    /// Nearly always one.
    by_service: BTreeMap<ObjectKey, Vec<ObjectKey>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Slice {
    service: ObjectKey,
    /// An endpoint without a node serves as well.
    serves: bool,
    /// In order, each once.
    nodes: Box<[Box<str>]>,
}

impl Endpoints {
    /// Takes in a slice; says which Service it changed.
    pub(crate) fn apply(&mut self, object: &api::EndpointSlice) -> Option<ObjectKey> {
        let key = ObjectKey::of(object);
        let Some(service) = object.labels().get("kubernetes.io/service-name") else {
            return self.delete(&key);
        };
        let slice = Slice::new(ObjectKey::new(&key.namespace, service), object);
        if self.slices.get(&key) == Some(&slice) {
            return None;
        }
        // The label may name another Service than before; it cannot by the API's own rules.
        self.delete(&key);
        let service = slice.service.clone();
        let slices = self.by_service.entry(service.clone()).or_default();
        slices.reserve_exact(1);
        slices.push(key.clone());
        self.slices.insert(key, slice);
        Some(service)
    }

    /// Forgets a slice; says which Service it changed.
    pub(crate) fn delete(&mut self, key: &ObjectKey) -> Option<ObjectKey> {
        let Slice { service, .. } = self.slices.remove(key)?;
        if let Some(slices) = self.by_service.get_mut(&service) {
            slices.retain(|it| it != key);
            if slices.is_empty() {
                self.by_service.remove(&service);
            }
        }
        Some(service)
    }

    /// Whether any endpoint of the Service can serve.
    pub(crate) fn serve(&self, service: &ObjectKey) -> bool {
        self.slices_of(service).any(|slice| slice.serves)
    }

    /// Whether an endpoint of the Service on that node can serve.
    pub(crate) fn serve_on(&self, service: &ObjectKey, node: &str) -> bool {
        self.slices_of(service)
            .any(|slice| slice.nodes.binary_search_by(|it| (**it).cmp(node)).is_ok())
    }

    fn slices_of(&self, service: &ObjectKey) -> impl Iterator<Item = &Slice> {
        self.by_service
            .get(service)
            .into_iter()
            .flatten()
            .filter_map(|key| self.slices.get(key))
    }
}

impl Slice {
    fn new(service: ObjectKey, object: &api::EndpointSlice) -> Self {
        let serving = || {
            object
                .endpoints
                .iter()
                .flatten()
                .filter(|it| can_serve(it.conditions))
        };
        let nodes: BTreeSet<&str> = serving().filter_map(|it| it.node_name.as_deref()).collect();
        Self {
            service,
            serves: serving().next().is_some(),
            nodes: nodes.into_iter().map(Into::into).collect(),
        }
    }
}

/// Upstream's rule: ready counts first, so that publishNotReadyAddresses works; one that
/// terminates but still serves is good too.
fn can_serve(conditions: api::EndpointConditions) -> bool {
    conditions.ready.unwrap_or(true) || conditions.serving.unwrap_or(false)
}
