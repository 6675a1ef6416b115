//! All objects at once: which are sound, beside one another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::bfd::BfdProfile;
use crate::bgp::BgpAdvertisement;
use crate::community::{Community, CommunityNames, CommunityNamesError};
use crate::config::Config;
use crate::form::Form;
use crate::l2::L2Advertisement;
use crate::objects::Objects;
use crate::peer::{ObjectName, Peer};
use crate::pool::Pool;
use crate::rejected::{InEffect, Rejected};
use crate::routes::Routes;

/// What [`parse`] made of the objects.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// The sound ones.
    pub config: Config,
    /// The others, in the order of their kinds and then of age.
    pub rejected: Vec<Rejected>,
}

/// Reads the objects into a [`Config`] of those that are sound, alone and beside one another.
///
/// Of two that clash the older one stays, by creation time and then by name; one without a
/// creation time is being created, and younger than all that exist. An object that is bad on its
/// own clashes with nothing. The same objects give the same answer in whatever order they come.
///
/// An advertisement by BGP that is no good for some pool is rejected, and yet announces the others.
pub fn parse(objects: &Objects<'_>) -> Parsed {
    reparse(objects, &Config::default())
}

/// Reads the objects once more after a change, while `in_effect` is what they were read into
/// before.
///
/// An object that was sound and is not any more is rejected, but its last sound form stays in
/// effect, as long as the object is there and no older one stands against it.
pub fn reparse(objects: &Objects<'_>, in_effect: &Config) -> Parsed {
    let mut reading = Reading {
        objects,
        in_effect,
        config: Config::default(),
        rejected: Vec::new(),
    };
    // What others name comes before them.
    reading.bfd_profiles();
    let names = reading.communities();
    reading.pools();
    reading.l2_advertisements();
    reading.peers();
    reading.bgp_advertisements(&names);
    let Reading {
        config,
        mut rejected,
        ..
    } = reading;
    rejected.sort_by_key(|it| it.kind);
    Parsed { config, rejected }
}

struct Reading<'a> {
    objects: &'a Objects<'a>,
    in_effect: &'a Config,
    config: Config,
    rejected: Vec<Rejected>,
}

impl Reading<'_> {
    fn bfd_profiles(&mut self) {
        each(
            self.objects.bfd_profiles,
            &self.in_effect.bfd_profiles,
            &mut self.config.bfd_profiles,
            &mut self.rejected,
            |object| BfdProfile::try_from(object),
            |_| Ok(None),
        );
    }

    /// Returns what the names in all objects stand for.
    fn communities(&mut self) -> BTreeMap<String, Community> {
        let mut names = BTreeMap::new();
        each(
            self.objects.communities,
            &self.in_effect.communities,
            &mut self.config.communities,
            &mut self.rejected,
            |object| CommunityNames::try_from(object),
            |object| {
                if let Some(taken) = object.values.keys().find(|it| names.contains_key(*it)) {
                    return Err(CommunityNamesError::Duplicate(taken.clone()));
                }
                names.extend(object.values.clone());
                Ok(None)
            },
        );
        names
    }

    fn pools(&mut self) {
        each(
            self.objects.pools,
            &self.in_effect.pools,
            &mut self.config.pools,
            &mut self.rejected,
            |object| Pool::try_from(object),
            |pool| self.config.taken.claim_all(pool).map(|()| None),
        );
    }

    fn l2_advertisements(&mut self) {
        each(
            self.objects.l2_advertisements,
            &self.in_effect.l2_advertisements,
            &mut self.config.l2_advertisements,
            &mut self.rejected,
            |object| L2Advertisement::try_from(object),
            |_| Ok(None),
        );
    }

    fn peers(&mut self) {
        let references = self.objects.references;
        let secrets = references.secrets_by_name();
        each(
            self.objects.bgp_peers,
            &self.in_effect.peers,
            &mut self.config.peers,
            &mut self.rejected,
            |object| {
                let peer = Peer::try_from(object)?;
                let peer =
                    peer.with_bfd_profile(&self.config.bfd_profiles, references.must_exist())?;
                match &secrets {
                    Some(secrets) => peer.with_secret(&ObjectName::of(object), secrets),
                    None => Ok(peer),
                }
            },
            |_| Ok(None),
        );
    }

    fn bgp_advertisements(&mut self, names: &BTreeMap<String, Community>) {
        let Objects {
            nodes, references, ..
        } = *self.objects;
        let mut routes = Routes::new(&self.config.pools, nodes, &self.config.peers);
        each(
            self.objects.bgp_advertisements,
            &self.in_effect.bgp_advertisements,
            &mut self.config.bgp_advertisements,
            &mut self.rejected,
            |object| BgpAdvertisement::read(object, |text| references.community(text, names)),
            |advertisement| Ok(routes.add(advertisement)),
        );
    }
}

/// Reads the objects of one kind, oldest first, `into` those of them that are sound.
///
/// `read` is about an object on its own. `place` holds it against those before it, and says why it
/// has no place there, or, when it has, why it is yet not all that it should be.
fn each<F: Form>(
    objects: &[F::Object],
    in_effect: &BTreeMap<String, F>,
    into: &mut BTreeMap<String, F>,
    rejected: &mut Vec<Rejected>,
    read: impl Fn(&F::Object) -> Result<F, F::Error>,
    mut place: impl FnMut(&mut F) -> Result<Option<F::Error>, F::Error>,
) {
    let mut add = |mut form: F| match into.entry(form.name().to_owned()) {
        Entry::Occupied(there) => Err(F::duplicate(there.key().clone())),
        Entry::Vacant(entry) => {
            let partly = place(&mut form)?;
            entry.insert(form);
            Ok(partly)
        }
    };
    for object in by_age(objects) {
        let (error, effect) = match read(object).and_then(&mut add) {
            Ok(None) => continue,
            Ok(Some(error)) => (error, InEffect::OtherPools),
            Err(error) => {
                let last = in_effect.get(&object.name_any());
                let last = last.filter(|last| last.uid() == object.uid().as_ref());
                let stays = last.is_some_and(|last| add(last.clone()).is_ok());
                let effect = if stays {
                    InEffect::LastForm
                } else {
                    InEffect::Nothing
                };
                (error, effect)
            }
        };
        rejected.push(Rejected::new(F::KIND, object, error, effect));
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
