//! BGP messages as values, and as bytes.
//!
//! Decoding is total: any bytes give a message or the NOTIFICATION that answers them, and never
//! more memory than a few times their length. Encoding a value and decoding it gives the value.

mod as_path;
mod attribute;
mod capability;
mod family;
mod message;
mod nlri;
mod notification;
mod open;
mod read;
mod received;
mod refresh;
mod update;

pub use as_path::{AsPath, Segment};
pub use attribute::{Aggregator, Attributes, LargeCommunity, Origin, UnknownAttribute};
pub use capability::{AfiSafi, Capability, GracefulRestart, LongLived};
pub use family::Family;
pub use message::{Codec, EXTENDED_MAX_LEN, HEADER_LEN, MAX_LEN, Message, Received, frame_len};
pub use notification::{ErrorCode, Notification};
pub use open::{AS_TRANS, Open};
pub use received::{Action, Fault};
pub use refresh::{RefreshKind, RouteRefresh};
pub(crate) use update::only_v4;
pub use update::{MpReach, MpUnreach, NextHop, Nlri, Update};
