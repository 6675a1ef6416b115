//! Advertisements by BGP.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use kube::ResourceExt;
use metallb_crds::v1beta1;

use crate::community::{Community, CommunityError};
use crate::pool::Pool;
use crate::range::{AddrRange, Family};
use crate::scope::{Fields, Scope, ScopeError};
use crate::selector::{Duplicate, distinct};

/// A BGPAdvertisement: which addresses are announced by BGP, to whom, with what attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BgpAdvertisement {
    /// Its name.
    pub name: String,
    /// The identity of its object, when the API server gave it one.
    pub uid: Option<String>,
    /// Which addresses it announces, from which nodes, of which Services.
    pub scope: Scope,
    /// Length of the announced IPv4 prefixes, up to 32.
    pub aggregation_v4: u8,
    /// Length of the announced IPv6 prefixes, up to 128.
    pub aggregation_v6: u8,
    /// Local preference of the routes; none when there is none.
    pub local_pref: Option<NonZeroU32>,
    /// Communities on the routes.
    pub communities: BTreeSet<Community>,
    /// The peers to announce to, by name; those that do not exist do no harm. All when empty.
    pub peers: BTreeSet<String>,
    /// Pools that are in its scope but that it must not announce.
    pub(crate) left_out: BTreeSet<String>,
}

/// Why a BGPAdvertisement is unusable, or must not announce some pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BgpAdvertisementError {
    /// It does not say what to announce.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// A community or a peer is there twice.
    #[error(transparent)]
    Duplicate(#[from] Duplicate),
    /// Services have routes of their own only where each address has.
    #[error("serviceSelectors and {field} are mutually exclusive, both cannot be set in {name}")]
    Selective {
        /// The advertisement's name.
        name: String,
        /// The field with the length.
        field: &'static str,
    },
    /// No prefix is that long.
    #[error("invalid aggregation length {length} for {family}")]
    Length {
        /// The length.
        length: i64,
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// BGP has 32 bits for a local preference.
    #[error("invalid local preference {0}: write a number from 0 to 4294967295")]
    Preference(i64),
    /// Neither a community nor a name for one.
    #[error("{error}\ninvalid community {text:?} in BGP advertisement")]
    Community {
        /// The entry.
        text: String,
        /// What is wrong with it.
        error: CommunityError,
    },
    /// There is an older one of the same name.
    #[error("duplicate definition of bgpadvertisements. advertisement {0:?} is there twice")]
    Name(String),
    /// It would announce addresses that a pool does not have.
    #[error(
        "invalid aggregation length {length}: prefix {prefix} in this pool is more specific than \
         the aggregation length for addresses {addresses}"
    )]
    Aggregation {
        /// The length of the announced prefixes.
        length: u8,
        /// The shortest prefix of the addresses.
        prefix: u8,
        /// The addresses.
        addresses: AddrRange,
    },
    /// An older one announces the same routes with another local preference.
    #[error(
        "invalid local preference {preference}: local preferernce {with} was already set for the \
         same type of BGP update. Check existing BGP advertisements with common pools and \
         aggregation lengths"
    )]
    LocalPref {
        /// Its own.
        preference: u32,
        /// The older one's.
        with: u32,
    },
    /// BFD echo is for IPv4 only.
    #[error(
        "pool {pool} has bgpadvertisement {name} which references peer {peer} which has bfd echo \
         enabled, which is not possible"
    )]
    Echo {
        /// The pool's name.
        pool: String,
        /// The advertisement's name.
        name: String,
        /// The peer's name.
        peer: String,
    },
}

impl BgpAdvertisement {
    /// Whether it announces addresses of `pool`.
    pub fn announces(&self, pool: &Pool) -> bool {
        self.scope.selects_pool(pool) && !self.left_out.contains(&pool.name)
    }

    /// Whether it announces to the peer of this name.
    pub fn selects_peer(&self, name: &str) -> bool {
        self.peers.is_empty() || self.peers.contains(name)
    }

    /// Length of the announced prefixes of a family.
    pub fn aggregation(&self, family: Family) -> u8 {
        match family {
            Family::V4 => self.aggregation_v4,
            Family::V6 => self.aggregation_v6,
        }
    }

    /// What the object says on its own. `community` reads an entry of `communities`, or passes
    /// over it.
    pub(crate) fn read(
        object: &v1beta1::BGPAdvertisement,
        community: impl Fn(&str) -> Result<Option<Community>, CommunityError>,
    ) -> Result<Self, BgpAdvertisementError> {
        let name = object.name_any();
        let spec = &object.spec;
        let scope = Scope::try_from(Fields {
            name: &name,
            pools: &spec.ip_address_pools,
            pool_selectors: &spec.ip_address_pool_selectors,
            node_selectors: &spec.node_selectors,
            service_selectors: &spec.service_selectors,
        })?;
        let communities = distinct("community", &spec.communities)?;
        let peers = distinct("peers", &spec.peers)?;
        let lengths = [
            ("aggregationLength", "IPv4", spec.aggregation_length, V4),
            (
                "aggregationLengthV6",
                "IPv6",
                spec.aggregation_length_v6,
                V6,
            ),
        ];
        let selective = !scope.service_selectors.is_empty();
        let cut = lengths
            .iter()
            .find(|(.., length, all)| selective && *length != i64::from(*all));
        if let Some((field, ..)) = cut {
            return Err(BgpAdvertisementError::Selective { name, field });
        }
        let [aggregation_v4, aggregation_v6] = lengths.map(|(_, family, length, all)| {
            // Upstream lets what is below zero pass. No pool has so large a network either.
            u8::try_from(length.max(0))
                .ok()
                .filter(|length| *length <= all)
                .ok_or(BgpAdvertisementError::Length { length, family })
        });
        let communities = communities
            .into_iter()
            .filter_map(|text| match community(&text) {
                Ok(community) => community.map(Ok),
                Err(error) => Some(Err(BgpAdvertisementError::Community { text, error })),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            name,
            uid: object.uid(),
            scope,
            aggregation_v4: aggregation_v4?,
            aggregation_v6: aggregation_v6?,
            local_pref: local_pref(spec.local_pref)?,
            communities,
            peers,
            left_out: BTreeSet::new(),
        })
    }
}

fn local_pref(number: Option<i64>) -> Result<Option<NonZeroU32>, BgpAdvertisementError> {
    let number = number.unwrap_or_default();
    u32::try_from(number)
        .map(NonZeroU32::new)
        .map_err(|_| BgpAdvertisementError::Preference(number))
}

/// Length of a prefix of one IPv4 address.
const V4: u8 = 32;
/// Length of a prefix of one IPv6 address.
const V6: u8 = 128;
