//! What the two kinds say.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use metallb_crds::v1beta1::{
    InterfaceInfo, ServiceBGPStatus, ServiceBGPStatusStatus, ServiceL2Status, ServiceL2StatusStatus,
};
use metallb_kit::watch::ObjectKey;
use metallb_l2::Interfaces;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A kind of object that says of a Service how this node announces it.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Default
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// What is to be said: where the Service is announced. Kept for each Service.
    type Said: Clone + Debug + Send + Sync + 'static;
    /// What an object says.
    type Status: Clone + Debug + PartialEq + Serialize + Send + Sync + 'static;
    /// What names of its objects begin with.
    const PREFIX: &'static str;
    /// One node announces at a time, and so has to clean up after one that died.
    const ALONE: bool;

    /// An object that says nothing yet.
    fn blank(metadata: ObjectMeta) -> Self;

    /// What it says, if it says something.
    fn status(&self) -> Option<&Self::Status>;

    /// How this node says it of a Service.
    fn say(node: &str, service: &ObjectKey, said: &Self::Said) -> Self::Status;
}

impl Kind for ServiceL2Status {
    /// On which interfaces.
    type Said = Interfaces;
    type Status = ServiceL2StatusStatus;
    const PREFIX: &'static str = "l2-";
    const ALONE: bool = true;

    fn blank(metadata: ObjectMeta) -> Self {
        Self {
            metadata,
            ..Self::default()
        }
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn say(node: &str, service: &ObjectKey, said: &Self::Said) -> Self::Status {
        ServiceL2StatusStatus {
            node: Some(node.to_owned()),
            service_name: Some(service.name.to_string()),
            service_namespace: Some(service.namespace.to_string()),
            interfaces: named(said),
        }
    }
}

impl Kind for ServiceBGPStatus {
    /// To which peers, in order. Most Services have them in common.
    type Said = Arc<[String]>;
    type Status = ServiceBGPStatusStatus;
    const PREFIX: &'static str = "bgp-";
    const ALONE: bool = false;

    fn blank(metadata: ObjectMeta) -> Self {
        Self {
            metadata,
            ..Self::default()
        }
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn say(node: &str, service: &ObjectKey, said: &Self::Said) -> Self::Status {
        ServiceBGPStatusStatus {
            node: Some(node.to_owned()),
            service_name: Some(service.name.to_string()),
            service_namespace: Some(service.namespace.to_string()),
            peers: said.to_vec(),
        }
    }
}

fn named(interfaces: &Interfaces) -> Vec<InterfaceInfo> {
    match interfaces {
        // Upstream's way to say that it is announced on all of them.
        Interfaces::All => Vec::new(),
        Interfaces::Named(names) => names
            .iter()
            .map(|name| InterfaceInfo {
                name: Some(name.clone()),
            })
            .collect(),
    }
}
