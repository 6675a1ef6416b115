//! What is said of Services: who announces them, where.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use metallb_crds::names::{SERVICE_NAME_LABEL, SERVICE_NAMESPACE_LABEL};
use metallb_crds::v1beta1::{
    InterfaceInfo, ServiceBGPStatus, ServiceBGPStatusStatus, ServiceL2Status, ServiceL2StatusStatus,
};
use metallb_kit::watch::ObjectKey;
use metallb_l2::Interfaces;

use super::{Kind, Labels};

impl Kind for ServiceL2Status {
    /// On which interfaces.
    type Said = Interfaces;
    type Subject = ObjectKey;
    type Status = ServiceL2StatusStatus;
    const ALONE: bool = true;

    fn prefix(_: &str) -> String {
        "l2-".to_owned()
    }

    fn labels(service: &ObjectKey) -> Labels {
        labels(service)
    }

    fn subject<'a>(label: impl Fn(&str) -> &'a str) -> ObjectKey {
        subject(label)
    }

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
            service_name: Some(service.name().to_owned()),
            service_namespace: Some(service.namespace().to_owned()),
            interfaces: named(said),
        }
    }
}

impl Kind for ServiceBGPStatus {
    /// To which peers, in order. Most Services have them in common.
    type Said = Arc<[String]>;
    type Subject = ObjectKey;
    type Status = ServiceBGPStatusStatus;
    const ALONE: bool = false;

    fn prefix(_: &str) -> String {
        "bgp-".to_owned()
    }

    fn labels(service: &ObjectKey) -> Labels {
        labels(service)
    }

    fn subject<'a>(label: impl Fn(&str) -> &'a str) -> ObjectKey {
        subject(label)
    }

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
            service_name: Some(service.name().to_owned()),
            service_namespace: Some(service.namespace().to_owned()),
            peers: said.to_vec(),
        }
    }
}

fn labels(service: &ObjectKey) -> Labels {
    vec![
        (SERVICE_NAME_LABEL, service.name().to_owned()),
        (SERVICE_NAMESPACE_LABEL, service.namespace().to_owned()),
    ]
}

fn subject<'a>(label: impl Fn(&str) -> &'a str) -> ObjectKey {
    ObjectKey::new(label(SERVICE_NAMESPACE_LABEL), label(SERVICE_NAME_LABEL))
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
