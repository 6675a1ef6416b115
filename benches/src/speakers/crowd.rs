//! Many Services that exist for speakers alone: no selector, no pods, and nothing for kube-proxy.

use std::net::Ipv4Addr;

use anyhow::Result;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::Client;
use serde_json::{Value, json};

use crate::load;

/// So many Services with one address each.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// How many.
    pub count: u32,
    /// Of each, spread over the nodes.
    pub endpoints: u32,
    /// Whether they are ready.
    pub ready: bool,
}

impl Crowd {
    /// Makes them.
    pub async fn make(self, client: &Client) -> Result<()> {
        self.each(async |number| {
            load::post(client, SERVICES, &service(number)).await?;
            let ingress = json!({ "loadBalancer": { "ingress": [{ "ip": address(number) }] } });
            let path = format!("{SERVICES}/{}/status", name(number));
            load::merge(client, &path, &json!({ "status": ingress })).await?;
            load::post(client, SLICES, &slice(number, self.endpoints, self.ready)).await
        })
        .await
    }

    /// Deletes them.
    pub async fn clear(self, client: &Client) -> Result<()> {
        self.each(async |number| {
            load::remove(client, &slice_path(number)).await?;
            load::remove(client, &format!("{SERVICES}/{}", name(number))).await
        })
        .await
    }

    async fn each(self, work: impl AsyncFn(u32) -> Result<()>) -> Result<()> {
        let all = stream::iter(0..self.count).map(|number| work(number));
        all.buffer_unordered(load::CLIENTS).try_collect().await
    }
}

fn service(number: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name(number), "labels": { LABEL: "crowd" } },
        "spec": {
            "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false,
            "ports": [{ "name": "http", "port": 80 }],
        },
    })
}

/// The endpoints of one of them.
pub fn slice(number: u32, endpoints: u32, ready: bool) -> Value {
    let endpoint = |at: u32| {
        json!({
            "addresses": [Ipv4Addr::from_bits(PODS.to_bits() + number * endpoints + at)],
            "nodeName": format!("n{}", at % 3 + 1), "conditions": { "ready": ready },
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": name(number),
            "labels": { LABEL: "crowd", "kubernetes.io/service-name": name(number) },
        },
        "addressType": "IPv4", "ports": [{ "name": "http", "port": 80 }],
        "endpoints": (0..endpoints).map(endpoint).collect::<Vec<_>>(),
    })
}

/// Where it is at the API server.
pub fn slice_path(number: u32) -> String {
    format!("{SLICES}/{}", name(number))
}

/// The address of one of them.
pub fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(ADDRESSES.to_bits() + number)
}

fn name(number: u32) -> String {
    format!("crowd-{number:05}")
}

/// Where they are.
pub const NAMESPACE: &str = "default";
/// Keeps kube-proxy away.
pub const LABEL: &str = "service.kubernetes.io/service-proxy-name";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const ADDRESSES: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
const PODS: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);
