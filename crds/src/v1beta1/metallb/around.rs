//! What stands around MetalLB on request: monitors and network policies.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{null, schema};

/// What tells a Prometheus operator to scrape MetalLB.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// Which kind of monitors there are: None, ServiceMonitor, which has Prometheus show its own
    /// token, or PodMonitor, which has it show one that may read metrics and nothing else. Default:
    /// what the operator's environment says in DEPLOY_SERVICEMONITORS and DEPLOY_PODMONITORS, else
    /// None.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional::<MonitorType>")]
    pub type_: Option<MonitorType>,

    /// Labels of the monitors, which a Prometheus may choose them by; such as release: prometheus.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,

    /// Time between two scrapes, such as 1m. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"))]
    pub interval: Option<String>,

    /// The account of the Prometheus that scrapes, which is given the right to find MetalLB's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusAccount>,
}

/// Which kind of monitors there are.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorType {
    /// There are none.
    None,
    /// Of Services.
    ServiceMonitor,
    /// Of pods.
    PodMonitor,
}

/// The ServiceAccount of a Prometheus.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusAccount {
    /// Its namespace. Default: monitoring, or openshift-monitoring on OpenShift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,

    /// Its name. Default: prometheus-k8s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
}

/// Who may reach the pods of controller and operator, and whom they may reach.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicies {
    /// Whether there are any. Default: true, unless the operator's environment says true in
    /// DISABLE_NETWORK_POLICIES.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// What the controllers may reach of the API server: its Ports, at any address, or these ports
    /// at its Addresses alone. Some CNIs, Cilium among them, do not count a node's address as one,
    /// and need Ports where API servers run on nodes. Default: Ports.
    #[serde(default, rename = "apiServer", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional::<ApiServerEgress>")]
    pub api_server: Option<ApiServerEgress>,
}

/// What may be reached of the API server.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiServerEgress {
    /// Its ports, at any address.
    #[default]
    Ports,
    /// Its ports, at its addresses.
    Addresses,
}
