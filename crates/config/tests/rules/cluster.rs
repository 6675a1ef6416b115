//! Objects as users write them, and what is made of them.

use k8s_openapi::api::core::v1::Secret;
use metallb_config::{Config, InEffect, Labels, Objects, Parsed, References, reparse};
use metallb_crds::v1beta1::{
    BFDProfile, BGPAdvertisement, Community, IPAddressPool, L2Advertisement,
};
use metallb_crds::v1beta2::BGPPeer;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The objects of a cluster. Each is a second younger than the one that was added before it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cluster {
    pub(crate) pools: Vec<IPAddressPool>,
    pub(crate) l2_advertisements: Vec<L2Advertisement>,
    pub(crate) bgp_advertisements: Vec<BGPAdvertisement>,
    pub(crate) peers: Vec<BGPPeer>,
    pub(crate) bfd_profiles: Vec<BFDProfile>,
    pub(crate) communities: Vec<Community>,
    pub(crate) nodes: Vec<Labels>,
    /// Whether what is named must be there; Secrets are looked at if there are any here.
    pub(crate) complete: bool,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) age: u32,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn pool(mut self, name: &str, spec: Value) -> Self {
        let object = self.object(name, spec);
        self.pools.push(object);
        self
    }

    /// A pool of these addresses.
    pub(crate) fn addresses(self, name: &str, addresses: &[&str]) -> Self {
        self.pool(name, json!({ "addresses": addresses }))
    }

    /// A label of the pool that was added last.
    pub(crate) fn labelled(mut self, key: &str, value: &str) -> Self {
        let pool = self.pools.last_mut().expect("a pool");
        let labels = pool.metadata.labels.get_or_insert_default();
        labels.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn l2(mut self, name: &str, spec: Value) -> Self {
        let object = self.object(name, spec);
        self.l2_advertisements.push(object);
        self
    }

    pub(crate) fn bgp(mut self, name: &str, spec: Value) -> Self {
        let object = self.object(name, spec);
        self.bgp_advertisements.push(object);
        self
    }

    /// A peer with what `spec` says beside what it must say.
    pub(crate) fn peer(mut self, name: &str, spec: Value) -> Self {
        let object = self.object(name, peer_spec(spec));
        self.peers.push(object);
        self
    }

    pub(crate) fn bfd(mut self, name: &str, spec: Value) -> Self {
        let object = self.object(name, spec);
        self.bfd_profiles.push(object);
        self
    }

    /// Names for communities, as pairs of a name and a value.
    pub(crate) fn community(mut self, name: &str, pairs: &[(&str, &str)]) -> Self {
        let aliases: Vec<_> = pairs
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let object = self.object(name, json!({ "communities": aliases }));
        self.communities.push(object);
        self
    }

    pub(crate) fn node(mut self, pairs: &[(&str, &str)]) -> Self {
        self.nodes.push(labels(pairs));
        self
    }

    pub(crate) fn secret(mut self, name: &str, secret_type: &str, data: &[(&str, &str)]) -> Self {
        let mut object = self.object::<Secret>(name, json!(null));
        object.type_ = Some(secret_type.to_owned());
        object.string_data = None;
        let bytes = |text: &str| k8s_openapi::ByteString(text.into());
        let data = data
            .iter()
            .map(|(key, text)| ((*key).to_owned(), bytes(text)));
        object.data = Some(data.collect());
        self.secrets.push(object);
        self
    }

    /// All that there is, is here.
    pub(crate) fn complete(mut self) -> Self {
        self.complete = true;
        self
    }

    pub(crate) fn read(&self) -> Parsed {
        self.read_after(&Config::default())
    }

    pub(crate) fn read_after(&self, before: &Config) -> Parsed {
        let nodes: Vec<&Labels> = self.nodes.iter().collect();
        let secrets = (!self.secrets.is_empty()).then_some(&*self.secrets);
        let references = if self.complete {
            References::MustExist { secrets }
        } else {
            References::MayFollow
        };
        reparse(
            &Objects {
                pools: &self.pools,
                l2_advertisements: &self.l2_advertisements,
                bgp_advertisements: &self.bgp_advertisements,
                bgp_peers: &self.peers,
                bfd_profiles: &self.bfd_profiles,
                communities: &self.communities,
                nodes: &nodes,
                references,
            },
            before,
        )
    }

    fn object<K: DeserializeOwned>(&mut self, name: &str, spec: Value) -> K {
        self.age += 1;
        let (hour, minute, second) = (self.age / 3600, self.age / 60 % 60, self.age % 60);
        let created = format!("2026-01-01T{hour:02}:{minute:02}:{second:02}Z");
        object(name, &created, spec)
    }
}

/// The object `name`, with an identity of its own; without `created`, one that is being created.
pub(crate) fn object<K: DeserializeOwned>(name: &str, created: &str, spec: Value) -> K {
    let mut object = json!({
        "metadata": {"name": name, "namespace": "metallb-system", "uid": format!("uid-{name}")},
    });
    if !created.is_empty() {
        object["metadata"]["creationTimestamp"] = json!(created);
    }
    if !spec.is_null() {
        object["spec"] = spec;
    }
    serde_json::from_value(object).expect("an object of its kind")
}

/// What a peer must say, unless `spec` says otherwise; null takes it away.
pub(crate) fn peer_spec(spec: Value) -> Value {
    let mut all = json!({"myASN": 64512, "peerASN": 64513, "peerAddress": "10.0.0.1"});
    let Value::Object(spec) = spec else {
        panic!("a spec is an object: {spec}")
    };
    for (field, value) in spec {
        all[field] = value;
    }
    all.as_object_mut()
        .expect("an object")
        .retain(|_, value| !value.is_null());
    all
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// A label selector for `key=value`.
pub(crate) fn select(key: &str, value: &str) -> Value {
    json!({ "matchLabels": { key: value } })
}

/// A label selector with one expression.
pub(crate) fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
}

/// The objects that were rejected, and why, one a line.
pub(crate) fn said(parsed: &Parsed) -> Vec<String> {
    parsed.rejected.iter().map(ToString::to_string).collect()
}

/// What is in effect of those that were rejected.
pub(crate) fn effects(parsed: &Parsed) -> Vec<InEffect> {
    parsed.rejected.iter().map(|it| it.in_effect).collect()
}

/// Nothing is wrong.
#[track_caller]
pub(crate) fn assert_accepted(parsed: &Parsed) {
    assert_eq!(said(parsed), Vec::<String>::new());
}

/// One object is rejected, for this reason.
#[track_caller]
pub(crate) fn assert_rejected(parsed: &Parsed, object: &str, reason: &str) {
    let said = said(parsed);
    let [only] = &said[..] else {
        panic!("{object} alone is rejected, not {said:?}")
    };
    let words = only
        .strip_prefix(object)
        .and_then(|it| it.strip_prefix(": "));
    let words = words.unwrap_or_else(|| panic!("{object} is rejected, not {only}"));
    assert!(
        words.contains(reason),
        "{reason:?} is the reason, not {words:?}"
    );
}
