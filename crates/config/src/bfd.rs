//! How BGP sessions are watched with BFD.

use std::ops::RangeInclusive;
use std::time::Duration;

use kube::ResourceExt;
use metallb_crds::v1beta1;

/// A BFDProfile. What its object leaves out is what upstream's backends take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BfdProfile {
    /// Its name.
    pub name: String,
    /// The identity of its object, when the API server gave it one.
    pub uid: Option<String>,
    /// Shortest time between packets that we are ready to receive, 10 ms to 60 s.
    pub receive_interval: Duration,
    /// Shortest time between packets that we want to send, 10 ms to 60 s.
    pub transmit_interval: Duration,
    /// How many packets in a row may be missed before the session is down, 2 to 255.
    pub detect_multiplier: u8,
    /// Shortest time between echo packets that we are ready to receive, 10 ms to 60 s.
    pub echo_interval: Duration,
    /// Whether to send echo packets; IPv4 over one hop only.
    pub echo: bool,
    /// Whether to wait for the router's first packet before sending any.
    pub passive: bool,
    /// Lowest TTL that a packet from more than one hop away may have, 1 to 254.
    pub minimum_ttl: u8,
}

/// Why a BFDProfile is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BfdProfileError {
    /// It has no name.
    #[error("missing bfd profile name")]
    NoName,
    /// There is an older one of the same name.
    #[error("found duplicate bfd profile name {0}")]
    Name(String),
    /// A number that is too low or too high.
    #[error("invalid value {value}, must be in {min}-{max} range\ninvalid {field} value")]
    Number {
        /// What it is for.
        field: &'static str,
        /// The number.
        value: u32,
        /// The lowest good one.
        min: u32,
        /// The highest good one.
        max: u32,
    },
}

impl TryFrom<&v1beta1::BFDProfile> for BfdProfile {
    type Error = BfdProfileError;

    /// What the object says on its own, whatever others there are.
    fn try_from(object: &v1beta1::BFDProfile) -> Result<Self, BfdProfileError> {
        let name = object.name_any();
        if name.is_empty() {
            return Err(BfdProfileError::NoName);
        }
        let spec = &object.spec;
        Ok(Self {
            name,
            uid: object.uid(),
            detect_multiplier: within("detect multiplier", spec.detect_multiplier, 2..=255, 3)?,
            receive_interval: interval("receive interval", spec.receive_interval, 300)?,
            transmit_interval: interval("transmit interval", spec.transmit_interval, 300)?,
            minimum_ttl: within("minimum ttl", spec.minimum_ttl, 1..=254, 254)?,
            echo_interval: interval("echo interval", spec.echo_interval, 50)?,
            echo: spec.echo_mode.unwrap_or_default(),
            passive: spec.passive_mode.unwrap_or_default(),
        })
    }
}

fn interval(
    field: &'static str,
    millis: Option<u32>,
    default: u16,
) -> Result<Duration, BfdProfileError> {
    let millis = within(field, millis, 10..=60_000, default)?;
    Ok(Duration::from_millis(millis.into()))
}

fn within<T>(
    field: &'static str,
    value: Option<u32>,
    range: RangeInclusive<T>,
    default: T,
) -> Result<T, BfdProfileError>
where
    T: TryFrom<u32> + Into<u32> + PartialOrd + Copy,
{
    let Some(value) = value else {
        return Ok(default);
    };
    let number = T::try_from(value).ok();
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| BfdProfileError::Number {
            field,
            value,
            min: (*range.start()).into(),
            max: (*range.end()).into(),
        })
}
