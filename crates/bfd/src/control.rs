//! The one message of BFD (RFC 5880 section 4.1).

use std::fmt;
use std::time::Duration;

/// A BFD Control packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a bit of its own")]
pub struct Control {
    /// Why the sender's session went down last.
    pub diagnostic: Diagnostic,
    /// State of the sender's session.
    pub state: State,
    /// The sender wants an answer.
    pub poll: bool,
    /// This is the answer.
    pub is_final: bool,
    /// The sender goes on when its control plane does not.
    pub control_plane_independent: bool,
    /// The sender wants no periodic packets.
    pub demand: bool,
    /// After how many missed packets of the sender it is gone.
    pub detect_multiplier: u8,
    /// What the sender calls the session.
    pub my_discriminator: u32,
    /// What the receiver calls it; 0 if the sender does not know.
    pub your_discriminator: u32,
    /// The sender wants to send no more often than this.
    pub desired_min_tx: Duration,
    /// The sender wants to be sent no more often than this; never if it is zero.
    pub required_min_rx: Duration,
    /// The same for Echo packets.
    pub required_min_echo_rx: Duration,
}

/// State of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Switched off.
    AdminDown,
    /// Nobody is heard.
    Down,
    /// The peer is heard, and does not know yet that it is.
    Init,
    /// Both are heard.
    Up,
}

/// Why a session went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diagnostic(pub u8);

impl Diagnostic {
    /// It never was up.
    pub const NONE: Self = Self(0);
    /// The peer was silent for too long.
    pub const DETECTION_TIME_EXPIRED: Self = Self(1);
    /// Echo packets do not come back.
    pub const ECHO_FAILED: Self = Self(2);
    /// The peer says that it is down.
    pub const NEIGHBOR_SIGNALED_DOWN: Self = Self(3);
    /// It was switched off.
    pub const ADMINISTRATIVELY_DOWN: Self = Self(7);
}

/// Why a packet is none (RFC 5880 section 6.8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Malformed {
    /// Shorter than a packet, or than it says.
    Length,
    /// Of another version of BFD.
    Version,
    /// Gone before it was there: no multiplier.
    DetectMultiplier,
    /// For more than one receiver.
    Multipoint,
    /// Of no session.
    MyDiscriminator,
    /// Authenticated, which no session of ours is.
    Authenticated,
}

/// Length of a packet without authentication.
pub const LEN: usize = 24;

const VERSION: u8 = 1;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

impl Control {
    /// The packet as bytes.
    pub fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[0] = VERSION << 5 | (self.diagnostic.0 & 0x1f);
        let flags = [
            (self.poll, POLL),
            (self.is_final, FINAL),
            (self.control_plane_independent, CONTROL_PLANE_INDEPENDENT),
            (self.demand, DEMAND),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set);
        bytes[1] = flags.fold(self.state.number() << 6, |all, (_, flag)| all | flag);
        bytes[2] = self.detect_multiplier;
        bytes[3] = u8::try_from(LEN).expect("a small number");
        let words = [
            self.my_discriminator,
            self.your_discriminator,
            micros(self.desired_min_tx),
            micros(self.required_min_rx),
            micros(self.required_min_echo_rx),
        ];
        for (at, word) in bytes[4..].chunks_exact_mut(4).zip(words) {
            at.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// Reads the payload of a datagram.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let head = bytes.first_chunk::<LEN>().ok_or(Malformed::Length)?;
        let [first, flags, detect_multiplier, length, ..] = *head;
        let word = |at: usize| {
            let word = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            u32::from_be_bytes(word)
        };
        if first >> 5 != VERSION {
            return Err(Malformed::Version);
        }
        if usize::from(length) < LEN || usize::from(length) > bytes.len() {
            return Err(Malformed::Length);
        }
        if detect_multiplier == 0 {
            return Err(Malformed::DetectMultiplier);
        }
        if flags & MULTIPOINT != 0 {
            return Err(Malformed::Multipoint);
        }
        if word(4) == 0 {
            return Err(Malformed::MyDiscriminator);
        }
        if flags & AUTHENTICATION != 0 {
            return Err(Malformed::Authenticated);
        }
        let time = |at| Duration::from_micros(word(at).into());
        Ok(Self {
            diagnostic: Diagnostic(first & 0x1f),
            state: State::of(flags >> 6),
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            demand: flags & DEMAND != 0,
            detect_multiplier,
            my_discriminator: word(4),
            your_discriminator: word(8),
            desired_min_tx: time(12),
            required_min_rx: time(16),
            required_min_echo_rx: time(20),
        })
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

impl State {
    fn number(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }

    fn of(number: u8) -> Self {
        match number {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            0 => "no diagnostic",
            1 => "nothing heard for too long",
            2 => "echo function failed",
            3 => "neighbor signaled that the session is down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            other => return write!(f, "diagnostic {other}"),
        };
        f.write_str(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As FRR sends it, when up.
    const PACKET: [u8; LEN] = [
        0x20, 0xc8, 3, 24, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50, 0, 0, 0, 0,
    ];

    #[test]
    fn a_packet_as_others_send_it() {
        let expected = Control {
            diagnostic: Diagnostic::NONE,
            state: State::Up,
            poll: false,
            is_final: false,
            control_plane_independent: true,
            demand: false,
            detect_multiplier: 3,
            my_discriminator: 7,
            your_discriminator: 9,
            desired_min_tx: Duration::from_millis(50),
            required_min_rx: Duration::from_millis(50),
            required_min_echo_rx: Duration::ZERO,
        };
        assert_eq!(Control::decode(&PACKET), Ok(expected));
        assert_eq!(expected.encode(), PACKET);
        // What is behind it is not looked at.
        assert_eq!(
            Control::decode(&[&PACKET[..], &[1; 8]].concat()),
            Ok(expected)
        );
    }

    #[test]
    fn what_is_no_packet_is_dropped_for_a_reason() {
        let with = |at: usize, byte: u8| {
            let mut packet = PACKET;
            packet[at] = byte;
            Control::decode(&packet)
        };
        for length in 0..LEN {
            assert_eq!(Control::decode(&PACKET[..length]), Err(Malformed::Length));
        }
        for length in [0, 23, 25, 255] {
            assert_eq!(with(3, length), Err(Malformed::Length), "{length}");
        }
        for version in [0x00, 0x40, 0xe0] {
            assert_eq!(with(0, version), Err(Malformed::Version));
        }
        assert_eq!(with(2, 0), Err(Malformed::DetectMultiplier));
        assert_eq!(with(1, 0xc1), Err(Malformed::Multipoint));
        assert_eq!(with(1, 0xc4), Err(Malformed::Authenticated));
        assert_eq!(with(7, 0), Err(Malformed::MyDiscriminator));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(control) = Control::decode(&bytes) {
                prop_assert_eq!(Control::decode(&control.encode()), Ok(control));
            }
        }
    }
}
