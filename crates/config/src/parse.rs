//! All objects at once: which are sound, beside one another.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use metallb_crds::v1beta1;

use crate::l2::{L2Advertisement, L2AdvertisementError};
use crate::pool::{Pool, PoolError, Taken};

/// The objects that make up the configuration, as the API server has them, in any order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Objects<'a> {
    /// The pools.
    pub pools: &'a [v1beta1::IPAddressPool],
    /// The advertisements by layer 2.
    pub l2_advertisements: &'a [v1beta1::L2Advertisement],
}

/// A sound configuration: no address is in two pools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    pools: BTreeMap<String, Pool>,
    taken: Taken,
    l2_advertisements: Vec<L2Advertisement>,
}

/// What [`parse`] made of the objects.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// The sound ones.
    pub config: Config,
    /// The others, in the order of their kinds and then of age.
    pub rejected: Vec<Rejected>,
}

/// An object that is left out of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its identity, when the API server gave it one.
    pub uid: Option<String>,
    /// Why.
    pub error: Error,
    /// Whether its last sound form is in effect instead ([`reparse`]).
    pub last_form_stays: bool,
}

/// A kind of object that the configuration is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// IPAddressPool.
    IPAddressPool,
    /// L2Advertisement.
    L2Advertisement,
}

/// Why an object is left out of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// For a pool.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// For an advertisement by layer 2.
    #[error(transparent)]
    L2Advertisement(#[from] L2AdvertisementError),
}

/// Reads the objects into a [`Config`] of those that are sound, alone and beside one another.
///
/// Of two that clash the older one stays, by creation time and then by name; one without a
/// creation time is being created, and younger than all that exist. An object that is bad on its
/// own clashes with nothing. The same objects give the same answer in whatever order they come.
pub fn parse(objects: &Objects<'_>) -> Parsed {
    reparse(objects, &Config::default())
}

/// Reads the objects once more after a change, while `in_effect` is what they were read into
/// before.
///
/// An object that was sound and is not any more is rejected, but its last sound form stays in
/// effect, as long as the object is there and no older one stands against it.
pub fn reparse(objects: &Objects<'_>, in_effect: &Config) -> Parsed {
    let mut parsed = Parsed::default();
    let Parsed { config, rejected } = &mut parsed;
    for object in by_age(objects.pools) {
        let added = Pool::try_from(object).and_then(|pool| config.add_pool(pool));
        if let Err(error) = added {
            let last = in_effect.pools.get(&object.name_any());
            let kept = last.filter(|last| last.uid == object.uid());
            let stays = kept.is_some_and(|last| config.add_pool(last.clone()).is_ok());
            rejected.push(Rejected::new(Kind::IPAddressPool, object, error, stays));
        }
    }
    for object in by_age(objects.l2_advertisements) {
        match L2Advertisement::try_from(object) {
            Ok(advertisement) => config.l2_advertisements.push(advertisement),
            Err(error) => {
                let named = |it: &&L2Advertisement| it.name == object.name_any();
                let last = in_effect.l2_advertisements.iter().find(named);
                let kept = last.filter(|last| last.uid == object.uid());
                config.l2_advertisements.extend(kept.cloned());
                rejected.push(Rejected::new(
                    Kind::L2Advertisement,
                    object,
                    error,
                    kept.is_some(),
                ));
            }
        }
    }
    config.l2_advertisements.sort_by(|a, b| a.name.cmp(&b.name));
    parsed
}

impl Config {
    /// The pools, by name.
    pub fn pools(&self) -> &BTreeMap<String, Pool> {
        &self.pools
    }

    /// The advertisements by layer 2, ordered by name.
    pub fn l2_advertisements(&self) -> &[L2Advertisement] {
        &self.l2_advertisements
    }

    /// The advertisements by layer 2 that announce addresses of `pool`, ordered by name.
    pub fn l2_advertisements_of(&self, pool: &Pool) -> impl Iterator<Item = &L2Advertisement> {
        self.l2_advertisements
            .iter()
            .filter(|it| it.selects_pool(pool))
    }

    /// The pool that has all of these addresses, whether or not it gives them out; nothing for no
    /// addresses.
    pub fn pool_of(&self, ips: &[IpAddr]) -> Option<&Pool> {
        let (first, others) = ips.split_first()?;
        let owner = self.taken.owner(*first)?;
        let same = others.iter().all(|ip| self.taken.owner(*ip) == Some(owner));
        same.then(|| self.pools.get(owner)).flatten()
    }

    /// Adds a pool, or refuses it when its name or one of its addresses is there already.
    pub fn add_pool(&mut self, pool: Pool) -> Result<(), PoolError> {
        if self.pools.contains_key(&pool.name) {
            return Err(PoolError::Name(pool.name));
        }
        self.taken.claim_all(&pool)?;
        self.pools.insert(pool.name.clone(), pool);
        Ok(())
    }
}

impl Rejected {
    fn new(
        kind: Kind,
        object: &impl ResourceExt,
        error: impl Into<Error>,
        last_form_stays: bool,
    ) -> Self {
        Self {
            kind,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid(),
            error: error.into(),
            last_form_stays,
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            namespace,
            name,
            error,
            ..
        } = self;
        write!(f, "{kind} {namespace}/{name}: {error}")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IPAddressPool => "IPAddressPool",
            Self::L2Advertisement => "L2Advertisement",
        })
    }
}

/// Oldest first.
fn by_age<K: ResourceExt>(objects: &[K]) -> Vec<&K> {
    let mut objects: Vec<_> = objects.iter().collect();
    objects.sort_by_cached_key(|object| {
        let created = object.creation_timestamp().map(|Time(created)| created);
        (created.is_none(), created, object.name_any())
    });
    objects
}
