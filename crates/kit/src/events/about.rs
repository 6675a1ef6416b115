//! What an Event is about.

use std::borrow::Cow;

use arcstr::ArcStr;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use metallb_config::ObjectKey;

use super::Uid;

/// What an Event is about. Small: ten thousand Events may wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct About {
    /// Group and version of its API.
    pub api_version: Cow<'static, str>,
    /// Its kind.
    pub kind: Cow<'static, str>,
    /// What it is called.
    pub key: ObjectKey,
    /// `kubectl describe` shows no Event without it.
    pub uid: Option<Uid>,
    /// Its version at that time, where that is known.
    pub resource_version: Option<ArcStr>,
}

impl About {
    /// A Service.
    pub fn service(key: &ObjectKey, uid: Option<Uid>) -> Self {
        Self {
            api_version: Cow::Borrowed("v1"),
            kind: Cow::Borrowed("Service"),
            key: key.clone(),
            uid,
            resource_version: None,
        }
    }

    /// An object.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self {
            api_version: K::api_version(&()),
            kind: K::kind(&()),
            key: ObjectKey::of(object),
            uid: object.meta().uid.as_deref().map(Uid::from),
            resource_version: None,
        }
    }

    /// The namespace; nothing for cluster-scoped objects.
    pub(super) fn namespace(&self) -> Option<&str> {
        Some(self.key.namespace()).filter(|it| !it.is_empty())
    }

    /// As an Event has it.
    pub(super) fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(self.api_version.to_string()),
            kind: Some(self.kind.to_string()),
            namespace: self.namespace().map(str::to_owned),
            name: Some(self.key.name().to_owned()),
            uid: self.uid.as_ref().map(ToString::to_string),
            resource_version: self.resource_version.as_ref().map(ToString::to_string),
            ..ObjectReference::default()
        }
    }
}
