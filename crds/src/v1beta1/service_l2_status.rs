//! ServiceL2Status: which node announces a Service by ARP and NDP.

#![expect(
    unreachable_pub,
    reason = "KubeSchema derives a copy of the struct, inside a function"
)]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::null;

/// Holds nothing: these objects only report.
#[derive(
    CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq,
)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "ServiceL2Status",
    plural = "servicel2statuses",
    namespaced,
    status = "ServiceL2StatusStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    doc = "Says which node answers ARP and NDP for the addresses of a Service. Written by the speaker on that node; do not edit.",
    printcolumn(name = "Allocated Node", type_ = "string", json_path = ".status.node"),
    printcolumn(
        name = "Service Name",
        type_ = "string",
        json_path = ".status.serviceName"
    ),
    printcolumn(
        name = "Service Namespace",
        type_ = "string",
        json_path = ".status.serviceNamespace"
    )
)]
pub struct ServiceL2StatusSpec {}

/// Who announces what.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceL2StatusStatus {
    /// The node that announces the Service, and so gets its traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("self == oldSelf", "Value is immutable"))]
    pub node: Option<String>,

    /// Name of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("self == oldSelf", "Value is immutable"))]
    pub service_name: Option<String>,

    /// Namespace of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("self == oldSelf", "Value is immutable"))]
    pub service_namespace: Option<String>,

    /// The interfaces it is announced on. Empty: all of the node.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub interfaces: Vec<InterfaceInfo>,
}

/// A network interface.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// Name of the interface, such as eth0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
