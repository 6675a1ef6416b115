//! All objects of a kind, as the commands print them that look at a cluster.

use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::{Client, ResourceExt as _};
use serde_json::Value;

/// One kind, and where its objects are looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listing {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    /// All of them, or those in MetalLB's namespace.
    pub(crate) everywhere: bool,
}

/// A kind of MetalLB's.
pub(crate) const fn ours(kind: &'static str, plural: &'static str) -> Listing {
    Listing {
        group: "metallb.io",
        version: "v1beta1",
        kind,
        plural,
        everywhere: false,
    }
}

/// A kind of Kubernetes' own.
pub(crate) const fn of_kubernetes(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Listing {
    Listing {
        group,
        version: "v1",
        ..ours(kind, plural)
    }
}

impl Listing {
    /// The objects, without what repeats them: `managedFields`, and what was applied last.
    pub(crate) async fn list(&self, client: &Client, namespace: &str) -> kube::Result<Vec<Value>> {
        let resource = self.resource();
        let api: Api<DynamicObject> = if self.everywhere {
            Api::all_with(client.clone(), &resource)
        } else {
            Api::namespaced_with(client.clone(), namespace, &resource)
        };
        let objects = api.list(&ListParams::default()).await?.into_iter();
        let values = objects.map(|mut object| {
            object.managed_fields_mut().clear();
            object.annotations_mut().remove(LAST_APPLIED);
            // Lists do not say this of each.
            object.types = Some(kube::api::TypeMeta {
                api_version: resource.api_version.clone(),
                kind: resource.kind.clone(),
            });
            serde_json::to_value(object).expect("an object is JSON")
        });
        Ok(values.collect())
    }

    /// How the API server knows it.
    pub(crate) fn resource(&self) -> ApiResource {
        let Self { group, version, .. } = self;
        ApiResource {
            group: (*group).to_owned(),
            version: (*version).to_owned(),
            api_version: match *group {
                "" => (*version).to_owned(),
                _ => format!("{group}/{version}"),
            },
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
        }
    }
}

/// What `kubectl apply` keeps of its own.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
