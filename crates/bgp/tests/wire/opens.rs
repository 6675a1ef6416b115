//! Headers and OPEN messages that are not what they should be.

use metallb_bgp::wire::{
    Capability, Codec, ErrorCode, Message, Notification, Open, RefreshKind, frame_len,
};

use super::{FOUR_OCTET, bytes, decode, message};

const HEAD: &str = "04 fde8 005a 0a000001";

fn open(parameters: &str) -> Result<Open, Notification> {
    let body = bytes(&format!("{HEAD} {parameters}"));
    match decode(1, &body)?.message {
        Message::Open(open) => Ok(open),
        other => panic!("{other:?} is no OPEN"),
    }
}

#[test]
fn a_header_is_refused_as_soon_as_it_is_known_to_be_wrong() {
    let header = |len: u16, kind: u8| {
        let mut header = message(kind, &[]);
        header[16..18].copy_from_slice(&len.to_be_bytes());
        frame_len(&header, FOUR_OCTET)
    };
    assert_eq!(frame_len(&[], FOUR_OCTET), Ok(None));
    assert_eq!(frame_len(&[0xff; 18], FOUR_OCTET), Ok(None));
    let not_synchronized = Notification::new(ErrorCode::CONNECTION_NOT_SYNCHRONIZED);
    assert_eq!(
        frame_len(b"\xff\xffGET / HTTP", FOUR_OCTET),
        Err(not_synchronized)
    );
    // Lengths at their limits and beyond, with the length as the error's data.
    let cases = [
        (1, 29, 4096),
        (2, 23, 4096),
        (3, 21, 4096),
        (4, 19, 19),
        (5, 19, 4096),
    ];
    for (kind, least, most) in cases {
        assert_eq!(header(least, kind), Ok(Some(least.into())), "type {kind}");
        assert_eq!(header(most, kind), Ok(Some(most.into())), "type {kind}");
        for wrong in [0, 18, least - 1, most + 1, u16::MAX] {
            let data = wrong.to_be_bytes();
            let error = Notification::with(ErrorCode::BAD_MESSAGE_LENGTH, data);
            assert_eq!(
                header(wrong, kind),
                Err(error),
                "type {kind}, {wrong} bytes"
            );
        }
    }
    for kind in [0, 6, 255] {
        let error = Notification::with(ErrorCode::BAD_MESSAGE_TYPE, [kind]);
        assert_eq!(header(19, kind), Err(error));
    }
}

#[test]
fn only_updates_and_the_like_may_be_longer_where_that_was_agreed_on() {
    let codec = Codec {
        extended: true,
        ..FOUR_OCTET
    };
    for (kind, may) in [(1, false), (2, true), (3, true), (4, false), (5, true)] {
        let mut header = message(kind, &[]);
        header[16..18].copy_from_slice(&65535_u16.to_be_bytes());
        assert_eq!(frame_len(&header, codec).is_ok(), may, "type {kind}");
    }
}

#[test]
fn another_version_is_told_ours() {
    for version in [0, 3, 5] {
        let mut body = bytes(&format!("{HEAD} 00"));
        body[0] = version;
        let error = Notification::with(ErrorCode::UNSUPPORTED_VERSION, [0, 4]);
        assert_eq!(decode(1, &body), Err(error));
    }
}

#[test]
fn parameters_are_as_long_as_they_say() {
    let malformed = Err(Notification::new(ErrorCode::OPEN_MALFORMED));
    for parameters in [
        // Less and more than announced.
        "01",
        "00 02",
        "04 0202 01",
        "02 0200 00",
        // The parameter, the capability and what is in it end elsewhere.
        "06 02 06 01 04 0001 00",
        "04 02 02 41 04",
        "06 02 04 41 02 fde8",
        "08 02 06 41 04 0000fde8 00",
        "03 02 01 01",
        // Of a length that the capability does not have.
        "07 02 05 01 03 000100",
        "05 02 03 02 01 00",
        "09 02 07 05 05 0001000100",
        "05 02 03 40 01 00",
        "08 02 06 40 04 0078 0001",
        "09 02 07 47 05 0001018000",
        "05 02 03 49 01 01",
        "08 02 06 49 04 05 61 62 63",
    ] {
        assert_eq!(open(parameters), malformed, "{parameters}");
    }
    let unsupported = Notification::new(ErrorCode::UNSUPPORTED_OPTIONAL_PARAMETER);
    assert_eq!(open("03 01 01 00"), Err(unsupported));
}

#[test]
fn a_peer_without_capabilities_speaks_ipv4_and_short_as_numbers() {
    let plain = open("00").expect("it is sound");
    assert_eq!((plain.asn(), plain.hold_time), (65000, 90));
    assert!(!plain.has_four_octet_as() && plain.graceful_restart().is_none());
    let families = metallb_bgp::wire::Family::ALL.map(|it| plain.has_family(it));
    assert_eq!(families, [true, false]);
}

#[test]
fn capabilities_that_nobody_knows_do_no_harm_and_doubles_count_once() {
    let some = open("0e 02 04 c8 02 abcd 02 06 41 04 fa56ea00").expect("it is sound");
    let unknown = Capability::Unknown {
        code: 200,
        value: vec![0xab, 0xcd],
    };
    assert_eq!(
        some.capabilities,
        [unknown, Capability::FourOctetAs(4_200_000_000)]
    );
    let twice = open("06 02 04 02 00 02 00").expect("it is sound");
    assert_eq!(twice.capabilities, [Capability::RouteRefresh]);
    // Of two graceful restarts, the last counts (RFC 4724 section 3).
    let two = open("0a 02 08 40 02 0001 40 02 8002").expect("it is sound");
    let last = two.graceful_restart().expect("there are two");
    assert_eq!((last.time, last.restarting), (2, true));
}

#[test]
fn long_parameters_have_long_lengths() {
    // RFC 9072: a hundred families take 600 bytes.
    let many = (0..100).map(|n| Capability::Unknown {
        code: 200,
        value: vec![n; 4],
    });
    let sent = Open {
        my_as: 65000,
        hold_time: 90,
        identifier: [10, 0, 0, 1].into(),
        capabilities: many.collect(),
    };
    let bytes = Message::Open(sent.clone()).encode(FOUR_OCTET);
    assert_eq!(&bytes[28..33], [255, 255, 2, 91, 2]);
    let received = Message::decode(&bytes, FOUR_OCTET).expect("it is sound");
    assert_eq!(received.message, Message::Open(sent));
    // Short ones may be sent so as well.
    let short = open("0c ff 0009 02 0006 41 04 fa56ea00").expect("it is sound");
    assert_eq!(short.asn(), 4_200_000_000);
    let malformed = Err(Notification::new(ErrorCode::OPEN_MALFORMED));
    for cut in [
        "ff ff",
        "ff ff 00",
        "ff ff 0002 02 00",
        "ff ff 0003 02 0001",
    ] {
        assert_eq!(open(cut), malformed, "{cut}");
    }
}

#[test]
fn a_refresh_of_the_wrong_length_is_shown_to_its_sender() {
    for (body, is_wrong) in [
        ("0001 00 01", false),
        // A filter, which we did not offer to take.
        ("0001 00 01 01 80 0004", false),
        ("0001 01 01 00", true),
        ("0001 02 01 00", true),
        ("0001 07 01 00", false),
        ("0001 00", true),
        ("", true),
    ] {
        let frame = message(5, &bytes(body));
        let error = Notification::with(ErrorCode::BAD_REFRESH_LENGTH, &*frame);
        match Message::decode(&frame, FOUR_OCTET) {
            Ok(_) => assert!(!is_wrong, "{body}"),
            Err(answer) => assert!(is_wrong && answer == error, "{body}: {answer}"),
        }
    }
    let unknown = decode(5, &bytes("0001 07 01")).map(|it| it.message);
    let Ok(Message::RouteRefresh(unknown)) = unknown else {
        panic!("{unknown:?}");
    };
    assert_eq!(unknown.kind, RefreshKind::Unknown(7));
}
