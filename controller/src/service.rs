//! Services, reduced to what allocation needs: a cluster has thousands of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ObjectReference, Service as CoreService};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use metallb_config::Labels;
use metallb_ipam::{Families, Ips, ServiceKey};
use serde::{Deserialize, Serialize};

/// A Service as it comes from the API server, with only the fields that matter here.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Resource)]
#[resource(inherit = CoreService)]
pub(crate) struct WatchedService {
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: Spec,
    #[serde(default)]
    pub(crate) status: Status,
}

/// The part of `spec` that matters here.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    #[serde(rename = "type")]
    pub(crate) type_: String,
    #[serde(rename = "clusterIP")]
    pub(crate) cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    pub(crate) cluster_ips: Vec<String>,
    pub(crate) ip_family_policy: String,
    #[serde(rename = "loadBalancerIP")]
    pub(crate) load_balancer_ip: String,
    pub(crate) load_balancer_class: Option<String>,
}

/// The part of `status` that matters here.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    pub(crate) load_balancer: LoadBalancer,
}

/// `status.loadBalancer`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LoadBalancer {
    pub(crate) ingress: Vec<Ingress>,
}

/// An entry of `status.loadBalancer.ingress`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Ingress {
    pub(crate) ip: String,
    pub(crate) hostname: String,
}

/// A Service that is, or still looks like, a load balancer of ours.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Service {
    pub(crate) key: ServiceKey,
    pub(crate) uid: Box<str>,
    pub(crate) resource_version: Box<str>,
    /// Seconds since 1970.
    pub(crate) created: i64,
    pub(crate) labels: Option<Box<Labels>>,
    /// What its status holds.
    pub(crate) held: Held,
    /// `metallb.io/ip-allocated-from-pool` as it is now.
    pub(crate) held_pool: Option<Box<str>>,
    pub(crate) want: Want,
    /// A key of the old prefix, to be told about.
    pub(crate) deprecated_annotation: Option<Box<str>>,
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

/// What the Service is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// No address: it is not of type `LoadBalancer`.
    Nothing,
    /// Addresses.
    Addresses(Wish),
    /// It says so in a way that makes no sense.
    Mistake(Mistake),
}

/// Which addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) families: Families,
    pub(crate) pool: Option<Box<str>>,
    pub(crate) ips: Requested,
}

/// The addresses that a Service asks for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requested {
    /// Whichever.
    Any,
    /// These.
    These(Ips),
    /// Something unusable, with the reason. What it holds already it keeps.
    Unusable(Box<str>),
}

/// What is wrong with a Service's cluster addresses; upstream's reasons for Events and words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mistake {
    /// Not yet, or it will never have one.
    #[error("Service has no cluster IP")]
    Absent,
    /// `clusterIPs` are no addresses (a headless Service), or not one of each family.
    #[error("Failed to retrieve ClusterIPs IPFamily for {cluster_ips:?}: {why}")]
    Unusable {
        cluster_ips: Vec<String>,
        why: String,
    },
    /// `RequireDualStack` with one cluster IP.
    #[error("Service requires dual stack but not enough clusterips [{}]", .0.join(" "))]
    NotEnough(Vec<String>),
}

impl Mistake {
    /// The reason for the Event. Upstream's `not enough clusterips` has spaces, which no reason
    /// may have; ours is in one word.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Absent => "noClusterIPs",
            Self::Unusable { .. } => "noclusterIPsIPFamily",
            Self::NotEnough(_) => "notEnoughClusterIPs",
        }
    }
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
        let held_pool = annotations.get(ALLOCATED_FROM_POOL);
        let balancer = spec.type_ == "LoadBalancer";
        if !balancer && held == Held::Nothing && held_pool.is_none() {
            return None;
        }
        let want = if balancer {
            Wish::read(spec, annotations).map_or_else(Want::Mistake, Want::Addresses)
        } else {
            Want::Nothing
        };
        let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
        Some(Self {
            key: ServiceKey::new(namespace.unwrap_or(""), name.unwrap_or("")),
            uid: meta.uid.as_deref().unwrap_or("").into(),
            resource_version: meta.resource_version.as_deref().unwrap_or("").into(),
            created: meta
                .creation_timestamp
                .as_ref()
                .map_or(i64::MAX, |Time(t)| t.as_second()),
            labels: meta
                .labels
                .clone()
                .filter(|labels| !labels.is_empty())
                .map(Box::new),
            held,
            held_pool: held_pool.map(|pool| pool.as_str().into()),
            want,
            deprecated_annotation: annotations
                .keys()
                .find(|key| key.starts_with(DEPRECATED_PREFIX))
                .map(|key| key.as_str().into()),
        })
    }

    /// What Events about it refer to.
    pub(crate) fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            namespace: Some(self.key.namespace().to_owned()),
            name: Some(self.key.name().to_owned()),
            uid: Some(self.uid.to_string()),
            resource_version: Some(self.resource_version.to_string()),
            ..ObjectReference::default()
        }
    }

    /// Whether its status or annotation hold anything that we write.
    pub(crate) fn holds_something(&self) -> bool {
        self.held != Held::Nothing || self.held_pool.is_some()
    }
}

impl Held {
    fn read(ingress: &[Ingress]) -> Self {
        if ingress.is_empty() {
            return Self::Nothing;
        }
        let mut ips = Vec::with_capacity(2);
        for entry in ingress {
            if let Ok(ip) = entry.ip.parse() {
                ips.push(ip);
            } else {
                let text = format!("{}{}", entry.ip, entry.hostname);
                return Self::Unusable(format!("{text:?} is no address").into());
            }
        }
        Ips::try_from(ips.as_slice())
            .map_or_else(|error| Self::Unusable(error.to_string().into()), Self::Ips)
    }
}

impl Wish {
    fn read(spec: &Spec, annotations: &BTreeMap<String, String>) -> Result<Self, Mistake> {
        Ok(Self {
            families: families(spec)?,
            pool: annotation(annotations, "address-pool")
                .filter(|pool| !pool.is_empty())
                .map(Into::into),
            ips: Requested::read(spec, annotations),
        })
    }
}

fn families(spec: &Spec) -> Result<Families, Mistake> {
    let mut texts = spec.cluster_ips.clone();
    if texts.is_empty() && !spec.cluster_ip.is_empty() {
        texts.push(spec.cluster_ip.clone());
    }
    if texts.is_empty() {
        return Err(Mistake::Absent);
    }
    if spec.ip_family_policy == "RequireDualStack" && texts.len() < 2 {
        return Err(Mistake::NotEnough(texts));
    }
    let ips: Result<Vec<IpAddr>, _> = texts
        .iter()
        .map(|text| text.parse().map_err(|_| format!("{text:?} is no address")))
        .collect();
    let families = ips.and_then(|ips| {
        Families::of_cluster_ips(&ips, spec.ip_family_policy == "PreferDualStack")
            .ok_or_else(|| "want one address, or one of each family".to_owned())
    });
    families.map_err(|why| Mistake::Unusable {
        cluster_ips: texts,
        why,
    })
}

impl Requested {
    fn read(spec: &Spec, annotations: &BTreeMap<String, String>) -> Self {
        let list = annotation(annotations, "loadBalancerIPs").unwrap_or("");
        let ips = match (list, spec.load_balancer_ip.as_str()) {
            ("", "") => return Self::Any,
            ("", ip) => match ip.parse::<IpAddr>() {
                Ok(ip) => Ok(ip.into()),
                Err(_) => Err(format!("invalid spec.loadBalancerIP {ip:?}")),
            },
            (list, "") => ips_of(list),
            _ => Err(format!(
                "service can not have both {PREFIX}loadBalancerIPs and svc.Spec.LoadBalancerIP"
            )),
        };
        ips.map_or_else(|why| Self::Unusable(why.into()), Self::These)
    }
}

/// Reads `metallb.io/loadBalancerIPs`.
fn ips_of(list: &str) -> Result<Ips, String> {
    let ips: Vec<IpAddr> = list
        .split(',')
        .map(|ip| ip.trim().parse())
        .collect::<Result<_, _>>()
        .map_err(|_| format!("invalid {PREFIX}loadBalancerIPs: {list:?}"))?;
    Ips::try_from(ips.as_slice()).map_err(|error| error.to_string())
}

/// The value under the present prefix, else under the old one.
fn annotation<'a>(annotations: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    [PREFIX, DEPRECATED_PREFIX]
        .iter()
        .find_map(|prefix| annotations.get(&format!("{prefix}{name}")))
        .map(String::as_str)
}

/// Written beside the status: the pool that the address is from.
pub(crate) const ALLOCATED_FROM_POOL: &str = "metallb.io/ip-allocated-from-pool";

/// Its old name: never written, and removed where it is found.
pub(crate) const DEPRECATED_ALLOCATED_FROM_POOL: &str =
    "metallb.universe.tf/ip-allocated-from-pool";

const PREFIX: &str = "metallb.io/";
const DEPRECATED_PREFIX: &str = "metallb.universe.tf/";
