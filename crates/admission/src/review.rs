//! May this object be created, changed, deleted?
//!
//! An object may be when it would be part of the configuration: it is read as the youngest among
//! those that exist, so that of two that clash it is the one to be refused. Objects that are bad
//! already are in nobody's way.
//!
//! Each webhook looks at some kinds only, as upstream's do, so that in whatever order objects come
//! none waits for another: what an object names may be made later.
//!
//! Upstream refuses a change of metadata too while the spec is bad, and anything while another
//! object is. Nobody can want that: a finalizer could not be removed.

use std::net::Ipv6Addr;

use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, Operation};
use kube::{Resource, ResourceExt};
use metallb_config::{Kind, Objects, parse};
use metallb_crds::{v1beta1, v1beta2};
use serde::de::DeserializeOwned;

use crate::verdict::Verdict;
use crate::webhooks::Webhook;

type Request = AdmissionRequest<DynamicObject>;

/// Answers a request to `webhook`.
///
/// `existing` are the objects in MetalLB's `namespace`; of those and of what else it tells, only
/// [`Webhook::reads`] is looked at. An operation that is not the webhook's to judge is
/// allowed.
pub fn review(
    webhook: &Webhook,
    request: &Request,
    existing: &Objects<'_>,
    namespace: &str,
) -> Verdict {
    if !webhook.operations.contains(&request.operation) {
        return Verdict::allow();
    }
    let asked = Asked {
        request,
        existing: read_by(webhook, existing),
        namespace,
    };
    let answer = match webhook.kind {
        Kind::IPAddressPool => asked.among::<v1beta1::IPAddressPool>(),
        Kind::L2Advertisement => asked.among::<v1beta1::L2Advertisement>(),
        Kind::BGPAdvertisement => asked.among::<v1beta1::BGPAdvertisement>(),
        Kind::BGPPeer => asked.among::<v1beta2::BGPPeer>(),
        Kind::Community => asked.among::<v1beta1::Community>(),
        Kind::BFDProfile => asked.bfd_profile(),
    };
    match answer {
        Ok(warnings) => Verdict::Allow {
            warnings: warnings.into_iter().map(str::to_owned).collect(),
        },
        Err(no) => no,
    }
}

#[derive(Clone, Copy)]
struct Asked<'a> {
    request: &'a Request,
    /// What the webhook reads.
    existing: Objects<'a>,
    namespace: &'a str,
}

const NO_ECHO: &str = "echoMode of the BFDProfile has no effect for this peer: Echo packets are \
    sent by IPv4 to routers on the link alone; control packets watch the session";

const NO_SOURCE: &str = "sourceAddress has no effect with interface: the session is between the \
    link-local addresses of node and router";

/// A warning or none, or why not.
type Answer = Result<Option<&'static str>, Verdict>;

impl Asked<'_> {
    /// Creation or change of an object that is part of the configuration.
    fn among<K: Configuring>(self) -> Answer {
        let mut object: K = self.object()?;
        if self.request.operation == Operation::Create {
            if let Some(warning) = object.is_unchecked() {
                return Ok(Some(warning));
            }
            self.is_in_namespace(&object)?;
        } else if keeps_spec(self.request) {
            return Ok(None);
        }
        // Of two that clash, the one that was there stays.
        object.meta_mut().creation_timestamp = None;
        let warning = object.has_no_effect(&self.existing);
        let name = object.name_any();
        let mut objects = self.existing;
        let others = K::list(&mut objects)
            .iter()
            .filter(|it| it.name_any() != name);
        let mut all: Vec<K> = others.cloned().collect();
        all.push(object);
        all.iter_mut().for_each(K::forget_references);
        *K::list(&mut objects) = &all;
        let parsed = parse(&objects);
        let mut rejected = parsed.rejected.iter();
        match rejected.find(|it| it.kind == K::KIND && it.name == name) {
            None => Ok(warning),
            Some(rejected) => Err(Verdict::Deny(rejected.error.to_string())),
        }
    }

    /// Profiles have all their rules in the schema. What remains is that one in use stays.
    fn bfd_profile(self) -> Answer {
        if self.request.operation == Operation::Create {
            let profile: v1beta1::BFDProfile = self.object()?;
            self.is_in_namespace(&profile)?;
            return Ok(None);
        }
        let profile: v1beta1::BFDProfile = decoded(self.request.old_object.as_ref())?;
        let name = profile.name_any();
        let names_it = |peer: &&v1beta2::BGPPeer| peer.spec.bfd_profile.as_ref() == Some(&name);
        let user = self
            .existing
            .bgp_peers
            .iter()
            .filter(names_it)
            .map(ResourceExt::name_any)
            .min();
        match user.filter(|_| profile.namespace().as_deref() == Some(self.namespace)) {
            None => Ok(None),
            Some(peer) => Err(Verdict::Deny(format!(
                "failed to delete BFDProfile {name}, used by BGPPeer {peer}"
            ))),
        }
    }

    fn object<K: DeserializeOwned>(self) -> Result<K, Verdict> {
        decoded(self.request.object.as_ref())
    }

    /// Whoever has objects elsewhere already may change them.
    fn is_in_namespace(self, object: &impl ResourceExt) -> Result<(), Verdict> {
        if object.namespace().as_deref() == Some(self.namespace) {
            return Ok(());
        }
        let namespace = self.namespace;
        Err(Verdict::Deny(format!(
            "resource must be created in {namespace} namespace"
        )))
    }
}

/// Whether only metadata change: that makes no configuration worse, and must be possible for a bad
/// object too, or it could never lose a finalizer.
pub(crate) fn keeps_spec(request: &Request) -> bool {
    let spec = |object: &Option<DynamicObject>| object.as_ref().map(|it| it.data["spec"].clone());
    spec(&request.object) == spec(&request.old_object)
}

pub(crate) fn decoded<K: DeserializeOwned>(object: Option<&DynamicObject>) -> Result<K, Verdict> {
    let object =
        object.ok_or_else(|| Verdict::Malformed("the request has no object".to_owned()))?;
    serde_json::to_value(object)
        .and_then(serde_json::from_value)
        .map_err(|error| Verdict::Malformed(format!("cannot read the object: {error}")))
}

/// Of what exists, what the webhook reads.
fn read_by<'a>(webhook: &Webhook, existing: &Objects<'a>) -> Objects<'a> {
    let mut read = Objects::default();
    for kind in webhook.reads {
        match kind {
            Kind::IPAddressPool => read.pools = existing.pools,
            Kind::L2Advertisement => read.l2_advertisements = existing.l2_advertisements,
            Kind::BGPAdvertisement => read.bgp_advertisements = existing.bgp_advertisements,
            Kind::BGPPeer => read.bgp_peers = existing.bgp_peers,
            Kind::BFDProfile => read.bfd_profiles = existing.bfd_profiles,
            Kind::Community => read.communities = existing.communities,
        }
    }
    if webhook.reads_nodes {
        read.nodes = existing.nodes;
    }
    read
}

/// A kind that the configuration is made of.
trait Configuring: Resource<DynamicType = ()> + Clone + DeserializeOwned {
    const KIND: Kind;

    /// Where the objects of this kind are.
    fn list<'o, 'a>(objects: &'o mut Objects<'a>) -> &'o mut &'a [Self];

    /// Removes what names objects that may be made later.
    fn forget_references(&mut self) {}

    /// Whether nothing is checked when it is created, and what is said then.
    fn is_unchecked(&self) -> Option<&'static str> {
        None
    }

    /// What is sound in it, or in what it names of those that exist, and has no effect.
    fn has_no_effect(&self, _existing: &Objects<'_>) -> Option<&'static str> {
        None
    }
}

impl Configuring for v1beta1::IPAddressPool {
    const KIND: Kind = Kind::IPAddressPool;

    fn list<'o, 'a>(objects: &'o mut Objects<'a>) -> &'o mut &'a [Self] {
        &mut objects.pools
    }
}

impl Configuring for v1beta1::L2Advertisement {
    const KIND: Kind = Kind::L2Advertisement;

    fn list<'o, 'a>(objects: &'o mut Objects<'a>) -> &'o mut &'a [Self] {
        &mut objects.l2_advertisements
    }
}

impl Configuring for v1beta1::BGPAdvertisement {
    const KIND: Kind = Kind::BGPAdvertisement;

    fn list<'o, 'a>(objects: &'o mut Objects<'a>) -> &'o mut &'a [Self] {
        &mut objects.bgp_advertisements
    }

    fn forget_references(&mut self) {
        // What has a colon is a community and no name of one.
        self.spec.communities.retain(|it| it.contains(':'));
    }
}

impl Configuring for v1beta2::BGPPeer {
    const KIND: Kind = Kind::BGPPeer;

    fn list<'o, 'a>(objects: &'o mut Objects<'a>) -> &'o mut &'a [Self] {
        &mut objects.bgp_peers
    }

    fn forget_references(&mut self) {
        self.spec.bfd_profile = None;
        self.spec.password_secret = None;
    }

    fn is_unchecked(&self) -> Option<&'static str> {
        // Upstream's words.
        self.spec.disable_mp.then_some(
            "disable mp is deprecated and has no effect since it's the default behavior now",
        )
    }

    fn has_no_effect(&self, existing: &Objects<'_>) -> Option<&'static str> {
        let spec = &self.spec;
        let given = |field: &Option<String>| field.as_deref().is_some_and(|it| !it.is_empty());
        let on_interface = given(&spec.interface);
        if on_interface && given(&spec.source_address) {
            return Some(NO_SOURCE);
        }
        let echoes = |profile: &v1beta1::BFDProfile| {
            Some(profile.name_any()) == spec.bfd_profile && profile.spec.echo_mode == Some(true)
        };
        let address = spec.peer_address.as_deref().unwrap_or_default();
        let is_v6 = on_interface || address.parse::<Ipv6Addr>().is_ok();
        let gets_none = is_v6 || spec.ebgp_multi_hop == Some(true);
        (gets_none && existing.bfd_profiles.iter().any(echoes)).then_some(NO_ECHO)
    }
}

impl Configuring for v1beta1::Community {
    const KIND: Kind = Kind::Community;

    fn list<'o, 'a>(objects: &'o mut Objects<'a>) -> &'o mut &'a [Self] {
        &mut objects.communities
    }
}
