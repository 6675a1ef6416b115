use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, ResourceExt};
use metallb_config::{
    AddrRange, BgpAdvertisement, Config, Kind, Objects, Parsed, Pool, References, Rejected, reparse,
};
use metallb_crds::names::PROBE_BEFORE_USE;
use metallb_crds::v1beta1::{
    BFDProfile, BGPAdvertisement, Community, IPAddressPool, L2Advertisement,
};
use metallb_crds::v1beta2::BGPPeer;
use metallb_kit::watch::{Change, ObjectKey};

use super::Touched;
use super::told::Told;

/// The objects that users configure MetalLB with, and what they say together.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    pools: BTreeMap<ObjectKey, IPAddressPool>,
    l2_advertisements: BTreeMap<ObjectKey, L2Advertisement>,
    bgp_advertisements: BTreeMap<ObjectKey, BGPAdvertisement>,
    bgp_peers: BTreeMap<ObjectKey, BGPPeer>,
    bfd_profiles: BTreeMap<ObjectKey, BFDProfile>,
    communities: BTreeMap<ObjectKey, Community>,
    /// Those that peers name.
    secrets: Vec<Secret>,
    /// Somebody else looks after passwords.
    leaves_secrets: bool,
    config: Config,
    /// By the name of the advertisement.
    told: BTreeMap<String, Told>,
    rejected: Vec<Rejected>,
}

impl Configuration {
    /// From now on somebody else reads the Secrets that peers name.
    pub(crate) fn leave_secrets_to_others(&mut self) {
        self.leaves_secrets = true;
    }

    /// Takes in a pool.
    pub(crate) fn pool(&mut self, change: Change<IPAddressPool>) -> Touched {
        let same = |old: &IPAddressPool, new: &IPAddressPool| {
            let annotation = |it: &IPAddressPool| it.annotations().get(PROBE_BEFORE_USE).cloned();
            old.spec == new.spec
                && old.labels() == new.labels()
                && annotation(old) == annotation(new)
        };
        let changed = take_in(&mut self.pools, change, same);
        self.parse_if(changed)
    }

    /// Takes in an advertisement.
    pub(crate) fn l2_advertisement(&mut self, change: Change<L2Advertisement>) -> Touched {
        let same = |old: &L2Advertisement, new: &L2Advertisement| old.spec == new.spec;
        let changed = take_in(&mut self.l2_advertisements, change, same);
        self.parse_if(changed)
    }

    /// Takes in an advertisement by BGP.
    pub(crate) fn bgp_advertisement(&mut self, change: Change<BGPAdvertisement>) -> Touched {
        let same = |old: &BGPAdvertisement, new: &BGPAdvertisement| old.spec == new.spec;
        let changed = take_in(&mut self.bgp_advertisements, change, same);
        self.parse_if(changed)
    }

    /// Takes in a router.
    pub(crate) fn bgp_peer(&mut self, change: Change<BGPPeer>) -> Touched {
        let same = |old: &BGPPeer, new: &BGPPeer| old.spec == new.spec;
        let changed = take_in(&mut self.bgp_peers, change, same);
        self.parse_if(changed)
    }

    /// Takes in how sessions may be watched.
    pub(crate) fn bfd_profile(&mut self, change: Change<BFDProfile>) -> Touched {
        let same = |old: &BFDProfile, new: &BFDProfile| old.spec == new.spec;
        let changed = take_in(&mut self.bfd_profiles, change, same);
        self.parse_if(changed)
    }

    /// Takes in names for communities.
    pub(crate) fn community(&mut self, change: Change<Community>) -> Touched {
        let same = |old: &Community, new: &Community| old.spec == new.spec;
        let changed = take_in(&mut self.communities, change, same);
        self.parse_if(changed)
    }

    /// Takes in the Secrets that [`secret_names`](Self::secret_names) names, those that are there.
    pub(crate) fn secrets(&mut self, secrets: Vec<Secret>) -> Touched {
        let changed = self.secrets != secrets;
        self.secrets = secrets;
        self.parse_if(changed)
    }

    /// Where the BGPPeer of this name is.
    pub(crate) fn namespace_of_peer(&self, name: &str) -> Option<String> {
        let mut keys = self.bgp_peers.keys();
        let key = keys.find(|key| key.name() == name)?;
        Some(key.namespace().to_owned())
    }

    /// When the BGPPeer of this name was made; nothing is younger than everything.
    pub(crate) fn age_of_peer(&self, name: &str) -> impl Ord + use<> {
        let mut peers = self.bgp_peers.iter();
        let peer = peers.find(|(key, _)| key.name() == name);
        let created = peer.and_then(|(_, it)| it.creation_timestamp());
        let created = created.map(|Time(created)| created);
        (created.is_none(), created)
    }

    /// The Secrets to be read for their passwords, by name.
    pub(crate) fn secret_names(&self) -> BTreeSet<String> {
        if self.leaves_secrets {
            return BTreeSet::new();
        }
        let peers = self.bgp_peers.values();
        let secrets = peers.filter_map(|it| it.spec.password_secret.as_ref()?.name.clone());
        secrets.filter(|name| !name.is_empty()).collect()
    }

    /// What is in effect: each object as it is or, if that is no good, as it last was when it was
    /// good.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What routers are told by an advertisement that is in effect.
    pub(crate) fn told(&self, advertisement: &BgpAdvertisement) -> &Told {
        &self.told[&advertisement.name]
    }

    /// The objects that are no good as they are.
    pub(crate) fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    /// The pool `name` as far as `ips` go, if it is there and was never good since we started.
    /// What was assigned from it before stays announced until somebody mends it.
    pub(crate) fn broken_pool(&self, name: &str, ips: &[IpAddr]) -> Option<Pool> {
        let bad = |it: &&Rejected| it.kind == Kind::IPAddressPool && it.name == name;
        let bad = self.rejected.iter().find(bad)?;
        if self.config.pools().contains_key(name) {
            return None;
        }
        let object = self.pools.get(&ObjectKey::new(&bad.namespace, name))?;
        let one = |ip: &IpAddr| format!("{ip}-{ip}").parse::<AddrRange>().ok();
        let mut pool = Pool::new(name, ips.iter().map(one).collect::<Option<_>>()?).ok()?;
        pool.labels = object.labels().clone();
        Some(pool)
    }

    fn parse_if(&mut self, changed: bool) -> Touched {
        if changed {
            self.parse()
        } else {
            Touched::Nothing
        }
    }

    fn parse(&mut self) -> Touched {
        let objects = Objects {
            pools: &all(&self.pools),
            l2_advertisements: &all(&self.l2_advertisements),
            bgp_advertisements: &all(&self.bgp_advertisements),
            bgp_peers: &all(&self.bgp_peers),
            bfd_profiles: &all(&self.bfd_profiles),
            communities: &all(&self.communities),
            references: References::MustExist {
                secrets: (!self.leaves_secrets).then_some(&*self.secrets),
            },
            ..Objects::default()
        };
        let Parsed { config, rejected } = reparse(&objects, &self.config);
        for bad in rejected.iter().filter(|bad| !self.rejected.contains(bad)) {
            tracing::error!(
                op = "setConfig", kind = %bad.kind, name = bad.name, namespace = bad.namespace,
                error = %bad.error,
                "invalid object; its last valid form and everything else stay in effect"
            );
        }
        if self.config == config && self.rejected == rejected {
            return Touched::Nothing;
        }
        self.rejected = rejected;
        let advertisements = config.bgp_advertisements().iter();
        let told = advertisements.map(|(name, it)| (name.clone(), it.into()));
        self.told = told.collect();
        self.config = config;
        Touched::Everything
    }
}

fn all<K: Clone>(objects: &BTreeMap<ObjectKey, K>) -> Vec<K> {
    objects.values().cloned().collect()
}

/// Whether anything that counts has changed.
fn take_in<K: Resource>(
    objects: &mut BTreeMap<ObjectKey, K>,
    change: Change<K>,
    same: impl Fn(&K, &K) -> bool,
) -> bool {
    match change {
        Change::Listing | Change::Synced => false,
        Change::Delete(key) => objects.remove(&key).is_some(),
        Change::Apply(object) => match objects.entry(ObjectKey::of(&object)) {
            Entry::Vacant(entry) => {
                entry.insert(object);
                true
            }
            Entry::Occupied(mut entry) => {
                let before = entry.insert(object);
                // One that was deleted and made again is another object.
                before.meta().uid != entry.get().meta().uid || !same(&before, entry.get())
            }
        },
    }
}
