//! The one object that the operator acts on: which one it is, and whether it may be as it is.
//!
//! The operator's pods answer, since it must be asked when no MetalLB runs. What is refused here,
//! the operator would not have acted upon: the same rules are looked at again whenever it looks at
//! the object, so nothing is lost when nobody answers.

mod rules;

use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, Operation};
use metallb_crds::names::{METALLB_NAME, PROTECT_ADDRESSES};
use metallb_crds::v1beta1::MetalLB;
use thiserror::Error;

pub use self::rules::{Invalid, validate};
use crate::review::{decoded, keeps_spec};
use crate::verdict::Verdict;

/// Name of the `ValidatingWebhookConfiguration` of this one webhook.
pub const OPERATOR_CONFIGURATION: &str = "metallb-operator-webhook-configuration";
/// The webhook's name.
pub const METALLB_WEBHOOK: &str = "metallbvalidationwebhook.metallb.io";
/// Where it answers.
pub const METALLB_PATH: &str = "/validate-metallb-io-v1beta1-metallb";

/// Why a `MetalLB` object is not the one that the operator acts on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Misplaced {
    /// It has another name. Upstream's words come first.
    #[error(
        "Incorrect MetalLB resource name: {name}. The operator acts on the one named \
         {METALLB_NAME} alone"
    )]
    Name {
        /// Which.
        name: String,
    },
    /// It is where no operator looks.
    #[error(
        "Incorrect MetalLB resource namespace: {namespace}. The operator acts on the MetalLB object \
         named {METALLB_NAME} in its own namespace, {operator}, alone"
    )]
    Namespace {
        /// Which.
        namespace: String,
        /// The operator's.
        operator: String,
    },
}

/// Whether the operator in the namespace `operator` acts on the `MetalLB` object with this name.
///
/// # Errors
/// It does not, and why.
pub fn placed(namespace: &str, name: &str, operator: &str) -> Result<(), Misplaced> {
    if namespace != operator {
        return Err(Misplaced::Namespace {
            namespace: namespace.to_owned(),
            operator: operator.to_owned(),
        });
    }
    if name != METALLB_NAME {
        return Err(Misplaced::Name {
            name: name.to_owned(),
        });
    }
    Ok(())
}

/// What a review of a `MetalLB` object looks at besides.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The operator's namespace.
    pub namespace: &'a str,
    /// Where an FRR-K8s of somebody else's is found, unless the object says.
    pub frr_k8s_namespace: Option<&'a str>,
    /// Whether there is the object that the operator acts on.
    pub exists: bool,
    /// How many addresses Services have.
    pub in_use: u64,
}

/// Answers a request to create, change or delete a `MetalLB` object.
///
/// An object that is ignored can still be changed and deleted: it is in nobody's way.
pub fn review_metallb(request: &AdmissionRequest<DynamicObject>, around: Around<'_>) -> Verdict {
    match request.operation {
        Operation::Create => {}
        Operation::Update if !keeps_spec(request) => {}
        Operation::Delete => return deleted(request, around),
        _ => return Verdict::allow(),
    }
    let metallb: MetalLB = match decoded(request.object.as_ref()) {
        Ok(metallb) => metallb,
        Err(malformed) => return malformed,
    };
    // It is to go as it is.
    if metallb.metadata.deletion_timestamp.is_some() {
        return Verdict::allow();
    }
    let namespace = request.namespace.as_deref().unwrap_or_default();
    // The API server has chosen a name by then, where it is asked to.
    let name = metallb.metadata.name.as_deref().unwrap_or(&request.name);
    if let Err(misplaced) = placed(namespace, name, around.namespace) {
        if request.operation == Operation::Update {
            return Verdict::Allow {
                warnings: vec![format!("{misplaced}: this one is ignored. Delete it")],
            };
        }
        let instead = if around.exists {
            "There is such an object: change that one instead"
        } else {
            "Create that one instead"
        };
        return Verdict::Deny(format!("{misplaced}. {instead}"));
    }
    match validate(&metallb.spec, around.frr_k8s_namespace) {
        Ok(()) => Verdict::allow(),
        Err(invalid) => Verdict::Deny(invalid.to_string()),
    }
}

/// Nobody answers for the addresses any more, once it is gone: whoever deletes it is told, and
/// refused where the object says so.
fn deleted(request: &AdmissionRequest<DynamicObject>, around: Around<'_>) -> Verdict {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let counts = placed(namespace, &request.name, around.namespace).is_ok();
    if !counts || around.in_use == 0 {
        return Verdict::allow();
    }
    let in_use = around.in_use;
    let old = request.old_object.as_ref();
    let annotations = old.and_then(|old| old.metadata.annotations.as_ref());
    let protected = annotations.and_then(|all| all.get(PROTECT_ADDRESSES));
    if protected.is_some_and(|value| value != "false") {
        return Verdict::Deny(format!(
            "addresses in use: {in_use}. The annotation {PROTECT_ADDRESSES} keeps this object until \
             none is; remove it to delete the object all the same"
        ));
    }
    Verdict::Allow {
        warnings: vec![format!(
            "addresses in use: {in_use}. Services keep them in their statuses, and nobody answers \
             for them once MetalLB is removed"
        )],
    }
}
