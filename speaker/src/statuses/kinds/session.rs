//! What is said of BGP sessions.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use metallb_config::PeerAddress;
use metallb_crds::names::{BGP_PEER_LABEL, PEER_LABEL, VRF_LABEL};
use metallb_crds::v1beta1::{BGPSessionState, BGPSessionStateStatus};

use super::super::LABEL_MAX;
use super::{Kind, Labels};
use crate::checksum::checksum;

/// Whose session an object speaks of, as its labels say it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionSubject {
    bgp_peer: String,
    peer: String,
    vrf: String,
}

impl SessionSubject {
    pub(crate) fn new(bgp_peer: &str, address: &PeerAddress, vrf: Option<&str>) -> Self {
        let peer = match address {
            PeerAddress::Ip(IpAddr::V4(ip)) => ip.to_string(),
            PeerAddress::Ip(IpAddr::V6(ip)) => {
                ip.segments().map(|it| format!("{it:04x}")).join("-")
            }
            // As FRR-K8s has it.
            PeerAddress::Interface(name) => label_value(name),
        };
        Self {
            bgp_peer: label_value(bgp_peer),
            peer,
            vrf: label_value(vrf.unwrap_or_default()),
        }
    }
}

impl Kind for BGPSessionState {
    type Subject = SessionSubject;
    /// All but whose it is.
    type Said = BGPSessionStateStatus;
    type Status = BGPSessionStateStatus;
    const ALONE: bool = false;

    /// That of the node, as FRR-K8s has it.
    fn prefix(node: &str) -> String {
        format!("{node}-")
    }

    fn labels(subject: &SessionSubject) -> Labels {
        vec![
            (BGP_PEER_LABEL, subject.bgp_peer.clone()),
            (PEER_LABEL, subject.peer.clone()),
            (VRF_LABEL, subject.vrf.clone()),
        ]
    }

    fn subject<'a>(label: impl Fn(&str) -> &'a str) -> SessionSubject {
        SessionSubject {
            bgp_peer: label(BGP_PEER_LABEL).to_owned(),
            peer: label(PEER_LABEL).to_owned(),
            vrf: label(VRF_LABEL).to_owned(),
        }
    }

    fn blank(metadata: ObjectMeta) -> Self {
        Self {
            metadata,
            ..Self::default()
        }
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn say(node: &str, _: &SessionSubject, said: &Self::Said) -> Self::Status {
        BGPSessionStateStatus {
            node: Some(node.to_owned()),
            ..said.clone()
        }
    }
}

/// `name` where a label can have it, else one like it: names of objects may be longer than values
/// of labels, and names of devices may have other characters.
fn label_value(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let replaced: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .collect();
    let is_end = |c: char| !c.is_ascii_alphanumeric();
    let trimmed = replaced.trim_matches(is_end);
    if trimmed == name && name.len() <= LABEL_MAX {
        return name.to_owned();
    }
    let hash = format!("{:08x}", checksum(name));
    let kept = &trimmed[..trimmed.len().min(LABEL_MAX - hash.len() - 1)];
    let value = format!("{kept}-{hash}");
    value.trim_matches(is_end).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_frr_k8s() {
        let subject =
            |ip: &str, vrf| SessionSubject::new("tor", &PeerAddress::Ip(ip.parse().unwrap()), vrf);
        let labels = BGPSessionState::labels(&subject("2001:db8::1", Some("red")));
        let expected = [
            ("metallb.io/bgp-peer", "tor"),
            ("metallb.io/peer", "2001-0db8-0000-0000-0000-0000-0000-0001"),
            ("metallb.io/vrf", "red"),
        ];
        assert_eq!(labels, expected.map(|(key, it)| (key, it.to_owned())));
        let find = |key: &str| labels.iter().find(|it| it.0 == key).unwrap().1.as_str();
        assert_eq!(
            BGPSessionState::subject(find),
            subject("2001:db8::1", Some("red"))
        );
        let plain = BGPSessionState::labels(&subject("192.0.2.1", None));
        assert_eq!((&*plain[1].1, &*plain[2].1), ("192.0.2.1", ""));
        let on_interface = PeerAddress::Interface("eth0.7".to_owned());
        let found = BGPSessionState::labels(&SessionSubject::new("tor", &on_interface, None));
        assert_eq!(found[1].1, "eth0.7");
    }

    #[test]
    fn any_name_makes_a_label_and_no_two_the_same() {
        let long = "a".repeat(253);
        let other = "a".repeat(252) + "b";
        for name in [
            "red@3",
            "-",
            &long,
            &other,
            "eth0.",
            &(long.clone() + "."),
            "",
        ] {
            let value = label_value(name);
            assert!(value.len() <= LABEL_MAX, "{name}: {value}");
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            assert!(value.chars().all(fits), "{name}: {value}");
            let ends = value.chars().next().into_iter().chain(value.chars().last());
            assert!(ends.into_iter().all(|c| c.is_ascii_alphanumeric()));
            assert_eq!(label_value(&value), value, "a label is its own");
        }
        assert_ne!(label_value(&long), label_value(&other));
        assert_eq!(label_value("rack-1.tor"), "rack-1.tor");
    }
}
