//! From a BGPPeer to a [`Peer`].

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use metallb_crds::v1beta2::{self, DynamicAsn};

use super::{
    Asn, Bfd, Hidden, ObjectName, Password, Peer, PeerAddress, PeerError, RemoteAsn, SecretError,
};
use crate::bfd::BfdProfile;
use crate::selector::Selector;
use crate::timers::{Timers, connect_time};

impl TryFrom<&v1beta2::BGPPeer> for Peer {
    type Error = PeerError;

    /// What the object says on its own, whatever others there are.
    fn try_from(object: &v1beta2::BGPPeer) -> Result<Self, PeerError> {
        let spec = &object.spec;
        let name = object.name_any();
        let (my_asn, remote_asn) = asns(spec)?;
        let address = address(object)?;
        let timers = Timers::read(
            given(spec.hold_time.as_deref()),
            given(spec.keepalive_time.as_deref()),
        )?;
        let connect_time = given(spec.connect_time.as_deref())
            .map(connect_time)
            .transpose()?;
        let router_id = ip(spec.router_id.as_deref(), PeerError::RouterId)?;
        let source_address = ip(spec.source_address.as_deref(), PeerError::SourceAddress)?;
        let node_selectors =
            Selector::parse_list("nodeSelectors", &spec.node_selectors).map_err(|error| {
                PeerError::NodeSelector {
                    peer: name.clone(),
                    error,
                }
            })?;
        Ok(Self {
            my_asn,
            local_asn: spec.local_asn.and_then(Asn::new),
            remote_asn,
            address,
            source_address,
            // What v1beta1 calls 0.
            port: NonZeroU16::new(spec.peer_port).unwrap_or(PORT),
            timers,
            connect_time,
            router_id,
            node_selectors,
            password: password(object)?,
            bfd: given(spec.bfd_profile.as_deref()).map(Bfd::named),
            graceful_restart: spec.enable_graceful_restart.unwrap_or_default(),
            ebgp_multi_hop: spec.ebgp_multi_hop.unwrap_or_default(),
            vrf: one_line(object, "VRF name", spec.vrf.as_deref())?.map(str::to_owned),
            dual_stack: spec.dual_stack_address_family,
            uid: object.uid(),
            name,
        })
    }
}

impl Peer {
    /// Fills in what its BFD profile says.
    pub(crate) fn with_bfd_profile(
        mut self,
        profiles: &BTreeMap<String, BfdProfile>,
        must_exist: bool,
    ) -> Result<Self, PeerError> {
        if let Some(bfd) = &mut self.bfd {
            bfd.settings = profiles.get(&bfd.profile).cloned();
            if must_exist && bfd.settings.is_none() {
                let (peer, profile) = (self.name, bfd.profile.clone());
                return Err(PeerError::NoBfdProfile { peer, profile });
            }
        }
        Ok(self)
    }

    /// Fills in the password that a Secret holds. `peer` is the object's name.
    pub(crate) fn with_secret(
        mut self,
        peer: &ObjectName,
        secrets: &BTreeMap<String, &Secret>,
    ) -> Result<Self, PeerError> {
        if let Some(Password::Secret { name, value }) = &mut self.password {
            let read = secrets
                .get(name)
                .ok_or_else(|| SecretError::NotFound(peer.clone()))
                .and_then(|secret| password_of(secret, peer.clone()));
            let read = read.map_err(|error| PeerError::Secret {
                peer: self.name.clone(),
                error,
            })?;
            *value = Some(read);
        }
        Ok(self)
    }
}

impl Bfd {
    fn named(profile: &str) -> Self {
        Self {
            profile: profile.to_owned(),
            settings: None,
        }
    }
}

fn asns(spec: &v1beta2::BGPPeerSpec) -> Result<(Asn, RemoteAsn), PeerError> {
    let my_asn = Asn::new(spec.my_asn).ok_or(PeerError::NoMyAsn)?;
    let remote_asn = match (spec.peer_asn.and_then(Asn::new), spec.dynamic_asn) {
        (None, None) => return Err(PeerError::NoRemoteAsn),
        (Some(_), Some(_)) => return Err(PeerError::TwoRemoteAsns),
        (Some(number), None) => RemoteAsn::Number(number),
        (None, Some(DynamicAsn::Internal)) => RemoteAsn::Internal,
        (None, Some(DynamicAsn::External)) => RemoteAsn::External,
    };
    // Upstream lets dynamicASN internal pass.
    if remote_asn == RemoteAsn::Number(my_asn) && spec.ebgp_multi_hop == Some(true) {
        return Err(PeerError::IbgpMultiHop);
    }
    Ok((my_asn, remote_asn))
}

fn address(object: &v1beta2::BGPPeer) -> Result<PeerAddress, PeerError> {
    let spec = &object.spec;
    match (
        given(spec.peer_address.as_deref()),
        given(spec.interface.as_deref()),
    ) {
        (None, None) => Err(PeerError::NoAddress),
        (Some(_), Some(_)) => Err(PeerError::TwoAddresses),
        (Some(text), None) => parse_ip(text)
            .map(PeerAddress::Ip)
            .ok_or_else(|| PeerError::Address(text.to_owned())),
        (None, Some(_)) => {
            let name =
                one_line(object, "interface", spec.interface.as_deref())?.unwrap_or_default();
            Ok(PeerAddress::Interface(name.to_owned()))
        }
    }
}

fn password(object: &v1beta2::BGPPeer) -> Result<Option<Password>, PeerError> {
    let spec = &object.spec;
    let secret = spec.password_secret.as_ref();
    let secret = secret.and_then(|secret| given(secret.name.as_deref()));
    let plain = one_line(object, "password", spec.password.as_deref())?;
    match (plain, secret) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(PeerError::TwoPasswords(ObjectName::of(object))),
        (Some(plain), None) => Ok(Some(Password::Plain(Hidden(plain.into())))),
        (None, Some(name)) => Ok(Some(Password::Secret {
            name: name.to_owned(),
            value: None,
        })),
    }
}

fn password_of(secret: &Secret, peer: ObjectName) -> Result<Hidden, SecretError> {
    if secret.type_.as_deref() != Some("kubernetes.io/basic-auth") {
        return Err(SecretError::Type(ObjectName::of(secret)));
    }
    let data = secret.data.as_ref().and_then(|data| data.get("password"));
    let data = data.ok_or_else(|| SecretError::NoPassword(ObjectName::of(secret)))?;
    if data.0.contains(&b'\n') || data.0.contains(&b'\r') {
        return Err(SecretError::LineBreak(peer));
    }
    Ok(Hidden(data.0.clone()))
}

fn one_line<'a>(
    object: &v1beta2::BGPPeer,
    what: &'static str,
    text: Option<&'a str>,
) -> Result<Option<&'a str>, PeerError> {
    match given(text) {
        Some(text) if text.contains(['\n', '\r']) => {
            let peer = ObjectName::of(object);
            Err(PeerError::LineBreak { what, peer })
        }
        text => Ok(text),
    }
}

fn ip(
    text: Option<&str>,
    refused: impl FnOnce(String) -> PeerError,
) -> Result<Option<IpAddr>, PeerError> {
    match given(text) {
        None => Ok(None),
        Some(text) => {
            parse_ip(text).map_or_else(|| Err(refused(text.to_owned())), |ip| Ok(Some(ip)))
        }
    }
}

/// As Go reads an address: an IPv4 address may be written as an IPv4-mapped IPv6 one.
fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// A text that says something: empty is the same as left out.
fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// BGP's own port (RFC 4271).
const PORT: NonZeroU16 = NonZeroU16::new(179).unwrap();
