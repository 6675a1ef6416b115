//! UPDATE messages that are not what they should be: RFC 7606 row by row, and the packets behind
//! the vulnerabilities of others.

use metallb_bgp::wire::{Action, Codec, ErrorCode, Fault, Message, Notification, Received, Update};

use super::{FOUR_OCTET, bytes, decode, message};

const ORIGIN: &str = "40010100";
const AS_PATH: &str = "40020602 01fa56ea00";
const NEXT_HOP: &str = "400304c0000201";
const NLRI: &str = "20c6336407";
const INTERNAL: Codec = Codec {
    internal: true,
    ..FOUR_OCTET
};

/// A message with these attributes and routes.
fn body(attributes: &str, nlri: &str) -> Vec<u8> {
    let attributes = bytes(attributes);
    let len = u16::try_from(attributes.len()).expect("a message");
    [&[0, 0][..], &len.to_be_bytes(), &attributes, &bytes(nlri)].concat()
}

fn update(attributes: &str, nlri: &str, codec: Codec) -> Result<Received, Notification> {
    Message::decode(&message(2, &body(attributes, nlri)), codec)
}

/// What is wrong with a message that has this beside what it must have.
fn faults(attribute: &str, codec: Codec) -> Vec<(u8, Action)> {
    let preference = if codec.internal {
        "400504 00000064"
    } else {
        ""
    };
    let all = format!("{ORIGIN} {AS_PATH} {NEXT_HOP} {preference} {attribute}");
    let received = update(&all, NLRI, codec).expect("it costs no session");
    let faults = received.faults.iter();
    faults.map(|it| (it.attribute, it.action)).collect()
}

use Action::{AttributeDiscard as Discard, TreatAsWithdraw as Withdraw};

#[test]
fn rfc_7606_row_by_row() {
    // Section 7, what is wrong with one that could be there or not.
    for (attribute, expected) in [
        // MULTI_EXIT_DISC (7.4).
        ("800404 00000001", None),
        ("800403 000001", Some(Withdraw)),
        ("800400", Some(Withdraw)),
        // ATOMIC_AGGREGATE (7.6).
        ("400600", None),
        ("400601 00", Some(Discard)),
        // AGGREGATOR (7.7).
        ("c00708 0000fde8 0a000001", None),
        ("c00706 fde8 0a000001", Some(Discard)),
        ("c00700", Some(Discard)),
        // COMMUNITIES (7.8).
        ("c00804 fde80064", None),
        ("c00803 fde800", Some(Withdraw)),
        ("c00800", Some(Withdraw)),
        // Extended communities (7.14).
        ("c01008 0002fde800000064", None),
        ("c01007 0002fde8000000", Some(Withdraw)),
        ("c01000", Some(Withdraw)),
        // Large communities (RFC 8092 section 6).
        ("c0200c 000000010000000200000003", None),
        ("c0200b 0000000100000002000000", Some(Withdraw)),
        ("c02000", Some(Withdraw)),
        // Only to Customer (RFC 9234 section 5).
        ("c02304 0000fde8", None),
        ("c02303 00fde8", Some(Withdraw)),
        // AS4_PATH and AS4_AGGREGATOR from one that needs neither (RFC 6793 section 4.1).
        ("c01106 0201fa56ea00", Some(Discard)),
        ("c01208 fa56ea00 0a000001", Some(Discard)),
        // From outside: LOCAL_PREF (7.5), ORIGINATOR_ID (7.9), CLUSTER_LIST (7.10).
        ("400504 00000064", Some(Discard)),
        ("800904 0a000001", Some(Discard)),
        ("800a04 0a000001", Some(Discard)),
        ("800a03 0a0000", Some(Discard)),
        // Flags that an attribute cannot have (section 3 c).
        ("400404 00000001", Some(Withdraw)),
        ("c00404 00000001", Some(Withdraw)),
        ("800804 fde80064", Some(Withdraw)),
        ("c00600", Some(Withdraw)),
        // A length of two bytes for a short one is no fault.
        ("d0080004 fde80064", None),
        // One that everybody should know.
        ("40630100", Some(Withdraw)),
    ] {
        let code = bytes(attribute)[1];
        let expected = expected.map(|action| (code, action));
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(faults(attribute, FOUR_OCTET), expected, "{attribute}");
    }
}

#[test]
fn rfc_7606_what_is_wrong_from_a_router_of_the_own_as() {
    for (attribute, expected) in [
        ("800904 0a000001", None),
        ("800903 0a0000", Some(Withdraw)),
        ("800a04 0a000001", None),
        ("800a00", Some(Withdraw)),
        ("800a03 0a0000", Some(Withdraw)),
    ] {
        let code = bytes(attribute)[1];
        let expected: Vec<_> = expected.map(|it| (code, it)).into_iter().collect();
        assert_eq!(faults(attribute, INTERNAL), expected, "{attribute}");
    }
}

#[test]
fn rfc_7606_what_every_route_has() {
    let cases = [
        // (attributes, number, codec): missing (3 d), or what it cannot be (7.1 to 7.3, 7.5).
        (format!("{AS_PATH} {NEXT_HOP}"), 1, FOUR_OCTET),
        (format!("40010103 {AS_PATH} {NEXT_HOP}"), 1, FOUR_OCTET),
        (format!("40010200 00 {AS_PATH} {NEXT_HOP}"), 1, FOUR_OCTET),
        (format!("{ORIGIN} {NEXT_HOP}"), 2, FOUR_OCTET),
        // A segment of an unknown kind, without numbers, longer or shorter than it says.
        (
            format!("{ORIGIN} 40020605 01fa56ea00 {NEXT_HOP}"),
            2,
            FOUR_OCTET,
        ),
        (format!("{ORIGIN} 400202 0200 {NEXT_HOP}"), 2, FOUR_OCTET),
        (
            format!("{ORIGIN} 40020602 02fa56ea00 {NEXT_HOP}"),
            2,
            FOUR_OCTET,
        ),
        (
            format!("{ORIGIN} 40020702 01fa56ea0000 {NEXT_HOP}"),
            2,
            FOUR_OCTET,
        ),
        (format!("{ORIGIN} {AS_PATH}"), 3, FOUR_OCTET),
        (format!("{ORIGIN} {AS_PATH} 400303 c00002"), 3, FOUR_OCTET),
        (format!("{ORIGIN} {AS_PATH} 400304 00000000"), 3, FOUR_OCTET),
        (format!("{ORIGIN} {AS_PATH} 400304 e0000001"), 3, FOUR_OCTET),
        (format!("{ORIGIN} {AS_PATH} 400304 7f000001"), 3, FOUR_OCTET),
        (format!("{ORIGIN} {AS_PATH} {NEXT_HOP}"), 5, INTERNAL),
        (
            format!("{ORIGIN} {AS_PATH} {NEXT_HOP} 400503 000064"),
            5,
            INTERNAL,
        ),
    ];
    for (attributes, code, codec) in cases {
        let received = update(&attributes, NLRI, codec).expect("it costs no session");
        let fault = Fault {
            attribute: code,
            action: Withdraw,
        };
        assert_eq!(received.faults, [fault], "{attributes}");
    }
}

#[test]
fn an_empty_way_is_one() {
    let attributes = format!("{ORIGIN} 400200 {NEXT_HOP} 400504 00000064");
    let received = update(&attributes, NLRI, INTERNAL).expect("it is sound");
    assert_eq!(received.faults, []);
}

#[test]
fn a_list_that_is_cut_off_costs_the_routes_and_not_the_session() {
    // RFC 7606 section 4: too short for a header, longer than what is left.
    for cut in ["40", "4001", "c008ff fde80064", "d008 00", "d008ffff 00"] {
        let attributes = format!("{ORIGIN} {AS_PATH} {NEXT_HOP} {cut}");
        let received = update(&attributes, NLRI, FOUR_OCTET).expect("it costs no session");
        let fault = Fault {
            attribute: 0,
            action: Withdraw,
        };
        assert_eq!(received.faults, [fault], "{cut}");
        let Message::Update(update) = received.message else {
            panic!("it is an UPDATE");
        };
        // They are known, to be withdrawn.
        assert_eq!(update.reached().count(), 1);
    }
}

#[test]
fn of_an_attribute_that_comes_twice_the_first_counts() {
    let twice = "c00804 fde80064 c00804 fde80065";
    assert_eq!(faults(twice, FOUR_OCTET), [(8, Discard)]);
    // One that has routes in it ends the session (section 3 g).
    let multi = "800f03 000201 800f03 000201";
    let error = Notification::new(ErrorCode::MALFORMED_ATTRIBUTE_LIST);
    assert_eq!(update(multi, "", FOUR_OCTET), Err(error));
}

#[test]
fn what_nobody_knows_is_no_fault() {
    // Whatever its flags and its length, as long as it may be unknown.
    for unknown in ["e0630401020304", "c06300", "8063020102", "d063000100"] {
        assert_eq!(faults(unknown, FOUR_OCTET), [], "{unknown}");
    }
}

#[test]
fn routes_that_cannot_be_read_end_the_session() {
    let malformed = Notification::new(ErrorCode::MALFORMED_ATTRIBUTE_LIST);
    let network = Notification::new(ErrorCode::INVALID_NETWORK_FIELD);
    for (body, error) in [
        // Lengths beyond the message (section 4).
        ("0001 0000", &malformed),
        ("ffff 0000", &malformed),
        ("0000 0001", &malformed),
        ("0000 ffff", &malformed),
        ("0005 20c6336407", &malformed),
        // Prefixes longer than an address, and than the field (section 5.3).
        ("0006 21c633640700 0000", &network),
        ("0004 20c63364 0000", &network),
        ("0001 08 0000", &network),
        ("0000 0000 ff", &network),
        ("0000 0000 20c633", &network),
    ] {
        assert_eq!(decode(2, &bytes(body)), Err(error.clone()), "{body}");
    }
}

#[test]
fn routes_of_other_families_that_cannot_be_read_end_the_session_and_are_shown() {
    let hop = "20010db8000000000000000000000001";
    for attribute in [
        // Cut off before the family, the next hop, the byte behind it.
        "800e00".into(),
        "800e02 0002".into(),
        "800e03 000201".into(),
        "800e05 000201 10 20".into(),
        format!("800e14 000201 10 {hop}"),
        // Next hops of lengths that there are not.
        "800e05 000201 00 00".into(),
        "800e09 000201 04 c0000201 00".into(),
        format!("800e1d 000201 18 0000000000000000 {hop} 00"),
        format!("800e16 000101 11 {hop} 00 00"),
        // Prefixes longer than an address, and than what is left.
        format!("800e16 000201 10 {hop} 00 81"),
        format!("800e17 000201 10 {hop} 00 10 20"),
        format!("800e16 000101 10 {hop} 00 21"),
        "800f04 000201 81".into(),
        "800f04 000201 08".into(),
        "800f02 0002".into(),
    ] {
        let all = format!("{attribute} {ORIGIN} {AS_PATH}");
        let error = Notification::with(ErrorCode::OPTIONAL_ATTRIBUTE, bytes(&attribute));
        assert_eq!(update(&all, "", FOUR_OCTET), Err(error), "{attribute}");
    }
    // The whole is shown with a length of two bytes as it came.
    let long = "900f0004 000201 81";
    let error = Notification::with(ErrorCode::OPTIONAL_ATTRIBUTE, bytes(long));
    assert_eq!(update(long, "", FOUR_OCTET), Err(error));
}

#[test]
fn next_hops_to_nowhere_cost_the_routes() {
    for hop in [
        "00000000000000000000000000000000",
        "ff020000000000000000000000000001",
        "00000000000000000000000000000001",
    ] {
        let attribute = format!("800e1a 000201 10 {hop} 00 20 20010db8");
        let all = format!("{attribute} {ORIGIN} {AS_PATH}");
        let received = update(&all, "", FOUR_OCTET).expect("it costs no session");
        let fault = Fault {
            attribute: 14,
            action: Withdraw,
        };
        assert_eq!(received.faults, [fault], "{hop}");
    }
}

#[test]
fn families_of_others_are_passed_over() {
    // L2VPN EVPN, IPv4 flow specifications and multicast, with whatever is in there.
    for family in ["001946", "000185", "000102"] {
        let all = format!("800e09 {family} 02 abcd 00 ffff {ORIGIN} {AS_PATH}");
        let received = update(&all, "", FOUR_OCTET).expect("it is sound");
        assert_eq!(received.faults, []);
        let Message::Update(update) = received.message else {
            panic!("it is an UPDATE");
        };
        assert_eq!(update.reached().count(), 0);
    }
}

#[test]
fn old_speakers_have_as_numbers_of_two_bytes() {
    let old = Codec::default();
    let attributes = "40010100 400204 02015ba0 400304c0000201 c01106 0201fa56ea00 \
                      c00706 5ba0 0a000001 c01208 fa56ea00 0a000001";
    let received = update(attributes, NLRI, old).expect("it is sound");
    assert_eq!(received.faults, []);
    // What is wrong with the additions is no reason to lose the routes (RFC 6793 section 6).
    for (wrong, code) in [("c01105 0201fa56ea", 17), ("c01202 fa56", 18)] {
        let attributes = format!("40010100 400204 02015ba0 400304c0000201 {wrong}");
        let received = update(&attributes, NLRI, old).expect("it costs no session");
        let fault = Fault {
            attribute: code,
            action: Discard,
        };
        assert_eq!(received.faults, [fault], "{wrong}");
    }
}

#[test]
fn vulnerabilities_of_others() {
    let all = |more: &str| format!("{more} {ORIGIN} {AS_PATH} {NEXT_HOP}");
    for (id, attributes, nlri, is_fault) in [
        // Routes, and not one attribute.
        ("CVE-2023-41358", String::new(), NLRI, true),
        // Tunnel encapsulation that is cut off: not ours to read, and no reason for a reset.
        ("CVE-2023-38802", all("c01702 0001"), NLRI, false),
        ("CVE-2024-44070", all("c01704 0001ffff"), NLRI, false),
        // Prefix-SID with a part that is longer than all.
        ("CVE-2023-31490", all("c02804 050000ff"), NLRI, false),
        // MP_REACH_NLRI alone, without what must be there.
        (
            "CVE-2023-46753",
            "800e1a 000201 10 20010db8000000000000000000000001 00 20 20010db8".into(),
            "",
            true,
        ),
        // A next hop of less than an address.
        (
            "CVE-2026-30405",
            format!("{ORIGIN} {AS_PATH} 400302 c000"),
            NLRI,
            true,
        ),
        // AS4_PATH before AS_PATH, and an AS_PATH without a number.
        ("CVE-2026-41643", all("c01106 0201fa56ea00"), NLRI, true),
        (
            "CVE-2026-49838",
            format!("{ORIGIN} 400202 0200 {NEXT_HOP}"),
            NLRI,
            true,
        ),
    ] {
        let received = update(&attributes, nlri, FOUR_OCTET);
        let received = received.unwrap_or_else(|it| panic!("{id} costs the session: {it}"));
        assert_eq!(!received.faults.is_empty(), is_fault, "{id}: {received:?}");
    }
    // A next hop that no host has, with a length of its own (CVE-2026-37458).
    let martian = "800e16 000201 10 ff000000000000000000000000000000 00 00";
    assert!(
        !update(&all(martian), "", FOUR_OCTET)
            .expect("no reset")
            .faults
            .is_empty()
    );
    // MP_REACH_NLRI that is cut off (CVE-2023-46752) ends one session, with the right words.
    let answer = update("800e04 00020110", "", FOUR_OCTET).expect_err("it cannot be read");
    assert_eq!(answer.error, ErrorCode::OPTIONAL_ATTRIBUTE);
}

#[test]
fn a_long_way_does_not_grow() {
    // CVE-2026-49943: more numbers than others had room for. As many as fit a long message.
    let codec = Codec {
        extended: true,
        ..FOUR_OCTET
    };
    let segments = 60;
    let len = u16::try_from(segments * 1022).expect("a message");
    let segment = [&[2, 255][..], &[0xfa; 1020]].concat();
    let path = [
        &[0x50, 2][..],
        &len.to_be_bytes(),
        &segment.repeat(segments),
    ]
    .concat();
    let attributes = [&bytes(ORIGIN)[..], &path, &bytes(NEXT_HOP)].concat();
    let total = u16::try_from(attributes.len()).expect("a message");
    let body = [&[0, 0][..], &total.to_be_bytes(), &attributes, &bytes(NLRI)].concat();
    let received = Message::decode(&message(2, &body), codec).expect("it is sound");
    assert_eq!(received.faults, []);
    let again = received.message.encode(codec);
    assert_eq!(again.len(), body.len() + 19);
}

#[test]
fn nothing_is_the_end_of_all_routes() {
    let received = decode(2, &bytes("0000 0000")).expect("it is sound");
    assert_eq!(received.message, Message::Update(Update::default()));
    assert_eq!(received.faults, []);
}
