//! Another implementation reads what we write, and we read what it makes of it.

use metallb_bgp::wire::{Capability, Message, Nlri, RefreshKind, Segment};
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use proptest::prelude::*;

use super::any::codec_and_message;

proptest! {
    #![proptest_config(ProptestConfig {
        // What it does not know is passed over.
        max_global_rejects: u32::MAX,
        ..ProptestConfig::with_cases(metallb_seeds::cases(500))
    })]

    #[test]
    fn another_implementation_understands_the_same((codec, mut message) in codec_and_message()) {
        if let Message::Update(update) = &mut message {
            // It writes those of some kinds in a form of its own. This kind is a route target.
            for it in &mut update.attributes.extended_communities {
                *it = 0x0002 << 48 | (*it & 0xffff_ffff_ffff);
            }
        }
        prop_assume!(is_known_to_both(&message));
        let bytes = message.encode(codec);
        // It does not know long parameters (RFC 9072).
        prop_assume!(!matches!(message, Message::Open(_)) || bytes[28] < 255);
        let mut context = BgpParsingContext::asn2_default();
        context.set_asn4(codec.four_octet);
        let theirs = BgpMessage::parse(&mut SliceReader::new(&bytes), &mut context);
        let theirs = theirs.map_err(|it| TestCaseError::fail(format!("{it}: {message:?}")))?;
        let mut again = Vec::new();
        let written = WritablePdu::write(&theirs, &mut again);
        written.map_err(|it| TestCaseError::fail(format!("{it}: {theirs:?}")))?;
        let received = Message::decode(&again, codec);
        let received = received.map_err(|it| TestCaseError::fail(it.to_string()))?;
        prop_assert_eq!(received.message, message);
    }
}

/// It refuses numbers that it does not know, and confederations, and keeps what it does not know in forms of its own.
fn is_known_to_both(message: &Message) -> bool {
    match message {
        Message::Notification(_) => false,
        Message::Open(open) => open.capabilities.iter().all(|it| match it {
            Capability::Unknown { .. } => false,
            Capability::ExtendedNextHop(all) => all.iter().all(|(it, _)| it.family().is_some()),
            _ => true,
        }),
        Message::Update(update) => {
            let reach = update.mp_reach.as_ref().map(|it| &it.nlri);
            let unreach = update.mp_unreach.as_ref().map(|it| &it.nlri);
            let is_ours = |it: &Nlri| it.family().family().is_some();
            let path = update.attributes.as_path.iter().flat_map(|it| &it.0);
            let is_confederation = |it: &Segment| {
                matches!(
                    it,
                    Segment::ConfederationSequence(_) | Segment::ConfederationSet(_)
                )
            };
            reach.into_iter().chain(unreach).all(is_ours)
                && update.attributes.unknown.is_empty()
                && !path.into_iter().any(is_confederation)
        }
        Message::RouteRefresh(it) => !matches!(it.kind, RefreshKind::Unknown(_)),
        Message::Keepalive => true,
    }
}
