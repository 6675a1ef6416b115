//! The configuration, parsed once: API objects in, one type that cannot be wrong out.
//!
//! [`parse`] takes the objects as the API server gives them and returns a [`Config`] of the sound
//! ones, and for each of the others the reason, in upstream's words where people know them. One
//! bad object excludes itself and never the others; of two that clash the older wins. [`reparse`]
//! does so after a change, and keeps the last sound form of an object that became a bad one.
//!
//! Controller, speaker and admission all read the configuration through this crate, so a rule
//! stands here once.

mod advice;
mod bfd;
mod bgp;
mod community;
mod config;
mod duration;
mod form;
mod l2;
mod label;
mod labels;
mod object_key;
mod objects;
mod parse;
mod peer;
mod pool;
mod range;
mod rejected;
mod report;
mod routes;
mod scope;
mod selector;
mod timers;

pub use advice::{ALL_NODES_EXCLUDED, Advice, Node, Surroundings};
pub use bfd::{BfdProfile, BfdProfileError};
pub use bgp::{BgpAdvertisement, BgpAdvertisementError};
pub use community::{Community, CommunityError, CommunityNames, CommunityNamesError};
pub use config::Config;
pub use duration::{DurationError, duration};
pub use l2::{L2Advertisement, L2AdvertisementError, PreferredNodes};
pub use labels::{LabelSet, LabelText, Labels};
pub use object_key::ObjectKey;
pub use objects::{Kind, Objects, References};
pub use parse::{Parsed, parse, reparse};
pub use peer::{
    Asn, Bfd, Hidden, ObjectName, Password, Peer, PeerAddress, PeerError, RemoteAsn, SecretError,
};
pub use pool::{Pool, PoolError, ServiceAllocation};
pub use range::{AddrRange, Family, RangeError};
pub use rejected::{Error, InEffect, Rejected};
pub use report::{CONTROLLER_CONDITION, Report, SPEAKER_CONDITION};
pub use scope::{Scope, ScopeError};
pub use selector::{Duplicate, Selector, SelectorError};
pub use timers::{Timers, TimersError};
