//! Where pods reach the API server: what the Service `kubernetes` and its endpoints say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::Api;
use kube::runtime::watcher::Config;
use metallb_kit::watch::{Change, ObjectKey, watch_with};

/// All its addresses, with their ports, as far as known.
#[derive(Debug, Default)]
pub(crate) struct ApiServer(BTreeMap<ObjectKey, BTreeSet<SocketAddr>>);

/// The addresses that one object tells of.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) by: ObjectKey,
    pub(crate) addresses: BTreeSet<SocketAddr>,
}

impl ApiServer {
    /// Takes in what became of an object; true if all have been told.
    pub(crate) fn handle(&mut self, change: Change<Told>) -> bool {
        match change {
            Change::Apply(told) => drop(self.0.insert(told.by, told.addresses)),
            Change::Delete(by) => drop(self.0.remove(&by)),
            Change::Listing => {}
            Change::Synced => return true,
        }
        false
    }

    /// Those of the Service, which pods are told, and those behind it, which a network may look at
    /// instead.
    pub(crate) fn addresses(&self) -> BTreeSet<SocketAddr> {
        self.0.values().flatten().copied().collect()
    }
}

/// What becomes of the Service, for ever.
pub(crate) fn service(client: &Client) -> BoxStream<'static, Change<Told>> {
    let this = Config::default().fields("metadata.name=kubernetes");
    let api = Api::<Service>::namespaced(client.clone(), NAMESPACE);
    watch_with(api, this)
        .map(|change| read(change, of_service))
        .boxed()
}

/// What becomes of its endpoints, for ever.
pub(crate) fn endpoints(client: &Client) -> BoxStream<'static, Change<Told>> {
    let its = Config::default().labels("kubernetes.io/service-name=kubernetes");
    let api = Api::<EndpointSlice>::namespaced(client.clone(), NAMESPACE);
    watch_with(api, its)
        .map(|change| read(change, of_endpoints))
        .boxed()
}

fn read<K: kube::Resource>(
    change: Change<K>,
    addresses: impl Fn(&K) -> BTreeSet<SocketAddr>,
) -> Change<Told> {
    match change {
        Change::Apply(object) => Change::Apply(Told {
            by: key::<K>(object.meta().name.as_deref().unwrap_or_default()),
            addresses: addresses(&object),
        }),
        Change::Delete(gone) => Change::Delete(key::<K>(gone.name())),
        Change::Listing => Change::Listing,
        Change::Synced => Change::Synced,
    }
}

/// A Service and a slice of endpoints may have one name.
fn key<K>(name: &str) -> ObjectKey {
    ObjectKey::new(std::any::type_name::<K>(), name)
}

fn of_service(service: &Service) -> BTreeSet<SocketAddr> {
    let spec = service.spec.as_ref();
    let ips = spec.and_then(|it| it.cluster_ips.as_ref());
    let ports = spec.and_then(|it| it.ports.as_ref());
    let ports = ports.into_iter().flatten().map(|it| it.port);
    each(ips.into_iter().flatten(), &ports.collect::<Vec<_>>())
}

fn of_endpoints(slice: &EndpointSlice) -> BTreeSet<SocketAddr> {
    let ips = slice.endpoints.iter().flat_map(|it| &it.addresses);
    let ports = slice.ports.iter().flatten().filter_map(|it| it.port);
    each(ips, &ports.collect::<Vec<_>>())
}

/// Each port at each address.
fn each<'a>(ips: impl Iterator<Item = &'a String>, ports: &[i32]) -> BTreeSet<SocketAddr> {
    let ips = ips.filter_map(|it| it.parse::<IpAddr>().ok());
    ips.flat_map(|ip| {
        let ports = ports.iter().filter_map(|&port| u16::try_from(port).ok());
        ports.map(move |port| SocketAddr::new(ip, port))
    })
    .collect()
}

/// Where Kubernetes has that Service.
const NAMESPACE: &str = "default";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service_told() -> Change<Told> {
        let service = json!({
            "metadata": { "namespace": "default", "name": "kubernetes" },
            "spec": {
                "clusterIPs": ["10.96.0.1", "fd00:10:96::1"],
                "ports": [{ "name": "https", "port": 443, "targetPort": 6443 }],
            },
        });
        let service: Service = serde_json::from_value(service).expect("a Service");
        read(Change::Apply(service), of_service)
    }

    fn slice_told(ports: &Value) -> Change<Told> {
        let slice = json!({
            "metadata": { "namespace": "default", "name": "kubernetes" },
            "addressType": "IPv4",
            "endpoints": [{ "addresses": ["192.0.2.1"] }, { "addresses": ["192.0.2.2"] }],
            "ports": ports,
        });
        let slice: EndpointSlice = serde_json::from_value(slice).expect("a slice");
        read(Change::Apply(slice), of_endpoints)
    }

    fn known(api_server: &ApiServer) -> Vec<String> {
        let all = api_server.addresses().into_iter();
        all.map(|it| it.to_string()).collect()
    }

    #[test]
    fn both_the_service_and_what_is_behind_it_count() {
        let mut api_server = ApiServer::default();
        assert!(!api_server.handle(service_told()));
        assert!(!api_server.handle(slice_told(&json!([{ "port": 6443 }]))));
        let service = ["10.96.0.1:443", "[fd00:10:96::1]:443"];
        let behind = ["192.0.2.1:6443", "192.0.2.2:6443"];
        assert_eq!(
            known(&api_server),
            [service[0], behind[0], behind[1], service[1]]
        );
        // On a managed cluster; and the ports that it had count no more.
        api_server.handle(slice_told(&json!([{ "port": 443 }])));
        assert!(known(&api_server).contains(&"192.0.2.1:443".to_owned()));
        assert!(!known(&api_server).contains(&behind[0].to_owned()));
        assert!(api_server.handle(Change::Synced));
    }
}
