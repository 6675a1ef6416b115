//! The little that is kept of operands and pods, and how it is read from the API's objects.

mod condition;
mod pod;
mod workload;

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, PartialObjectMeta};
use metallb_crds::names::UNMANAGED;
use serde_json::Value;

pub(crate) use pod::{Pod, PodObject, Problem};
pub(crate) use workload::{Workload, WorkloadObject};

/// One operand as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// It was deleted and waits for what it owns.
    pub(crate) deleting: bool,
    /// Somebody has said that it is to be left alone.
    pub(crate) unmanaged: bool,
    /// What others have it wait for when it is deleted.
    pub(crate) finalizers: Vec<String>,
    /// Which form its pods are to have, as the operator said that applied it.
    pub(crate) template: Option<String>,
    pub(crate) fingerprint: Fingerprint,
    /// How its pods are, if it has any.
    pub(crate) workload: Option<Workload>,
    /// How far it is, for a registration of webhooks.
    pub(crate) registration: Option<Registration>,
}

/// What is seen of a registration of webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    /// Each of them says whom to trust, so they can be called.
    pub(crate) callable: bool,
    /// Without an answer of theirs nothing goes on.
    pub(crate) required: bool,
}

/// Changes whenever somebody changes what an operand is, but not when only its status changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    uid: String,
    version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Version {
    /// For kinds that have a generation: that, and a hash of the metadata beside it.
    Generation(i64, u64),
    Resource(String),
}

/// Any other operand.
pub(crate) type PlainObject = PartialObjectMeta<DynamicObject>;
impl Fingerprint {
    pub(crate) fn of(meta: &ObjectMeta) -> Self {
        let version = match meta.generation {
            Some(generation) => {
                let mut hasher = DefaultHasher::new();
                // Not the annotations: their controllers set some.
                meta.labels.hash(&mut hasher);
                for owner in meta.owner_references.iter().flatten() {
                    owner.uid.hash(&mut hasher);
                }
                Version::Generation(generation, hasher.finish())
            }
            None => Version::Resource(meta.resource_version.clone().unwrap_or_default()),
        };
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            version,
        }
    }

    /// Whether this is a form that the object had before `later`. Without generations nobody can tell.
    pub(crate) fn precedes(&self, later: &Self) -> bool {
        let (Version::Generation(old, _), Version::Generation(new, _)) =
            (&self.version, &later.version)
        else {
            return false;
        };
        self.uid == later.uid && old < new
    }

    #[cfg(test)]
    pub(crate) fn of_version(uid: &str, version: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            version: Version::Resource(version.to_owned()),
        }
    }
}

/// Whether the annotation is there, with any value but `false`.
pub(crate) fn is_switched_on(meta: &ObjectMeta, name: &str) -> bool {
    annotation(meta, name).is_some_and(|value| value != "false")
}

/// Those that are neither ours nor the garbage collector's.
pub(crate) fn foreign_finalizers(meta: &ObjectMeta) -> Vec<String> {
    let known = [FINALIZER, "foregroundDeletion", "orphan"];
    let all = meta.finalizers.iter().flatten();
    all.filter(|it| !known.contains(&it.as_str()))
        .cloned()
        .collect()
}

fn annotation<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    Some(meta.annotations.as_ref()?.get(name)?.as_str())
}

impl Operand {
    pub(crate) fn of(meta: &ObjectMeta, workload: Option<Workload>) -> Self {
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            unmanaged: is_switched_on(meta, UNMANAGED),
            finalizers: foreign_finalizers(meta),
            template: annotation(meta, TEMPLATE_HASH).map(str::to_owned),
            fingerprint: Fingerprint::of(meta),
            workload,
            registration: None,
        }
    }

    pub(crate) fn of_webhooks(object: &DynamicObject) -> Self {
        let webhooks = object.data["webhooks"].as_array();
        let webhooks = webhooks.map(Vec::as_slice).unwrap_or_default();
        let has_bundle = |webhook: &Value| {
            let bundle = webhook["clientConfig"]["caBundle"].as_str();
            bundle.is_some_and(|bundle| !bundle.is_empty())
        };
        Self {
            registration: Some(Registration {
                callable: webhooks.iter().all(has_bundle),
                required: webhooks.iter().all(|it| it["failurePolicy"] == "Fail"),
            }),
            ..Self::of(&object.metadata, None)
        }
    }

    pub(crate) fn of_workload(object: &WorkloadObject) -> Self {
        Self::of(&object.metadata, Some(Workload::of(object)))
    }
}

/// Holds back the `MetalLB` object until all that was made for it is gone.
pub(crate) const FINALIZER: &str = "metallb.io/operator";
/// On workloads: a hash of the template of their pods.
pub(crate) const TEMPLATE_HASH: &str = "metallb.io/template-hash";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_sees_edits_and_not_status() {
        let meta = |generation, version: &str, label: &str| {
            Fingerprint::of(&ObjectMeta {
                uid: Some("1".to_owned()),
                generation,
                resource_version: Some(version.to_owned()),
                labels: Some([("app".to_owned(), label.to_owned())].into()),
                ..ObjectMeta::default()
            })
        };
        assert_eq!(
            meta(Some(1), "10", "metallb"),
            meta(Some(1), "11", "metallb"),
            "status"
        );
        assert_ne!(
            meta(Some(1), "10", "metallb"),
            meta(Some(2), "11", "metallb"),
            "spec"
        );
        assert_ne!(
            meta(Some(1), "10", "metallb"),
            meta(Some(1), "11", "other"),
            "label"
        );
        assert_ne!(
            meta(None, "10", "metallb"),
            meta(None, "11", "metallb"),
            "no generation"
        );
    }
}
