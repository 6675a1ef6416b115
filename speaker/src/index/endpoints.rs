//! Where each Service has endpoints that can serve. Of a slice nothing else is kept.

use std::collections::{BTreeMap, HashMap};

use arcstr::ArcStr;
use kube::ResourceExt;
use metallb_kit::watch::ObjectKey;
use smallvec::SmallVec;

use super::Node;
use crate::api;

/// What is known of all slices.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    by_service: BTreeMap<ObjectKey, SmallVec<[Slice; 1]>>,
    /// The Service of each slice.
    whose: HashMap<ObjectKey, ObjectKey>,
}

#[derive(Debug, PartialEq, Eq)]
struct Slice {
    key: ObjectKey,
    /// An endpoint without a node serves as well.
    serves: bool,
    /// Each once, in order.
    nodes: SmallVec<[ArcStr; 1]>,
}

impl Endpoints {
    /// Takes in a slice, with names of nodes from among these; says which Service it changed.
    pub(crate) fn apply(
        &mut self,
        object: &api::EndpointSlice,
        nodes: &BTreeMap<ArcStr, Node>,
    ) -> Option<ObjectKey> {
        let key = ObjectKey::of(object);
        let Some(service) = object.labels().get("kubernetes.io/service-name") else {
            return self.delete(&key);
        };
        let service = self.known(ObjectKey::new(key.namespace(), service));
        let slice = Slice::new(key, object, nodes);
        if self.slices_of(&service).any(|it| *it == slice) {
            return None;
        }
        // The label may name another Service than before; it cannot by the API's own rules.
        self.delete(&slice.key);
        self.whose.insert(slice.key.clone(), service.clone());
        let slices = self.by_service.entry(service.clone()).or_default();
        slices.push(slice);
        Some(service)
    }

    /// As [that of Services](metallb_ipam::Claims::compact).
    pub(crate) fn compact(&mut self) {
        self.by_service = std::mem::take(&mut self.by_service).into_iter().collect();
    }

    /// The key of a Service, in the memory of the one that is known: there are thousands.
    pub(crate) fn known(&self, service: ObjectKey) -> ObjectKey {
        let known = self.by_service.get_key_value(&service);
        known.map_or(service, |(known, _)| known.clone())
    }

    /// Forgets a slice; says which Service it changed.
    pub(crate) fn delete(&mut self, key: &ObjectKey) -> Option<ObjectKey> {
        let service = self.whose.remove(key)?;
        if let Some(slices) = self.by_service.get_mut(&service) {
            slices.retain(|it| it.key != *key);
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
            .any(|slice| slice.nodes.iter().any(|it| it == node))
    }

    fn slices_of(&self, service: &ObjectKey) -> impl Iterator<Item = &Slice> {
        self.by_service.get(service).into_iter().flatten()
    }
}

impl Slice {
    fn new(key: ObjectKey, object: &api::EndpointSlice, known: &BTreeMap<ArcStr, Node>) -> Self {
        let serving = || {
            let endpoints = object.endpoints.iter().flatten();
            endpoints.filter(|it| can_serve(it.conditions))
        };
        let mut names: Vec<&str> = serving().filter_map(|it| it.node_name.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        let nodes = names
            .into_iter()
            .map(|name| match known.get_key_value(name) {
                Some((known, _)) => known.clone(),
                None => ArcStr::from(name),
            });
        Self {
            key,
            serves: serving().next().is_some(),
            nodes: nodes.collect(),
        }
    }
}

/// Upstream's rule: ready counts first, so that publishNotReadyAddresses works; one that
/// terminates but still serves is good too.
fn can_serve(conditions: api::EndpointConditions) -> bool {
    conditions.ready.unwrap_or(true) || conditions.serving.unwrap_or(false)
}
