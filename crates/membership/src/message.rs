//! What one datagram says, as bytes.
//!
//! ```text
//!   body:    kind (1) incarnation (8) version (4) name, then what the kind has
//!   name:    length (1) bytes
//!   record:  name status (1) incarnation (8) version (4) state length (2) state
//! ```
//!
//! Numbers are big-endian. Bytes after what a kind has are ignored, so that a later release may
//! add to it while older speakers still run.

use std::sync::Arc;

use crate::Dropped;
use crate::record::{Record, Status};

/// What a datagram says, and who says it. Every one also proves that its sender runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) name: String,
    /// Of the sender's own record.
    pub(crate) incarnation: u64,
    /// Of the sender's own record.
    pub(crate) version: u32,
    pub(crate) message: Message,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Here I am. The number is the same for all who know the same.
    Heartbeat(u64),
    /// Here I am, and you? Answered by a heartbeat at once.
    Ask(u64),
    /// What is your record? Answered by that.
    Fetch,
    /// This is known of these speakers.
    Records(Vec<(String, Record)>),
    /// I do not hear this speaker; do you? Answered by `Seen` if the other watches it, too.
    Doubt { name: String, incarnation: u64 },
    /// I heard this speaker so many milliseconds ago.
    Seen {
        name: String,
        incarnation: u64,
        ago: u32,
    },
    /// What I know is this, in so many parts; tell me the records of the parts that differ, and
    /// let me know yours if `answer`.
    Compare { parts: Vec<u64>, answer: bool },
}

impl Body {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Dropped> {
        let mut reader = Reader(bytes);
        let kind = reader.byte()?;
        let incarnation = reader.u64()?;
        let version = reader.u32()?;
        let name = reader.name()?;
        let message = match kind {
            HEARTBEAT => Message::Heartbeat(reader.u64()?),
            ASK => Message::Ask(reader.u64()?),
            FETCH => Message::Fetch,
            RECORDS => {
                let count = reader.byte()?;
                let records = (0..count).map(|_| reader.record());
                Message::Records(records.collect::<Result<_, _>>()?)
            }
            DOUBT => Message::Doubt {
                name: reader.name()?,
                incarnation: reader.u64()?,
            },
            SEEN => Message::Seen {
                name: reader.name()?,
                incarnation: reader.u64()?,
                ago: reader.u32()?,
            },
            COMPARE => {
                let answer = reader.byte()? != 0;
                let count = reader.byte()?;
                let parts = (0..count).map(|_| reader.u64());
                Message::Compare {
                    parts: parts.collect::<Result<_, _>>()?,
                    answer,
                }
            }
            _ => return Err(Dropped::Malformed),
        };
        Ok(Self {
            name,
            incarnation,
            version,
            message,
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(self.message.kind());
        bytes.extend(self.incarnation.to_be_bytes());
        bytes.extend(self.version.to_be_bytes());
        put_name(&mut bytes, &self.name);
        match &self.message {
            Message::Heartbeat(mark) | Message::Ask(mark) => bytes.extend(mark.to_be_bytes()),
            Message::Fetch => {}
            Message::Records(records) => {
                let count = records.len().min(MOST);
                bytes.push(u8::try_from(count).expect("cut just now"));
                for (name, record) in &records[..count] {
                    put_record(&mut bytes, name, record);
                }
            }
            Message::Doubt { name, incarnation } => {
                put_name(&mut bytes, name);
                bytes.extend(incarnation.to_be_bytes());
            }
            Message::Seen {
                name,
                incarnation,
                ago,
            } => {
                put_name(&mut bytes, name);
                bytes.extend(incarnation.to_be_bytes());
                bytes.extend(ago.to_be_bytes());
            }
            Message::Compare { parts, answer } => {
                bytes.push(u8::from(*answer));
                bytes.push(u8::try_from(parts.len()).expect("there are PARTS of them"));
                bytes.extend(parts.iter().flat_map(|part| part.to_be_bytes()));
            }
        }
        bytes
    }
}

impl Message {
    fn kind(&self) -> u8 {
        match self {
            Self::Heartbeat(_) => HEARTBEAT,
            Self::Ask(_) => ASK,
            Self::Fetch => FETCH,
            Self::Records(_) => RECORDS,
            Self::Doubt { .. } => DOUBT,
            Self::Seen { .. } => SEEN,
            Self::Compare { .. } => COMPARE,
        }
    }
}

/// The bytes that a record takes.
pub(crate) fn size(name: &str, record: &Record) -> usize {
    name.len() + record.state.len() + 16
}

fn put_name(bytes: &mut Vec<u8>, name: &str) {
    // Names of nodes have at most 253 bytes; nobody who has a longer one is heard.
    let name = &name.as_bytes()[..name.len().min(255)];
    bytes.push(u8::try_from(name.len()).expect("cut just now"));
    bytes.extend(name);
}

fn put_record(bytes: &mut Vec<u8>, name: &str, record: &Record) {
    put_name(bytes, name);
    bytes.push(match record.status {
        Status::Starting => 1,
        Status::Alive => 2,
        Status::Dead => 3,
        Status::Left => 4,
        Status::Returning => 5,
    });
    bytes.extend(record.incarnation.to_be_bytes());
    bytes.extend(record.version.to_be_bytes());
    let state = &record.state[..record.state.len().min(STATE_MAX)];
    bytes.extend(
        u16::try_from(state.len())
            .expect("cut just now")
            .to_be_bytes(),
    );
    bytes.extend(state);
}

/// Bytes that are not read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Dropped> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Dropped::Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Dropped> {
        Ok(self.take(N)?.try_into().expect("as many as were asked for"))
    }

    fn byte(&mut self) -> Result<u8, Dropped> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32, Dropped> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Dropped> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn name(&mut self) -> Result<String, Dropped> {
        let length = self.byte()?;
        let name = std::str::from_utf8(self.take(length.into())?).ok();
        let name = name.filter(|name| !name.is_empty());
        Ok(name.ok_or(Dropped::Malformed)?.to_owned())
    }

    fn record(&mut self) -> Result<(String, Record), Dropped> {
        let name = self.name()?;
        let status = match self.byte()? {
            1 => Status::Starting,
            2 => Status::Alive,
            3 => Status::Dead,
            4 => Status::Left,
            5 => Status::Returning,
            _ => return Err(Dropped::Malformed),
        };
        let (incarnation, version) = (self.u64()?, self.u32()?);
        let length = u16::from_be_bytes(self.array()?);
        if usize::from(length) > STATE_MAX {
            return Err(Dropped::Malformed);
        }
        let state = Arc::from(self.take(length.into())?);
        let record = Record {
            incarnation,
            version,
            status,
            state,
        };
        Ok((name, record))
    }
}

/// The most bytes of what a speaker says of itself.
pub const STATE_MAX: usize = 512;
/// The most records in one datagram.
const MOST: usize = 255;

const HEARTBEAT: u8 = 1;
const ASK: u8 = 2;
const FETCH: u8 = 3;
const RECORDS: u8 = 4;
const DOUBT: u8 = 5;
const SEEN: u8 = 6;
const COMPARE: u8 = 7;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = String> {
        "[a-z0-9.-]{1,253}"
    }

    fn record() -> impl Strategy<Value = Record> {
        let status = prop::sample::select(vec![
            Status::Starting,
            Status::Alive,
            Status::Dead,
            Status::Left,
        ]);
        let state = prop::collection::vec(any::<u8>(), 0..40);
        (any::<u64>(), any::<u32>(), status, state).prop_map(
            |(incarnation, version, status, state)| Record {
                incarnation,
                version,
                status,
                state: state.into(),
            },
        )
    }

    fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            any::<u64>().prop_map(Message::Heartbeat),
            any::<u64>().prop_map(Message::Ask),
            Just(Message::Fetch),
            prop::collection::vec((name(), record()), 0..5).prop_map(Message::Records),
            (name(), any::<u64>())
                .prop_map(|(name, incarnation)| Message::Doubt { name, incarnation }),
            (name(), any::<u64>(), any::<u32>()).prop_map(|(name, incarnation, ago)| {
                Message::Seen {
                    name,
                    incarnation,
                    ago,
                }
            }),
            (prop::collection::vec(any::<u64>(), 0..64), any::<bool>())
                .prop_map(|(parts, answer)| Message::Compare { parts, answer }),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Body::decode(&bytes);
        }

        #[test]
        fn what_is_encoded_decodes_to_itself_and_no_part_of_it_decodes(
            name in name(), incarnation: u64, version: u32, message in message(), cut: prop::sample::Index,
        ) {
            let body = Body { name, incarnation, version, message };
            let mut bytes = body.encode();
            prop_assert!(Body::decode(&bytes[..cut.index(bytes.len())]).is_err());
            // Left to later releases.
            bytes.extend([1, 2, 3]);
            prop_assert_eq!(Body::decode(&bytes), Ok(body));
        }
    }
}
