//! The ConfigMap of MetalLB before 0.13, and what is in it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// The data of a ConfigMap.
pub(super) struct Source {
    pub(super) config: String,
    pub(super) namespace: Option<String>,
}

impl Source {
    /// From the YAML of a ConfigMap.
    pub(super) fn read(text: &str) -> Result<Self> {
        let map: ConfigMap = serde_saphyr::from_str(text).context("it is no ConfigMap")?;
        ensure!(map.kind == "ConfigMap", "not a configmap");
        let config = map.data.get("config").cloned().unwrap_or_default();
        ensure!(!config.is_empty(), "bad ConfigMap: no data");
        Ok(Self {
            config,
            namespace: map.metadata.namespace.filter(|name| !name.is_empty()),
        })
    }
}

/// The configuration as one text of YAML. MetalLB refused what it did not know, and so is it here.
pub(super) fn read(text: &str) -> Result<Config> {
    serde_saphyr::from_str(text).context("cannot read the configuration")
}

#[derive(Deserialize)]
struct ConfigMap {
    kind: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    namespace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(super) struct Config {
    pub(super) peers: Vec<Peer>,
    pub(super) bgp_communities: BTreeMap<String, String>,
    pub(super) address_pools: Vec<Pool>,
    pub(super) bfd_profiles: Vec<BfdProfile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "they are the keys")]
pub(super) struct Peer {
    pub(super) my_asn: u32,
    pub(super) peer_asn: u32,
    pub(super) peer_address: String,
    pub(super) source_address: String,
    pub(super) peer_port: u16,
    pub(super) hold_time: String,
    pub(super) keepalive_time: String,
    pub(super) router_id: String,
    pub(super) node_selectors: Vec<NodeSelector>,
    pub(super) password: String,
    pub(super) bfd_profile: String,
    pub(super) ebgp_multihop: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(super) struct NodeSelector {
    pub(super) match_labels: BTreeMap<String, String>,
    pub(super) match_expressions: Vec<Requirement>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Requirement {
    pub(super) key: String,
    pub(super) operator: String,
    pub(super) values: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(super) struct Pool {
    pub(super) protocol: String,
    pub(super) name: String,
    pub(super) addresses: Vec<String>,
    pub(super) auto_assign: Option<bool>,
    pub(super) avoid_buggy_ips: bool,
    pub(super) bgp_advertisements: Vec<BgpAdvertisement>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(super) struct BgpAdvertisement {
    pub(super) aggregation_length: Option<i32>,
    pub(super) aggregation_length_v6: Option<i32>,
    pub(super) localpref: u32,
    pub(super) communities: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(super) struct BfdProfile {
    pub(super) name: String,
    pub(super) receive_interval: Option<u32>,
    pub(super) transmit_interval: Option<u32>,
    pub(super) detect_multiplier: Option<u32>,
    pub(super) echo_interval: Option<u32>,
    pub(super) echo_mode: bool,
    pub(super) passive_mode: bool,
    pub(super) minimum_ttl: Option<u32>,
}

impl Config {
    /// Lines about pools that nothing announces.
    pub(super) fn unannounced(&self) -> Vec<String> {
        let known = |pool: &&Pool| {
            ["bgp", "layer2"].contains(&&*pool.protocol) || !pool.bgp_advertisements.is_empty()
        };
        self.address_pools
            .iter()
            .filter(|pool| !known(pool))
            .map(|pool| {
                format!(
                    "Pool {} has the protocol {:?}, which is neither bgp nor layer2: it gets no \
                     advertisement",
                    pool.name, pool.protocol
                )
            })
            .collect()
    }
}
