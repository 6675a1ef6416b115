//! The API of MetalLB: types of the eleven kinds in group `metallb.io`, and their schemas.
//!
//! Users write [`v1beta1::MetalLB`], [`v1beta1::IPAddressPool`], [`v1beta1::L2Advertisement`],
//! [`v1beta1::BGPAdvertisement`], [`v1beta2::BGPPeer`], [`v1beta1::BFDProfile`] and
//! [`v1beta1::Community`]. The programs write [`v1beta1::ServiceL2Status`],
//! [`v1beta1::ServiceBGPStatus`], [`v1beta1::BGPSessionState`] and
//! [`v1beta1::ConfigurationState`].
//!
//! Types hold what the API server lets through and no more is checked here: whether an address
//! is one is for the crate `metallb-config` to find out, so that one bad object never makes a
//! list of good ones unreadable.
//!
//! [`frrk8s`] holds what is written for an FRR-K8s that somebody else runs, whose API is its own.
//!
//! The doc comments of the types are what `kubectl explain` prints. The YAML files beside this
//! crate are made from the types by `cargo xtask crds`.

#![expect(
    clippy::doc_markdown,
    reason = "`kubectl explain` prints these comments as they are, backticks and all"
)]
#![expect(
    clippy::duplicated_attributes,
    reason = "printer columns share attributes, each within its own parentheses"
)]

pub mod frrk8s;
pub mod names;
mod null;
pub mod rules;
mod schema;
pub mod v1beta1;
pub mod v1beta2;

use kube::CustomResourceExt;
use kube::core::ApiResource;
use serde_json::Value;

/// What each kind says of itself in its newest version, in the order of [`all`].
macro_rules! of_each_kind {
    ($said:ident) => {
        [
            v1beta1::MetalLB::$said(),
            v1beta1::IPAddressPool::$said(),
            v1beta1::L2Advertisement::$said(),
            v1beta1::BGPAdvertisement::$said(),
            v1beta2::BGPPeer::$said(),
            v1beta1::BFDProfile::$said(),
            v1beta1::Community::$said(),
            v1beta1::ServiceL2Status::$said(),
            v1beta1::ServiceBGPStatus::$said(),
            v1beta1::BGPSessionState::$said(),
            v1beta1::ConfigurationState::$said(),
        ]
    };
}

/// All eleven CustomResourceDefinitions as JSON, in the order to apply them: what users write
/// first, what the programs write last.
///
/// BGPPeer holds both of its versions; v1beta1 is not served until a conversion webhook is.
pub fn all() -> Vec<Value> {
    let mut all = without_rules();
    for crd in &mut all {
        rules::add(crd);
        // Whether maps keep their order depends on what else is in the build.
        crd.sort_all_objects();
    }
    all
}

/// The same without [`rules`], for where webhooks always are and the definitions of MetalLB's own
/// releases are replaced under OLM v1, which takes no new rule on an existing field for safe.
pub fn without_rules() -> Vec<Value> {
    let mut all = of_each_kind!(crd);
    let older = v1beta1::BGPPeer::crd();
    let peer = all
        .iter_mut()
        .find(|it| it.metadata.name == older.metadata.name);
    let peer = peer.expect("it is one of them");
    peer.spec.versions.splice(0..0, older.spec.versions);
    all.iter().map(schema::clean).collect()
}

/// What the definitions of [`all`] define, in the same order, each in its newest version; at no
/// cost, whereas a definition is made from its types anew, with all of its schema.
pub fn resources() -> [ApiResource; 11] {
    of_each_kind!(api_resource)
}

/// The file that a definition of [`all`] is kept in, such as `metallb.io_bgppeers.yaml`.
pub fn file_name(crd: &Value) -> String {
    let part = |pointer| {
        crd.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!(
        "{}_{}.yaml",
        part("/spec/group"),
        part("/spec/names/plural")
    )
}
