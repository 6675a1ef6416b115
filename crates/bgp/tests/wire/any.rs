//! Any message that there can be.

use ipnet::{Ipv4Net, Ipv6Net};
use metallb_bgp::wire::{
    AfiSafi, Aggregator, AsPath, Attributes, Capability, Codec, ErrorCode, GracefulRestart,
    LargeCommunity, LongLived, Message, MpReach, MpUnreach, NextHop, Nlri, Notification, Open,
    Origin, RefreshKind, RouteRefresh, Segment, UnknownAttribute, Update, frame_len,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// What was agreed on, and a message that makes sense then.
pub(super) fn codec_and_message() -> impl Strategy<Value = (Codec, Message)> {
    let codec = (any::<bool>(), any::<bool>(), any::<bool>());
    let codec = codec.prop_map(|(four_octet, extended, internal)| Codec {
        four_octet,
        extended,
        internal,
    });
    codec.prop_flat_map(|codec| (Just(codec), message(codec)))
}

fn message(codec: Codec) -> impl Strategy<Value = Message> {
    prop_oneof![
        1 => Just(Message::Keepalive),
        2 => notification().prop_map(Message::Notification),
        2 => refresh().prop_map(Message::RouteRefresh),
        4 => open().prop_map(Message::Open),
        8 => update(codec).prop_map(Message::Update),
    ]
}

fn notification() -> impl Strategy<Value = Notification> {
    let data = vec(any::<u8>(), 0..300);
    (any::<[u8; 2]>(), data).prop_map(|([code, subcode], data)| Notification {
        error: ErrorCode(code, subcode),
        data,
    })
}

fn refresh() -> impl Strategy<Value = RouteRefresh> {
    let kind = prop_oneof![
        Just(RefreshKind::Request),
        Just(RefreshKind::Begin),
        Just(RefreshKind::End),
        (3_u8..).prop_map(RefreshKind::Unknown),
    ];
    (any_family(), kind).prop_map(|(family, kind)| RouteRefresh { family, kind })
}

pub(super) fn open() -> impl Strategy<Value = Open> {
    let rest = (any::<u16>(), any::<u16>(), 1_u32 << 24..0xe000_0000);
    (rest, vec(capability(), 0..12)).prop_map(|((my_as, hold_time, id), mut capabilities)| {
        let mut seen = Vec::new();
        capabilities.retain(|it| !seen.contains(it) && (seen.push(it.clone()), true).1);
        Open {
            my_as,
            hold_time,
            identifier: id.into(),
            capabilities,
        }
    })
}

fn capability() -> impl Strategy<Value = Capability> {
    let name = || "[a-z0-9.-]{0,64}".prop_map(String::into_bytes);
    prop_oneof![
        any_family().prop_map(Capability::Multiprotocol),
        Just(Capability::RouteRefresh),
        vec((any_family(), 1..3_u16), 0..5).prop_map(Capability::ExtendedNextHop),
        Just(Capability::ExtendedMessage),
        graceful_restart().prop_map(Capability::GracefulRestart),
        any::<u32>().prop_map(Capability::FourOctetAs),
        Just(Capability::EnhancedRouteRefresh),
        vec(long_lived(), 0..4).prop_map(Capability::LongLivedGracefulRestart),
        (name(), name()).prop_map(|(host, domain)| Capability::Fqdn { host, domain }),
        (128..=200_u8, vec(any::<u8>(), 0..=255))
            .prop_map(|(code, value)| Capability::Unknown { code, value }),
    ]
}

fn graceful_restart() -> impl Strategy<Value = GracefulRestart> {
    let families = vec((any_family(), any::<bool>()), 0..4);
    let flags = (any::<bool>(), any::<bool>(), 0..4096_u16);
    (flags, families).prop_map(
        |((restarting, notification, time), families)| GracefulRestart {
            restarting,
            notification,
            time,
            families,
        },
    )
}

fn long_lived() -> impl Strategy<Value = LongLived> {
    let parts = (any_family(), any::<bool>(), 0..1_u32 << 24);
    parts.prop_map(|(family, forwarding, time)| LongLived {
        family,
        forwarding,
        time,
    })
}

fn any_family() -> impl Strategy<Value = AfiSafi> {
    prop_oneof![
        Just(AfiSafi(1, 1)),
        Just(AfiSafi(2, 1)),
        Just(AfiSafi(25, 65)),
    ]
}

fn v4() -> impl Strategy<Value = Ipv4Net> {
    let parts = (0..0xe000_0000_u32, 0..=32_u8);
    parts.prop_map(|(ip, len)| Ipv4Net::new(ip.into(), len).expect("a length").trunc())
}

fn v6() -> impl Strategy<Value = Ipv6Net> {
    let parts = (0..1_u128 << 125, 0..=128_u8);
    let global = parts.prop_map(|(ip, len)| (1 << 125 | ip, len));
    global.prop_map(|(ip, len)| Ipv6Net::new(ip.into(), len).expect("a length").trunc())
}

fn nlri() -> impl Strategy<Value = Nlri> {
    prop_oneof![
        vec(v4(), 0..20).prop_map(Nlri::V4),
        vec(v6(), 0..20).prop_map(Nlri::V6),
        vec(any::<u8>(), 0..40).prop_map(|it| Nlri::Other(AfiSafi(25, 65), it)),
    ]
}

fn mp_reach() -> impl Strategy<Value = MpReach> {
    let hop = || (1_u128..1 << 96).prop_map(|it| (0x2001_0db8 << 96 | it).into());
    let v6 = prop_oneof![
        hop().prop_map(NextHop::V6),
        (hop(), hop()).prop_map(|(ip, on_link)| NextHop::V6WithLinkLocal(ip, on_link)),
    ];
    (nlri(), v6, vec(any::<u8>(), 0..30)).prop_map(|(nlri, v6, other)| {
        let next_hop = match nlri {
            Nlri::Other(..) => NextHop::Other(other),
            Nlri::V4(_) if other.len() < 10 => NextHop::V4([192, 0, 2, 1].into()),
            Nlri::V4(_) | Nlri::V6(_) => v6,
        };
        MpReach { next_hop, nlri }
    })
}

fn as_path(most: u32, kinds: i32) -> impl Strategy<Value = AsPath> {
    let asns = vec(0..=most, 1..20);
    let segment = (0..kinds, asns).prop_map(|(kind, asns)| match kind {
        0 => Segment::Set(asns),
        1 => Segment::Sequence(asns),
        2 => Segment::ConfederationSequence(asns),
        _ => Segment::ConfederationSet(asns),
    });
    vec(segment, 0..4).prop_map(AsPath)
}

fn largest_as(codec: Codec) -> u32 {
    if codec.four_octet {
        u32::MAX
    } else {
        u16::MAX.into()
    }
}

fn attributes(codec: Codec) -> impl Strategy<Value = Attributes> {
    let most = largest_as(codec);
    let option = proptest::option::of::<BoxedStrategy<u32>>;
    let number = || any::<u32>().boxed();
    let origin = (0..3).prop_map(|it| match it {
        0 => Origin::Igp,
        1 => Origin::Egp,
        _ => Origin::Incomplete,
    });
    let aggregator = |most| {
        let parts = (0..=most, any::<u32>());
        proptest::option::of(parts.prop_map(|(asn, id)| Aggregator {
            asn,
            identifier: id.into(),
        }))
    };
    let large = any::<[u32; 3]>().prop_map(|[a, b, c]| LargeCommunity(a, b, c));
    let unknown = (99..=120_u8, 0..=1_u8, vec(any::<u8>(), 0..300));
    let unknown = unknown.prop_map(|(code, transitive, value)| UnknownAttribute {
        flags: 0x80 | transitive << 6,
        code,
        value,
    });
    let always = (origin, as_path(most, 4), any::<bool>(), any::<u32>());
    let numbers = (option(number()), option(number()), option(number()));
    let lists = (
        vec(any::<u32>(), 0..90),
        vec(any::<u32>(), 0..4),
        vec(any::<u64>(), 0..40),
        vec(large, 0..30),
        vec(unknown, 0..2),
    );
    // RFC 6793 section 3: no confederations in there.
    let as4_path = proptest::option::of(as_path(u32::MAX, 2));
    let others = (aggregator(most), as4_path, aggregator(u32::MAX));
    (always, numbers, lists, others).prop_map(move |(always, numbers, lists, others)| {
        let (internal, four_octet) = (codec.internal, codec.four_octet);
        let (as4_path, as4_aggregator) = (others.1, others.2);
        Attributes {
            origin: Some(always.0),
            as_path: Some(always.1),
            next_hop: Some([192, 0, 2, 1].into()),
            multi_exit_disc: numbers.0,
            local_pref: internal.then_some(always.3),
            atomic_aggregate: always.2,
            aggregator: others.0,
            communities: lists.0,
            originator_id: numbers.1.map(Into::into).filter(|_| internal),
            cluster_list: if internal { lists.1 } else { Vec::new() },
            extended_communities: lists.2,
            as4_path: as4_path.filter(|_| !four_octet),
            as4_aggregator: as4_aggregator.filter(|_| !four_octet),
            large_communities: lists.3,
            only_to_customer: numbers.2,
            unknown: lists.4,
        }
    })
}

fn update(codec: Codec) -> impl Strategy<Value = Update> {
    let multi = (
        proptest::option::of(nlri().prop_map(|nlri| MpUnreach { nlri })),
        proptest::option::of(mp_reach()),
    );
    let plain = (vec(v4(), 0..30), vec(v4(), 0..30));
    let update = (plain, multi, attributes(codec), any::<bool>());
    let update = update.prop_map(|(plain, multi, attributes, bare)| {
        let has_routes = !plain.1.is_empty() || multi.1.is_some();
        let mut attributes = attributes;
        if bare && !has_routes {
            attributes = Attributes::default();
        }
        attributes.unknown.dedup_by_key(|it| it.code);
        Update {
            withdrawn: plain.0,
            mp_unreach: multi.0,
            mp_reach: multi.1,
            attributes,
            announced: plain.1,
        }
    });
    update.prop_filter("it fits a message", move |it| {
        let message = Message::Update(it.clone()).encode(codec);
        frame_len(&message, codec).is_ok()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(metallb_seeds::cases(500)))]

    #[test]
    fn what_is_written_is_read_as_it_was((codec, message) in codec_and_message()) {
        let bytes = message.encode(codec);
        prop_assert_eq!(frame_len(&bytes, codec), Ok(Some(bytes.len())));
        let received = Message::decode(&bytes, codec);
        let received = received.map_err(|it| TestCaseError::fail(it.to_string()))?;
        prop_assert_eq!(received.faults, []);
        prop_assert_eq!(received.message, message);
    }

    #[test]
    fn any_bytes_are_a_message_or_have_an_answer(
        (codec, message) in codec_and_message(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = message.encode(codec);
        for (at, byte) in changes {
            *at.get_mut(&mut bytes) = byte;
        }
        let _ = Message::decode(&bytes, codec);
        // The same cut off, with a header that knows.
        let len = 19 + end.index(bytes.len() - 18);
        bytes.truncate(len);
        bytes[..16].fill(0xff);
        bytes[16..18].copy_from_slice(&u16::try_from(len).expect("a message").to_be_bytes());
        if let Ok(received) = Message::decode(&bytes, codec) {
            // What was understood can be said.
            let _ = received.message.encode(codec);
        }
    }
}
