//! The header that all messages have, and what follows it.

use super::notification::{ErrorCode, Notification};
use super::open::Open;
use super::read::Reader;
use super::received::{self, Fault};
use super::refresh::RouteRefresh;
use super::update::Update;

/// A BGP message (RFC 4271 section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a message lives for a moment")]
pub enum Message {
    /// Who speaks.
    Open(Open),
    /// Routes.
    Update(Update),
    /// The end.
    Notification(Notification),
    /// Still there.
    Keepalive,
    /// Send your routes again.
    RouteRefresh(RouteRefresh),
}

/// A message that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What it says.
    pub message: Message,
    /// What is wrong with it, without being reason enough to end the session (RFC 7606).
    pub faults: Vec<Fault>,
}

/// What two speakers agreed on about their messages, and who they are for each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codec {
    /// AS numbers have 32 bits (RFC 6793).
    pub four_octet: bool,
    /// Messages may have up to 65,535 bytes (RFC 8654).
    pub extended: bool,
    /// Both are of the same AS.
    pub internal: bool,
}

/// Marker, length and type.
pub const HEADER_LEN: usize = 19;
/// The longest message.
pub const MAX_LEN: usize = 4096;
/// The longest message of those who agreed on longer ones.
pub const EXTENDED_MAX_LEN: usize = 65535;

const MARKER: [u8; 16] = [0xff; 16];

const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;
const KEEPALIVE: u8 = 4;
const ROUTE_REFRESH: u8 = 5;

impl Codec {
    /// The longest UPDATE.
    pub fn max_len(self) -> usize {
        if self.extended {
            EXTENDED_MAX_LEN
        } else {
            MAX_LEN
        }
    }
}

/// How long the message is that begins here; nothing while its header is not complete. More than
/// a header is never needed to find that a message is none.
pub fn frame_len(bytes: &[u8], codec: Codec) -> Result<Option<usize>, Notification> {
    let marker = &bytes[..bytes.len().min(MARKER.len())];
    if marker != &MARKER[..marker.len()] {
        let error = ErrorCode::CONNECTION_NOT_SYNCHRONIZED;
        return Err(Notification::new(error));
    }
    let Some(&[high, low, kind]) = bytes.get(MARKER.len()..HEADER_LEN) else {
        return Ok(None);
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let (least, most) = match kind {
        OPEN => (29, MAX_LEN),
        UPDATE => (23, codec.max_len()),
        NOTIFICATION => (21, codec.max_len()),
        KEEPALIVE => (HEADER_LEN, HEADER_LEN),
        // What is too short of ROUTE-REFRESH has an error of its own (RFC 7313 section 5).
        _ => (HEADER_LEN, codec.max_len()),
    };
    if len < least || len > most {
        let error = ErrorCode::BAD_MESSAGE_LENGTH;
        return Err(Notification::with(error, [high, low]));
    }
    if !(OPEN..=ROUTE_REFRESH).contains(&kind) {
        let error = ErrorCode::BAD_MESSAGE_TYPE;
        return Err(Notification::with(error, [kind]));
    }
    Ok(Some(len))
}

impl Message {
    /// The message as bytes. It has to fit into one, which is up to those who put routes into
    /// [`Update`]s.
    pub fn encode(&self, codec: Codec) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend(MARKER);
        out.extend([0, 0, self.kind()]);
        match self {
            Self::Open(open) => open.encode(&mut out),
            Self::Update(update) => update.encode(codec, &mut out),
            Self::Notification(it) => {
                out.extend([it.error.0, it.error.1]);
                let room = MAX_LEN - HEADER_LEN - 2;
                out.extend(&it.data[..it.data.len().min(room)]);
            }
            Self::Keepalive => {}
            Self::RouteRefresh(refresh) => refresh.encode(&mut out),
        }
        let len = u16::try_from(out.len()).expect("what is sent fits a message");
        out[16..18].copy_from_slice(&len.to_be_bytes());
        out
    }

    /// The number of its type.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Self::Open(_) => OPEN,
            Self::Update(_) => UPDATE,
            Self::Notification(_) => NOTIFICATION,
            Self::Keepalive => KEEPALIVE,
            Self::RouteRefresh(_) => ROUTE_REFRESH,
        }
    }

    /// Reads one message, as long as [`frame_len`] says. The error is the answer to it.
    pub fn decode(frame: &[u8], codec: Codec) -> Result<Received, Notification> {
        let len = frame_len(frame, codec)?;
        if len != Some(frame.len()) {
            let len = u16::try_from(frame.len()).unwrap_or(u16::MAX);
            let error = ErrorCode::BAD_MESSAGE_LENGTH;
            return Err(Notification::with(error, len.to_be_bytes()));
        }
        let body = Reader::new(&frame[HEADER_LEN..]);
        let message = match frame[HEADER_LEN - 1] {
            OPEN => Self::Open(Open::decode(body)?),
            UPDATE => {
                let (update, faults) = received::decode(body, codec)?;
                let message = Self::Update(update);
                return Ok(Received { message, faults });
            }
            NOTIFICATION => {
                let mut body = body;
                let [code, subcode] = body.array().expect("it is long enough");
                let data = body.rest();
                Self::Notification(Notification::with(ErrorCode(code, subcode), data))
            }
            KEEPALIVE => Self::Keepalive,
            _ => Self::RouteRefresh(RouteRefresh::decode(body, frame)?),
        };
        let faults = Vec::new();
        Ok(Received { message, faults })
    }
}
