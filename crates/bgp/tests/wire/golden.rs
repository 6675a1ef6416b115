//! Messages as other programs have written them.

use ipnet::{Ipv4Net, Ipv6Net};
use metallb_bgp::wire::{
    AfiSafi, AsPath, Attributes, Capability, Family, GracefulRestart, LargeCommunity, Message,
    MpReach, MpUnreach, NextHop, Nlri, Open, Origin, Update,
};

use super::{FOUR_OCTET, bytes, message};

/// The messages, by what they are: the type, and what comes after the header.
pub(super) const GOLDEN: &[(&str, u8, &str)] = &[
    (
        "open",
        1,
        "04 5ba0 005a 0a000001 28 02 26 010400010001 010400020001 4104fa56ea00 \
         0506000100010002 400a0078 00010180 00020180",
    ),
    (
        "v4-route",
        2,
        "0000 002a 40010100 40020602 01fa56ea00 400304c0000201 c00804fde80064 \
         c0200cfa56ea000000000100000002 20c6336407",
    ),
    (
        "v6-route",
        2,
        "0000 0036 800e26 0002 01 10 20010db8000000000000000000000001 00 \
         80 20010db8000000000000000000000007 40010100 40020602 01fa56ea00",
    ),
    (
        "v4-route-by-v6",
        2,
        "0000 002a 800e1a 0001 01 10 20010db8000000000000000000000001 00 20 c6336407 \
         40010100 40020602 01fa56ea00",
    ),
    ("v4-withdrawal", 2, "0005 20c6336407 0000"),
    (
        "v6-withdrawal",
        2,
        "0000 0017 800f14 0002 01 80 20010db8000000000000000000000007",
    ),
    ("v4-end", 2, "0000 0000"),
    ("v6-end", 2, "0000 0006 800f03 0002 01"),
    ("v4-withdrawals", 2, "0008 00 080a 19c0000280 0000"),
];

/// It is read as that, and written the same.
fn assert_is(name: &str, expected: &Message) {
    let mut all = GOLDEN.iter();
    let (_, kind, body) = all.find(|it| it.0 == name).expect("it is there");
    let message = message(*kind, &bytes(body));
    let received = Message::decode(&message, FOUR_OCTET).expect("it is sound");
    assert_eq!(received.faults, []);
    assert_eq!(received.message, *expected);
    assert_eq!(expected.encode(FOUR_OCTET), message);
}

fn v4(net: &str) -> Ipv4Net {
    net.parse().expect("an IPv4 network")
}

fn v6(net: &str) -> Ipv6Net {
    net.parse().expect("an IPv6 network")
}

fn attributes() -> Attributes {
    Attributes {
        origin: Some(Origin::Igp),
        as_path: Some(AsPath::of(4_200_000_000)),
        ..Attributes::default()
    }
}

const V4: AfiSafi = AfiSafi(1, 1);
const V6: AfiSafi = AfiSafi(2, 1);

#[test]
fn an_open_with_all_that_we_say_of_ourselves() {
    let capabilities = vec![
        Capability::Multiprotocol(V4),
        Capability::Multiprotocol(V6),
        Capability::FourOctetAs(4_200_000_000),
        Capability::ExtendedNextHop(vec![(V4, 2)]),
        Capability::GracefulRestart(GracefulRestart {
            restarting: false,
            notification: false,
            time: 120,
            families: vec![(V4, true), (V6, true)],
        }),
    ];
    let open = Open {
        my_as: 23456,
        hold_time: 90,
        identifier: [10, 0, 0, 1].into(),
        capabilities,
    };
    assert_eq!(open.asn(), 4_200_000_000);
    assert!(open.takes_v6_next_hops() && open.has_family(Family::V6));
    assert_is("open", &Message::Open(open));
}

#[test]
fn an_ipv4_route_with_communities() {
    let update = Update {
        attributes: Attributes {
            next_hop: Some([192, 0, 2, 1].into()),
            communities: vec![0xfde8_0064],
            large_communities: vec![LargeCommunity(4_200_000_000, 1, 2)],
            local_pref: None,
            ..attributes()
        },
        announced: vec![v4("198.51.100.7/32")],
        ..Update::default()
    };
    assert_is("v4-route", &Message::Update(update));
}

#[test]
fn an_ipv6_route_and_an_ipv4_route_by_ipv6() {
    let next_hop = NextHop::V6("2001:db8::1".parse().expect("an address"));
    let reach = |nlri| {
        Message::Update(Update {
            mp_reach: Some(MpReach {
                next_hop: next_hop.clone(),
                nlri,
            }),
            attributes: attributes(),
            ..Update::default()
        })
    };
    let v6_route = Nlri::V6(vec![v6("2001:db8::7/128")]);
    assert_is("v6-route", &reach(v6_route));
    let v4_route = Nlri::V4(vec![v4("198.51.100.7/32")]);
    assert_is("v4-route-by-v6", &reach(v4_route));
}

#[test]
fn withdrawals_and_the_end_of_all_routes() {
    let withdraw_v4 = Update {
        withdrawn: vec![v4("198.51.100.7/32")],
        ..Update::default()
    };
    assert_is("v4-withdrawal", &Message::Update(withdraw_v4));
    let withdraw_v6 = Update {
        mp_unreach: Some(MpUnreach {
            nlri: Nlri::V6(vec![v6("2001:db8::7/128")]),
        }),
        ..Update::default()
    };
    assert_eq!(withdraw_v6.is_end_of_rib(), None);
    assert_is("v6-withdrawal", &Message::Update(withdraw_v6));
    for (family, name) in [(Family::V4, "v4-end"), (Family::V6, "v6-end")] {
        let end = Update::end_of_rib(family);
        assert_eq!(end.is_end_of_rib(), Some(family));
        assert_is(name, &Message::Update(end));
    }
}

#[test]
fn a_prefix_has_no_more_bytes_than_its_length_needs_and_what_is_beyond_counts_for_nothing() {
    let update = Update {
        withdrawn: vec![v4("0.0.0.0/0"), v4("10.0.0.0/8"), v4("192.0.2.128/25")],
        ..Update::default()
    };
    assert_is("v4-withdrawals", &Message::Update(update.clone()));
    let sloppy = message(2, &bytes("0008 00 080a 19c00002ff 0000"));
    let received = Message::decode(&sloppy, FOUR_OCTET).expect("it is sound");
    assert_eq!(received.message, Message::Update(update));
}
