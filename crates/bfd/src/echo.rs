//! Echo packets (RFC 5880 sections 4 and 6.4, RFC 5881 section 4). They come back to who sent them,
//! so what is in them is our own affair.

use std::net::Ipv4Addr;

/// An Echo packet of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// What all Echo packets of this process begin with, so that the kernel can keep others away.
    pub mark: u32,
    /// Our discriminator of the session.
    pub discriminator: u32,
    /// Which one it is.
    pub sequence: u64,
    /// What only we can know to belong to the other fields: nobody else can make one.
    pub authenticator: u64,
}

/// From where to where Echo packets go.
pub const PORT: u16 = 3785;
/// What is left of the hop limit of one that came back: the peer has forwarded it once.
pub const RETURNED_TTL: u8 = 254;
/// Length of the whole IPv4 packet.
pub const LEN: usize = HEADERS + PAYLOAD;
/// Where in the IPv4 packet its mark is.
pub const MARK_AT: usize = HEADERS;

const IP: usize = 20;
const UDP: usize = 8;
const HEADERS: usize = IP + UDP;
const PAYLOAD: usize = 24;
/// IPv4, with a header of five words.
const VERSION: u8 = 0x45;
/// Internetwork control, as all routing protocols have it.
const SERVICE: u8 = 0xc0;
const DO_NOT_FRAGMENT: u8 = 0x40;
const PROTOCOL: u8 = 17;

impl Echo {
    /// The packet with its IPv4 header: from this address of ours to itself, so that the peer has
    /// nothing to do but to forward it.
    pub fn encode(&self, own: Ipv4Addr) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let (length, port) = (LEN.to_be_bytes(), PORT.to_be_bytes());
        let [.., high, low] = length;
        bytes[..10].copy_from_slice(&[
            VERSION,
            SERVICE,
            high,
            low,
            0,
            0,
            DO_NOT_FRAGMENT,
            0,
            u8::MAX,
            PROTOCOL,
        ]);
        bytes[12..16].copy_from_slice(&own.octets());
        bytes[16..20].copy_from_slice(&own.octets());
        let sum = checksum(&bytes[..IP], 0);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());

        bytes[IP..IP + 2].copy_from_slice(&port);
        bytes[IP + 2..IP + 4].copy_from_slice(&port);
        let [.., high, low] = (UDP + PAYLOAD).to_be_bytes();
        bytes[IP + 4..IP + 6].copy_from_slice(&[high, low]);
        let payload = &mut bytes[HEADERS..];
        payload[..4].copy_from_slice(&self.mark.to_be_bytes());
        payload[4..8].copy_from_slice(&self.discriminator.to_be_bytes());
        payload[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        payload[16..].copy_from_slice(&self.authenticator.to_be_bytes());
        // With both addresses, the protocol and the length before it (RFC 768). A sum of zero is
        // written as its other form.
        let pseudo = u32::from(PROTOCOL) + u32::from(u16::from_be_bytes([high, low]));
        let sum = match checksum(&bytes[12..], pseudo) {
            0 => u16::MAX,
            sum => sum,
        };
        bytes[IP + 6..HEADERS].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// Reads an IPv4 packet; nothing if it is no Echo packet that came back.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.first_chunk()?;
        let ports = [PORT.to_be_bytes(), PORT.to_be_bytes()].concat();
        let is_one = bytes[0] == VERSION
            && bytes[8] == RETURNED_TTL
            && bytes[9] == PROTOCOL
            && bytes[12..16] == bytes[16..IP]
            && bytes[IP..IP + 4] == ports;
        let (_, payload) = bytes.split_at(HEADERS);
        let word = |at: usize| {
            payload[at..]
                .first_chunk()
                .map(|it| u32::from_be_bytes(*it))
        };
        let long = |at: usize| {
            payload[at..]
                .first_chunk()
                .map(|it| u64::from_be_bytes(*it))
        };
        let echo = Self {
            mark: word(0)?,
            discriminator: word(4)?,
            sequence: long(8)?,
            authenticator: long(16)?,
        };
        is_one.then_some(echo)
    }
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8], start: u32) -> u16 {
    let words = bytes.chunks_exact(2);
    let words = words.map(|it| u32::from(u16::from_be_bytes([it[0], it[1]])));
    let sum = words.fold(start, |sum, word| sum + word);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !u16::try_from(sum).expect("it was folded")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECHO: Echo = Echo {
        mark: 0x0102_0304,
        discriminator: 7,
        sequence: 9,
        authenticator: 11,
    };
    const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

    /// Forwards a packet, as a router does.
    fn forwarded(mut packet: [u8; LEN]) -> [u8; LEN] {
        packet[8] -= 1;
        packet
    }

    #[test]
    fn a_packet_as_it_goes_out() {
        let packet = ECHO.encode(OWN);
        assert_eq!(
            packet[..IP],
            [
                0x45, 0xc0, 0, 52, 0, 0, 0x40, 0, 255, 17, 0xf6, 0xe9, 192, 0, 2, 7, 192, 0, 2, 7
            ]
        );
        assert_eq!(packet[IP..IP + 6], [0x0e, 0xc9, 0x0e, 0xc9, 0, 32]);
        assert_eq!(packet[MARK_AT..MARK_AT + 4], [1, 2, 3, 4]);
        // A sum over what has a right checksum is zero.
        assert_eq!(checksum(&packet[..IP], 0), 0);
        assert_eq!(checksum(&packet[12..], 17 + 32), 0);
    }

    #[test]
    fn what_did_not_come_back_is_none() {
        let packet = ECHO.encode(OWN);
        assert_eq!(Echo::decode(&packet), None, "nobody forwarded it");
        let back = forwarded(packet);
        assert_eq!(Echo::decode(&back), Some(ECHO));
        // A link may fill it up.
        assert_eq!(Echo::decode(&[&back[..], &[0; 12]].concat()), Some(ECHO));
        for len in 0..LEN {
            assert_eq!(Echo::decode(&back[..len]), None);
        }
        assert_eq!(Echo::decode(&forwarded(back)), None, "forwarded twice");
        for at in [0, 9, 12, 19, IP, IP + 3] {
            let mut other = back;
            other[at] ^= 1;
            assert_eq!(Echo::decode(&other), None, "{at}");
        }
    }
}
