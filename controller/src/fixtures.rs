//! Builders for tests: Services and pools as the API server would tell of them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metallb_crds::v1beta1::{IPAddressPool, IPAddressPoolSpec};

use crate::watched::{Ingress, ServicePort, WatchedService};

impl WatchedService {
    /// A Service `namespace/name` of type `ClusterIP` with one IPv4 cluster address, first
    /// version, created at second 0.
    pub(crate) fn test(key: &str) -> Self {
        let (namespace, name) = key.split_once('/').unwrap();
        let mut service = Self::default();
        service.metadata.namespace = Some(namespace.to_owned());
        service.metadata.name = Some(name.to_owned());
        service.metadata.uid = Some(format!("uid-of-{name}"));
        service.metadata.resource_version = Some("1".to_owned());
        service.spec.type_ = "ClusterIP".to_owned();
        service.created(0).cluster_ips(&["10.96.0.1"])
    }

    pub(crate) fn load_balancer(mut self) -> Self {
        self.spec.type_ = "LoadBalancer".to_owned();
        self
    }

    pub(crate) fn type_(mut self, type_: &str) -> Self {
        self.spec.type_ = type_.to_owned();
        self
    }

    pub(crate) fn class(mut self, class: &str) -> Self {
        self.spec.load_balancer_class = Some(class.to_owned());
        self
    }

    pub(crate) fn created(mut self, second: i64) -> Self {
        let time = k8s_openapi::jiff::Timestamp::from_second(second).unwrap();
        self.metadata.creation_timestamp = Some(Time(time));
        self
    }

    pub(crate) fn version(mut self, version: u64) -> Self {
        self.metadata.resource_version = Some(version.to_string());
        self
    }

    pub(crate) fn cluster_ips(mut self, ips: &[&str]) -> Self {
        self.spec.cluster_ips = ips.iter().map(ToString::to_string).collect();
        self
    }

    pub(crate) fn policy(mut self, policy: &str) -> Self {
        self.spec.ip_family_policy = policy.to_owned();
        self
    }

    pub(crate) fn dual_stack(self, policy: &str) -> Self {
        self.cluster_ips(&["10.96.0.1", "fd00::1"]).policy(policy)
    }

    pub(crate) fn annotation(mut self, key: &str, value: &str) -> Self {
        let annotations = self.metadata.annotations.get_or_insert_default();
        annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// These ports and no others.
    pub(crate) fn ports(mut self, ports: &[(&str, u16)]) -> Self {
        self.spec.ports.clear();
        let ports = ports.iter();
        ports.fold(self, |service, (protocol, port)| {
            service.port(protocol, *port)
        })
    }

    pub(crate) fn port(mut self, protocol: &str, port: u16) -> Self {
        let protocol = protocol.to_owned();
        self.spec.ports.push(ServicePort { protocol, port });
        self
    }

    /// `externalTrafficPolicy: Local`, with this selector.
    pub(crate) fn local(mut self, selector: &[(&str, &str)]) -> Self {
        self.spec.external_traffic_policy = "Local".to_owned();
        let selector = selector.iter();
        self.spec.selector = selector
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        self
    }

    /// What its status and the annotation beside it say.
    pub(crate) fn ingress(mut self, pool: &str, ips: &[&str]) -> Self {
        self.status.load_balancer.ingress = ips
            .iter()
            .map(|ip| Ingress {
                ip: (*ip).to_owned(),
                ..Ingress::default()
            })
            .collect();
        self.annotation("metallb.io/ip-allocated-from-pool", pool)
    }
}

/// A pool of these ranges.
pub(crate) fn pool(name: &str, addresses: &[&str]) -> IPAddressPool {
    let mut pool = IPAddressPool::new(
        name,
        IPAddressPoolSpec {
            addresses: addresses.iter().map(ToString::to_string).collect(),
            auto_assign: true,
            avoid_buggy_ips: false,
            service_allocation: None,
        },
    );
    pool.metadata.namespace = Some("metallb-system".to_owned());
    pool.metadata.uid = Some(format!("uid-of-{name}"));
    pool
}
