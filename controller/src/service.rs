//! Services, reduced to what allocation needs: a cluster has thousands of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use metallb_config::{LabelText, ObjectKey};
use metallb_crds::names::{IP_ALLOCATED_FROM_POOL, LEGACY_PREFIX};
use metallb_ipam::Ips;
use serde_json::{Map, Value};

use crate::condition::Told;
use crate::watched::{Ingress, WatchedService};
use crate::wish::{Want, Wish};

/// A Service that is, or still looks like, a load balancer of ours.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Service {
    pub(crate) key: ObjectKey,
    pub(crate) uid: Box<str>,
    pub(crate) resource_version: Box<str>,
    /// Seconds since 1970.
    pub(crate) created: i64,
    pub(crate) labels: LabelText,
    /// What its status holds.
    pub(crate) held: Held,
    /// `metallb.io/ip-allocated-from-pool` as it is now.
    pub(crate) held_pool: Option<Box<str>>,
    pub(crate) want: Want,
    /// What its condition `metallb.io/AddressAssigned` says.
    pub(crate) told: Option<Told>,
    /// A key of the old prefix, to be told about.
    pub(crate) deprecated_annotation: Option<Box<str>>,
    /// What writing its status takes, while it looks as if that were to be done.
    pub(crate) material: Option<Arc<Material>>,
}

/// What a PUT of a Service's status must hold besides what we write: the API server takes `spec`
/// from what it has, but metadata and the rest of the status from the request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Material {
    /// `metadata`, as JSON.
    pub(crate) metadata: Box<str>,
    /// `status` without `loadBalancer`, as JSON.
    pub(crate) status: Box<str>,
}

/// What `status.loadBalancer` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nothing.
    Nothing,
    /// Addresses that one Service can have.
    Ips(Ips),
    /// Something that cannot be ours; with the reason.
    Unusable(Box<str>),
}

impl Service {
    /// What concerns us of `watched`; nothing for a Service that is not ours to serve and holds
    /// nothing of ours. `class` is `--lb-class`, empty when not given.
    pub(crate) fn read(watched: &WatchedService, class: &str) -> Option<Self> {
        let spec = &watched.spec;
        // Upstream's rule: no class means the default one, and ours is the default without a flag.
        if spec.load_balancer_class.as_deref().unwrap_or("") != class {
            return None;
        }
        let meta = &watched.metadata;
        let none = BTreeMap::new();
        let annotations = meta.annotations.as_ref().unwrap_or(&none);
        let held = Held::read(&watched.status.load_balancer.ingress);
        let held_pool = annotations.get(IP_ALLOCATED_FROM_POOL);
        let balancer = spec.type_ == "LoadBalancer";
        let told = Told::read(&watched.status.rest);
        if !balancer && held == Held::Nothing && held_pool.is_none() && told.is_none() {
            return None;
        }
        let want = if balancer {
            Wish::read(spec, annotations).map_or_else(Want::Mistake, Want::Addresses)
        } else {
            Want::Nothing
        };
        let is_settled = matches!(
            (&want, &held, held_pool),
            (Want::Addresses(_), Held::Ips(_), Some(_))
        );
        Some(Self {
            key: key_of(watched),
            uid: meta.uid.as_deref().unwrap_or("").into(),
            resource_version: meta.resource_version.as_deref().unwrap_or("").into(),
            created: meta
                .creation_timestamp
                .as_ref()
                .map_or(i64::MAX, |Time(t)| t.as_second()),
            labels: LabelText::from(meta.labels.as_ref()),
            held,
            held_pool: held_pool.map(|pool| pool.as_str().into()),
            want,
            told,
            deprecated_annotation: annotations
                .keys()
                .find(|key| key.starts_with(LEGACY_PREFIX))
                .map(|key| key.as_str().into()),
            material: (!is_settled)
                .then(|| Material::of(meta, &watched.status.rest))
                .flatten(),
        })
    }

    /// Its `resourceVersion` as a number, which the API server makes it; bigger is later.
    pub(crate) fn version(&self) -> Option<u64> {
        self.resource_version.parse().ok()
    }

    /// The addresses that its status shows.
    pub(crate) fn ips(&self) -> &[IpAddr] {
        match &self.held {
            Held::Ips(ips) => ips,
            Held::Nothing | Held::Unusable(_) => &[],
        }
    }

    /// Whether its status or annotation hold anything that we write.
    pub(crate) fn holds_something(&self) -> bool {
        self.holds_addresses() || self.told.is_some()
    }

    /// Whether its status holds addresses, or its annotation a pool.
    pub(crate) fn holds_addresses(&self) -> bool {
        self.held != Held::Nothing || self.held_pool.is_some()
    }
}

/// Which Service it is.
pub(crate) fn key_of(watched: &WatchedService) -> ObjectKey {
    let meta = &watched.metadata;
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    ObjectKey::new(namespace.unwrap_or(""), name.unwrap_or(""))
}

impl Material {
    fn of(metadata: &ObjectMeta, status: &Map<String, Value>) -> Option<Arc<Self>> {
        // What came as JSON goes as JSON.
        Some(Arc::new(Self {
            metadata: serde_json::to_string(metadata).ok()?.into(),
            status: serde_json::to_string(status).ok()?.into(),
        }))
    }
}

impl Held {
    fn read(ingress: &[Ingress]) -> Self {
        if ingress.is_empty() {
            return Self::Nothing;
        }
        let text = |entry: &Ingress| format!("{}{}", entry.ip, entry.hostname);
        let ips: Result<Vec<IpAddr>, _> = ingress
            .iter()
            .map(|entry| {
                let ip = entry.ip.parse();
                ip.map_err(|_| format!("{:?} is no address", text(entry)))
            })
            .collect();
        let ips = ips.and_then(|ips| Ips::try_from(&*ips).map_err(|error| error.to_string()));
        ips.map_or_else(
            |why| {
                let all: Vec<_> = ingress.iter().map(|it| format!("{:?}", text(it))).collect();
                Self::Unusable(format!("[{}]: {why}", all.join(" ")).into())
            },
            Self::Ips,
        )
    }
}
