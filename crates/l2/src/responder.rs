use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};

use pnet::util::MacAddr;

use crate::{DropReason, arp, ndp};

/// Answers ARP requests and Neighbor Solicitations on one interface.
///
/// It answers with the interface's own MAC, for the addresses that [`Responder::announce`] was told
/// and no others. Loses nothing when dropped: a new interface, MAC or link-local address is a new
/// responder.
#[derive(Clone, Debug)]
pub struct Responder {
    mac: MacAddr,
    link_local: Option<Ipv6Addr>,
    announced: HashSet<IpAddr>,
    /// Those that are to be announced if nobody else has them.
    probed: HashSet<IpAddr>,
}

/// A frame to send, and whom it speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The announced address; the label of upstream's counters.
    pub ip: IpAddr,
    /// A whole Ethernet frame, to go out on the interface the request came in.
    pub frame: Vec<u8>,
}

/// Another station with an address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rival {
    /// The address.
    pub ip: IpAddr,
    /// The station's Ethernet address.
    pub mac: MacAddr,
}

impl Responder {
    /// A responder that answers for nothing yet. Without `link_local` it is silent on IPv6.
    pub fn new(mac: MacAddr, link_local: Option<Ipv6Addr>) -> Self {
        Self {
            mac,
            link_local,
            announced: HashSet::new(),
            probed: HashSet::new(),
        }
    }

    /// Answer for `ip` from now on. False if it did already.
    pub fn announce(&mut self, ip: IpAddr) -> bool {
        self.probed.remove(&ip.to_canonical());
        self.announced.insert(ip.to_canonical())
    }

    /// Hear from now on who else has `ip`, and do not answer for it yet. False if it did already,
    /// or answers.
    pub fn listen(&mut self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        !self.announced.contains(&ip) && self.probed.insert(ip)
    }

    /// No longer answer for `ip`, or hear who has it. False if it did neither.
    pub fn withdraw(&mut self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.announced.remove(&ip) | self.probed.remove(&ip)
    }

    /// Whether this interface answers for `ip`.
    pub fn announces(&self, ip: IpAddr) -> bool {
        self.announced.contains(&ip.to_canonical())
    }

    /// Whether this interface answers for `ip`, or is to.
    pub fn concerns(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.announced.contains(&ip) || self.probed.contains(&ip)
    }

    /// The addresses that this interface answers for, or is to, in no order.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.announced.iter().chain(&self.probed).copied()
    }

    /// What to send back for a received frame.
    ///
    /// An ARP request is answered when it was sent to everybody or to us alone, a solicitation when
    /// it was sent to a group or to us alone.
    ///
    /// # Errors
    /// The reason for silence. Everything but a request for an announced address is one.
    pub fn answer(&self, frame: &[u8]) -> Result<Answer, DropReason> {
        match arp::decode(frame) {
            Err(DropReason::NotNeighborDiscovery) => self.answer_solicitation(frame),
            Err(reason) => Err(reason),
            Ok(request) => self.answer_request(&request),
        }
    }

    /// Another station that says in a received frame that it has an address which is announced
    /// here; or, while we ask whether anybody has it, that it asks the same.
    pub fn rival(&self, frame: &[u8]) -> Option<Rival> {
        if let Some(rival) = self.other_asker(frame) {
            return Some(rival);
        }
        let (ip, mac) = match arp::sender(frame) {
            Ok((ip, mac)) => (IpAddr::V4(ip), mac),
            Err(DropReason::NotNeighborDiscovery) => {
                let (ip, mac) = ndp::advertised(frame).ok()?;
                (IpAddr::V6(ip), mac)
            }
            Err(_) => return None,
        };
        (mac != self.mac && self.concerns(ip)).then_some(Rival { ip, mac })
    }

    /// RFC 5227 section 2.1.1, RFC 4862 section 5.4.3: two that begin to use an address at once.
    fn other_asker(&self, frame: &[u8]) -> Option<Rival> {
        if self.probed.is_empty() {
            return None;
        }
        let (ip, mac) = if let Ok((ip, mac)) = arp::probed(frame) {
            (IpAddr::V4(ip), mac)
        } else {
            let asked = ndp::decode(frame).ok()?;
            let asks = asked.source.is_unspecified();
            asks.then_some((IpAddr::V6(asked.target), asked.sender_mac))?
        };
        (mac != self.mac && self.probed.contains(&ip)).then_some(Rival { ip, mac })
    }

    /// The frame that asks whether anybody has `ip`. None where it is announced, or could not be.
    pub fn probe(&self, ip: IpAddr) -> Option<Vec<u8>> {
        match ip.to_canonical() {
            ip if !self.probed.contains(&ip) => None,
            IpAddr::V4(ip) => Some(arp::probe(ip, self.mac)),
            IpAddr::V6(ip) => self.link_local.map(|_| ndp::probe(ip, self.mac)),
        }
    }

    /// The frames that tell the whole segment that `ip` is here now: two forms of gratuitous ARP, or
    /// one unsolicited Neighbor Advertisement. None if this interface does not announce it.
    pub fn announcements(&self, ip: IpAddr) -> Vec<Vec<u8>> {
        let ip = ip.to_canonical();
        match (ip, self.link_local) {
            _ if !self.announced.contains(&ip) => Vec::new(),
            (IpAddr::V4(ip), _) => arp::gratuitous(ip, self.mac).into(),
            (IpAddr::V6(ip), Some(own)) => vec![ndp::unsolicited(ip, self.mac, own)],
            (IpAddr::V6(_), None) => Vec::new(),
        }
    }

    fn answer_request(&self, request: &arp::Request) -> Result<Answer, DropReason> {
        if !request.destination.is_broadcast() && request.destination != self.mac {
            return Err(DropReason::NotForUs);
        }
        let ip = IpAddr::V4(request.target);
        if !self.announced.contains(&ip) {
            return Err(DropReason::NotAnnounced);
        }
        Ok(Answer {
            ip,
            frame: arp::reply(request, self.mac),
        })
    }

    fn answer_solicitation(&self, frame: &[u8]) -> Result<Answer, DropReason> {
        let asked = ndp::decode(frame)?;
        if asked.destination.is_unicast() && asked.destination != self.mac {
            return Err(DropReason::NotForUs);
        }
        let ip = IpAddr::V6(asked.target);
        if !self.announced.contains(&ip) {
            return Err(DropReason::NotAnnounced);
        }
        let own = self.link_local.ok_or(DropReason::NoLinkLocal)?;
        Ok(Answer {
            ip,
            frame: ndp::advertisement(&asked, self.mac, own),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frames::{
        ARP_REQUEST, CLIENT, DUPLICATE_CHECK, OWN, OWN_LINK_LOCAL, SOLICITATION, UNICAST_PROBE,
        bytes, ip, solicitation,
    };

    fn responder() -> Responder {
        let mut responder = Responder::new(OWN, Some(OWN_LINK_LOCAL));
        for address in ["192.0.2.10", "2001:db8::10", "2001:db8::77"] {
            assert!(responder.announce(ip(address)));
        }
        responder
    }

    #[test]
    fn requests_for_announced_addresses_are_answered() {
        let responder = responder();
        let table = [
            (ARP_REQUEST, "192.0.2.10", CLIENT),
            (SOLICITATION, "2001:db8::10", CLIENT),
            (UNICAST_PROBE, "2001:db8::10", CLIENT),
            (
                DUPLICATE_CHECK,
                "2001:db8::77",
                MacAddr(0x33, 0x33, 0, 0, 0, 1),
            ),
        ];
        for (frame, address, to) in table {
            let answer = responder.answer(&bytes(frame)).unwrap();
            assert_eq!(answer.ip, ip(address));
            assert_eq!(answer.frame[..6], to.octets(), "to whom");
            assert_eq!(answer.frame[6..12], OWN.octets(), "from whom");
        }
    }

    #[test]
    fn rfc_5227_a_probe_is_answered() {
        // Section 2.1.1: the sender's address is zero, as it has none yet.
        let mut probe = bytes(ARP_REQUEST);
        probe[28..32].fill(0);
        let answer = responder().answer(&probe).unwrap();
        assert_eq!(answer.frame[..6], CLIENT.octets());
        assert_eq!(answer.frame[28..32], [192, 0, 2, 10], "whose it is");
        assert_eq!(answer.frame[38..42], [0; 4], "who asked");
    }

    #[test]
    fn rfc_5227_an_address_that_another_has_or_asks_for_is_heard_of_before_it_is_used() {
        let (mut ours, mut theirs) = (
            Responder::new(OWN, Some(OWN_LINK_LOCAL)),
            Responder::new(CLIENT, Some(OWN_LINK_LOCAL)),
        );
        for address in ["192.0.2.10", "2001:db8::10"] {
            let rival = Rival {
                ip: ip(address),
                mac: CLIENT,
            };
            assert!(ours.listen(ip(address)) && !ours.listen(ip(address)));
            let probe = ours.probe(ip(address)).unwrap();
            assert_eq!(ours.rival(&probe), None, "our own");
            assert!(theirs.answer(&probe).is_err(), "nobody has it");
            // Another asks at the same time: neither may use it.
            theirs.listen(ip(address));
            let other = theirs.probe(ip(address)).unwrap();
            assert_eq!(ours.rival(&other), Some(rival));
            assert!(ours.answer(&other).is_err(), "we do not have it yet");
            // Another has it.
            theirs.announce(ip(address));
            let answer = theirs.answer(&probe).unwrap();
            assert_eq!(ours.rival(&answer.frame), Some(rival));
            // Now it is ours, and who asks is answered instead.
            ours.announce(ip(address));
            assert_eq!(ours.probe(ip(address)), None);
            assert_eq!(ours.rival(&other), None);
            assert!(ours.answer(&other).is_ok());
            assert!(ours.withdraw(ip(address)));
        }
    }

    #[test]
    fn it_is_silent_before_it_is_told_and_after() {
        let mut responder = Responder::new(OWN, Some(OWN_LINK_LOCAL));
        let request = bytes(ARP_REQUEST);
        assert_eq!(responder.answer(&request), Err(DropReason::NotAnnounced));
        // The mapped form is the same address.
        assert!(responder.announce(ip("::ffff:192.0.2.10")));
        assert!(!responder.announce(ip("192.0.2.10")));
        assert!(responder.answer(&request).is_ok());
        assert!(responder.withdraw(ip("192.0.2.10")));
        assert_eq!(responder.answer(&request), Err(DropReason::NotAnnounced));
    }

    #[test]
    fn frames_for_other_stations_are_left_alone() {
        for frame in [ARP_REQUEST, SOLICITATION] {
            let mut frame = bytes(frame);
            frame[..6].copy_from_slice(&OWN.octets());
            assert!(
                responder().answer(&frame).is_ok(),
                "a neighbour checks what it knows"
            );
            frame[..6].copy_from_slice(&CLIENT.octets());
            assert_eq!(responder().answer(&frame), Err(DropReason::NotForUs));
        }
        // Upstream answers ARP for broadcast and unicast only.
        let mut group = bytes(ARP_REQUEST);
        group[..6].copy_from_slice(&[1, 0, 0x5e, 0, 0, 1]);
        assert_eq!(responder().answer(&group), Err(DropReason::NotForUs));
    }

    #[test]
    fn without_a_link_local_address_only_ipv4_is_served() {
        let mut responder = Responder::new(OWN, None);
        responder.announce(ip("192.0.2.10"));
        responder.announce(ip("2001:db8::10"));
        assert!(responder.answer(&bytes(ARP_REQUEST)).is_ok());
        assert_eq!(
            responder.answer(&bytes(SOLICITATION)),
            Err(DropReason::NoLinkLocal)
        );
        assert_eq!(
            responder.announcements(ip("2001:db8::10")),
            Vec::<Vec<u8>>::new()
        );
    }

    #[test]
    fn only_what_is_announced_is_told_unasked() {
        let responder = responder();
        assert_eq!(responder.announcements(ip("192.0.2.10")).len(), 2);
        assert_eq!(responder.announcements(ip("2001:db8::10")).len(), 1);
        assert_eq!(responder.announcements(ip("192.0.2.11")).len(), 0);
    }

    #[test]
    fn malformed_frames_of_every_length_are_dropped() {
        let responder = responder();
        let cut = |good: &[u8], len: usize| {
            let mut frame = good.to_vec();
            frame.resize(len, 0);
            frame
        };
        let (request, asked) = (bytes(ARP_REQUEST), bytes(SOLICITATION));
        let (mut old_hardware, mut routed) = (request.clone(), asked.clone());
        old_hardware[15] = 6;
        routed[21] = 64;
        for len in 0..=128 {
            for frame in [vec![0; len], vec![0xff; len]] {
                assert!(responder.answer(&frame).is_err(), "{len} equal bytes");
            }
            // What is longer than its message is padded, as Ethernet does with short frames.
            for good in [&request, &asked] {
                let answer = responder.answer(&cut(good, len));
                match answer {
                    Ok(_) => assert!(len >= good.len(), "answered {len} of {} bytes", good.len()),
                    Err(reason) => assert!(
                        len < good.len() && reason == DropReason::TooShort,
                        "{len} of {} bytes: {reason}",
                        good.len()
                    ),
                }
            }
            for bad in [&old_hardware, &routed] {
                assert!(
                    responder.answer(&cut(bad, len)).is_err(),
                    "bad field, {len} bytes"
                );
            }
        }
    }

    #[test]
    fn another_station_with_one_of_our_addresses_is_heard_in_every_form() {
        let (ours, mut theirs) = (responder(), Responder::new(CLIENT, Some(OWN_LINK_LOCAL)));
        theirs.announce(ip("192.0.2.10"));
        theirs.announce(ip("2001:db8::10"));
        theirs.announce(ip("192.0.2.99"));
        for address in ["192.0.2.10", "2001:db8::10"] {
            let rival = Rival {
                ip: ip(address),
                mac: CLIENT,
            };
            for frame in theirs.announcements(ip(address)) {
                assert_eq!(ours.rival(&frame), Some(rival));
            }
            for frame in ours.announcements(ip(address)) {
                assert_eq!(ours.rival(&frame), None, "our own, heard on another card");
            }
        }
        for frame in theirs.announcements(ip("192.0.2.99")) {
            assert_eq!(ours.rival(&frame), None, "not ours");
        }
        // It asks for somebody else with our address as its own.
        let mut asks = bytes(ARP_REQUEST);
        asks[28..32].copy_from_slice(&[192, 0, 2, 10]);
        asks[38..42].copy_from_slice(&[192, 0, 2, 1]);
        assert_eq!(ours.rival(&asks).map(|it| it.mac), Some(CLIENT));
        // Those who ask for our address do not say that they have it.
        for frame in [ARP_REQUEST, SOLICITATION, UNICAST_PROBE, DUPLICATE_CHECK] {
            assert_eq!(ours.rival(&bytes(frame)), None);
        }
    }

    #[test]
    fn a_flipped_bit_in_an_arp_request_changes_no_answer_but_its_own() {
        let good = bytes(ARP_REQUEST);
        let answered = responder().answer(&good).unwrap();
        for bit in 0..good.len() * 8 {
            let mut frame = good.clone();
            frame[bit / 8] ^= 1 << (bit % 8);
            match responder().answer(&frame) {
                // The sender is echoed in the reply; its Ethernet source and the target's
                // hardware address mean nothing in a request.
                Ok(answer) => {
                    let sender = (22..32).contains(&(bit / 8));
                    assert!(
                        sender || matches!(bit / 8, 6..12 | 32..38),
                        "byte {}",
                        bit / 8
                    );
                    assert_eq!(answer != answered, sender, "byte {}", bit / 8);
                }
                Err(reason) => assert_ne!(reason, DropReason::TooShort),
            }
        }
    }

    proptest! {
        #[test]
        fn no_frame_makes_it_panic_or_answer_for_others(
            mut frame in proptest::collection::vec(any::<u8>(), 0..200),
            ethertype in prop_oneof![Just([0x08, 0x06]), Just([0x86, 0xdd]), any::<[u8; 2]>()],
        ) {
            if let Some(field) = frame.get_mut(12..14) {
                field.copy_from_slice(&ethertype);
            }
            if let Ok(answer) = responder().answer(&frame) {
                prop_assert!(responder().announces(answer.ip));
            }
            if let Some(rival) = responder().rival(&frame) {
                prop_assert!(responder().announces(rival.ip));
            }
        }

        #[test]
        fn options_of_any_shape_are_read_to_their_end_or_refused(
            options in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let frame = solicitation(|f| {
                f.truncate(78);
                f.extend(&options);
            });
            let mut end = 0;
            while end < options.len() && options.get(end + 1).is_some_and(|units| *units > 0) {
                end += 8 * usize::from(options[end + 1]);
            }
            match responder().answer(&frame) {
                Ok(_) => prop_assert_eq!(end, options.len()),
                Err(DropReason::BadOption) => {}
                Err(reason) => prop_assert_eq!(reason, DropReason::BadSource),
            }
        }
    }
}
