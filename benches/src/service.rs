//! Services as the benches see and make them.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Service as CoreService;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A Service with as much of it as tells whether it has its addresses.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Resource)]
#[resource(inherit = CoreService)]
pub struct Service {
    /// Name and version.
    pub metadata: ObjectMeta,
    /// Only written.
    #[serde(default, skip_deserializing, skip_serializing_if = "Value::is_null")]
    pub spec: Value,
    /// What was assigned.
    #[serde(default)]
    pub status: Value,
}

impl Service {
    /// The first address that its status holds.
    pub fn address(&self) -> Option<&str> {
        self.status["loadBalancer"]["ingress"][0]["ip"].as_str()
    }
}

/// The name of the `number`th Service; its address is known beforehand.
pub fn name(number: u32) -> String {
    format!("s-{number:05}")
}

/// The address of a Service by its name: whoever knows it needs no allocator.
pub fn address(name: &str) -> Result<Ipv4Addr> {
    let number: u32 = name
        .strip_prefix("s-")
        .and_then(|digits| digits.parse().ok())
        .with_context(|| format!("{name:?} is not the name of a Service of the benches"))?;
    Ok(Ipv4Addr::from_bits(FIRST.to_bits() + number))
}

/// Where the benches' pool begins; it is a /16.
pub const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
/// Stands for the address in a template of a status.
pub const ADDRESS: &str = "$ADDRESS";
