//! Version v1beta2: of BGPPeer only, the one that is stored.

mod bgp_peer;

pub use bgp_peer::{BGPPeer, BGPPeerSpec, BGPPeerStatus, DynamicAsn, SecretReference};
