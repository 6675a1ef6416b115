//! Community: names for BGP communities.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::null;

/// The names and what they stand for.
#[derive(
    CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq,
)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "Community",
    plural = "communities",
    singular = "community",
    namespaced,
    status = "CommunityStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    doc = "Names for BGP communities, for use in BGPAdvertisements."
)]
pub struct CommunitySpec {
    /// The names. Each may be given once among all Community objects.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub communities: Vec<CommunityAlias>,
}

/// A name for one community.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct CommunityAlias {
    /// The name that BGPAdvertisements use.
    #[serde(default, deserialize_with = "null::or_default")]
    pub name: String,

    /// The community: two numbers up to 65535 such as 64512:100, or large: and three numbers
    /// up to 4294967295 such as large:64512:100:1.
    #[serde(default, deserialize_with = "null::or_default")]
    pub value: String,
}

/// Holds nothing so far.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct CommunityStatus {}
