//! What users wrote for MetalLB's FRR and nothing here reads, and what they are told of it.

use std::collections::BTreeSet;
use std::fmt;

use kube::ResourceExt as _;
use metallb_crds::names::{ACKNOWLEDGE_UNUSED, HOSTNAME_LABEL};
use metallb_crds::v1beta1::MetalLB;
use metallb_kit::watch::{Change, ObjectKey};
use serde_json::Value;

use super::FrrK8s;
use super::watch::{EXTRAS, Written};

/// An FRRConfiguration of a user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(super) key: ObjectKey,
    /// What it asks for, in words.
    asks_for: Vec<&'static str>,
}

/// What is not in effect, as lines for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unused {
    /// Would be with MetalLB's own backend, and nobody has said that it need not.
    pub(crate) stops: Vec<String>,
    /// All else that there is to say.
    pub(crate) notes: Vec<String>,
}

/// One thing that a user wrote.
struct Item {
    /// As it is acknowledged.
    name: String,
    /// What it is.
    line: String,
    /// MetalLB's own backend of this name has it in effect.
    counts: bool,
}

impl Config {
    /// Reads what somebody wrote. What upstream's speakers wrote is theirs, and no user's.
    pub(super) fn read(written: &Written) -> Change<Self> {
        let key = ObjectKey::of(written);
        let selector = &written.spec["nodeSelector"]["matchLabels"];
        let node = key.name().strip_prefix("metallb-").map(str::to_owned);
        if node.is_some_and(|node| selector[HOSTNAME_LABEL] == node) {
            return Change::Delete(key);
        }
        let list = |at: &Value| at.as_array().cloned().unwrap_or_default();
        let routers = list(&written.spec["bgp"]["routers"]);
        let neighbors: Vec<_> = routers
            .iter()
            .flat_map(|it| list(&it["neighbors"]))
            .collect();
        let receives = |it: &Value| {
            let allowed = &it["toReceive"]["allowed"];
            allowed["mode"] == "all" || !list(&allowed["prefixes"]).is_empty()
        };
        let some = |field: &str| routers.iter().any(|it| !list(&it[field]).is_empty());
        let raw = written.spec["raw"]["rawConfig"]
            .as_str()
            .unwrap_or_default();
        let asks_for = [
            (!neighbors.is_empty(), "neighbors"),
            (some("prefixes"), "prefixes"),
            (neighbors.iter().any(receives), "received routes"),
            (some("imports"), "imports between VRFs"),
            (!raw.trim().is_empty(), "raw configuration"),
        ];
        let asks_for = asks_for.into_iter().filter(|(is, _)| *is);
        Change::Apply(Self {
            key,
            asks_for: asks_for.map(|(_, words)| words).collect(),
        })
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FRRConfiguration {}", self.key)?;
        match self.asks_for[..] {
            [] => Ok(()),
            _ => write!(f, " ({})", self.asks_for.join(", ")),
        }
    }
}

/// What users wrote that has no effect with the backend that is in effect for `metallb`.
pub(crate) fn unused(known: &FrrK8s, metallb: &MetalLB, backend: &str) -> Unused {
    let mut unused = Unused::default();
    let spec = &metallb.spec;
    let config = spec.frrk8s_config.as_ref();
    if config.is_some_and(|it| !it.always_block.is_empty()) {
        unused.notes.push(if backend == "frr-k8s-external" {
            "frrk8sConfig.alwaysBlock is for the FRR-K8s that somebody else runs: set \
             --always-block there"
                .to_owned()
        } else {
            "frrk8sConfig.alwaysBlock holds by itself: no route that a router sends is used"
                .to_owned()
        });
    }
    // With native nobody reads them, with frr-k8s-external its FRR-K8s does.
    if !matches!(backend, "frr" | "frr-k8s") {
        return unused;
    }
    let (acknowledged, all) = acknowledged(metallb);
    let items = known.items(backend);
    let (stops, rest): (Vec<_>, Vec<_>) = items
        .into_iter()
        .partition(|it| it.counts && !all && !acknowledged.contains(it.name.as_str()));
    let rest = rest.into_iter();
    unused
        .notes
        .extend(rest.map(|it| format!("{} has no effect", it.line)));
    if stops.is_empty() {
        return unused;
    }
    let names: Vec<_> = stops.iter().map(|it| it.name.as_str()).collect();
    let names = if names.len() > MOST {
        "'*'".to_owned()
    } else {
        // Those that were acknowledged before stay so.
        let names = acknowledged.into_iter().chain(names);
        names.collect::<Vec<_>>().join(",")
    };
    let what_to_do = format!(
        "the speaker speaks BGP itself and reads none of this: write BGPPeers for neighbors, and \
         for all else run an FRR-K8s and set bgpBackend: frr-k8s-external. If you can do without: \
         kubectl -n {} annotate metallb {} --overwrite {ACKNOWLEDGE_UNUSED}={names}",
        metallb.namespace().unwrap_or_default(),
        metallb.name_any(),
    );
    let more = stops.len().saturating_sub(MOST);
    let stops = stops.into_iter().take(MOST).map(|it| it.line);
    unused.stops = stops.collect();
    if more > 0 {
        unused.stops.push(format!("and {more} more"));
    }
    unused.stops.push(what_to_do);
    unused
}

impl FrrK8s {
    fn items(&self, backend: &str) -> Vec<Item> {
        let configs = self.users.values().map(|it| Item {
            name: format!("frrconfiguration/{}/{}", it.key.namespace(), it.key.name()),
            line: it.to_string(),
            counts: backend == "frr-k8s",
        });
        let extras = self.has_extras.then(|| Item {
            name: format!("configmap/{EXTRAS}"),
            line: format!("ConfigMap {EXTRAS} (raw configuration)"),
            // Upstream's frr-k8s refuses it.
            counts: backend != "frr-k8s",
        });
        configs.chain(extras).collect()
    }
}

/// What a user can do without, and whether that is everything.
fn acknowledged(metallb: &MetalLB) -> (BTreeSet<&str>, bool) {
    let text = metallb.annotations().get(ACKNOWLEDGE_UNUSED);
    let names = text.into_iter().flat_map(|it| it.split(','));
    let names: BTreeSet<_> = names.map(str::trim).filter(|it| !it.is_empty()).collect();
    let all = names.contains("*");
    (names, all)
}

/// How many are named; who has more of them lists them.
const MOST: usize = 3;

#[cfg(test)]
mod tests;
