//! What a Service is to have, read from its spec and annotations.

use std::collections::BTreeMap;
use std::net::IpAddr;

use metallb_crds::names;
use metallb_ipam::{Families, Ips, Port, backend_key};

use crate::watched::Spec;

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
    /// Nothing when it shares with nobody.
    pub(crate) sharing: Option<Box<Sharing>>,
}

/// With whom a Service shares its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sharing {
    /// `allow-shared-ip`.
    pub(crate) key: Box<str>,
    /// What its endpoints are, where that matters.
    pub(crate) backend: Box<str>,
    pub(crate) ports: Box<[Port]>,
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

impl Wish {
    pub(crate) fn read(
        spec: &Spec,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Self, Mistake> {
        Ok(Self {
            families: families(spec)?,
            pool: annotation(annotations, names::ADDRESS_POOL, names::LEGACY_ADDRESS_POOL)
                .filter(|pool| !pool.is_empty())
                .map(Into::into),
            ips: Requested::read(spec, annotations),
            sharing: Sharing::read(spec, annotations).map(Box::new),
        })
    }
}

impl Sharing {
    fn read(spec: &Spec, annotations: &BTreeMap<String, String>) -> Option<Self> {
        let (key, old_key) = (names::ALLOW_SHARED_IP, names::LEGACY_ALLOW_SHARED_IP);
        let key = annotation(annotations, key, old_key).filter(|key| !key.is_empty())?;
        let local = spec.external_traffic_policy == "Local";
        let ports = spec.ports.iter().filter_map(|port| {
            let protocol = port.protocol.parse().ok()?;
            Some(Port::new(protocol, port.port))
        });
        Some(Self {
            key: key.into(),
            backend: backend_key(local, &spec.selector).into(),
            ports: ports.collect(),
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
        let (key, old_key) = (names::LOAD_BALANCER_IPS, names::LEGACY_LOAD_BALANCER_IPS);
        let list = annotation(annotations, key, old_key).unwrap_or("");
        let ips = match (list, spec.load_balancer_ip.as_str()) {
            ("", "") => return Self::Any,
            ("", ip) => match ip.parse::<IpAddr>() {
                Ok(ip) => Ok(ip.into()),
                Err(_) => Err(format!("invalid spec.loadBalancerIP {ip:?}")),
            },
            (list, "") => ips_of(list),
            _ => Err(format!(
                "service can not have both {key} and svc.Spec.LoadBalancerIP"
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
        .map_err(|_| format!("invalid {}: {list:?}", names::LOAD_BALANCER_IPS))?;
    Ips::try_from(ips.as_slice()).map_err(|error| error.to_string())
}

/// The value under the present key, else under the old one.
fn annotation<'a>(
    annotations: &'a BTreeMap<String, String>,
    key: &str,
    old_key: &str,
) -> Option<&'a str> {
    let value = annotations.get(key).or_else(|| annotations.get(old_key));
    value.map(String::as_str)
}
