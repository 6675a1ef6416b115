//! The timers of a BGP session.

use crate::duration::{DurationError, GoDuration};

/// How long a BGP session lives without a word, and how often to say one, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Hold time to propose: 0 for ever, else at least 3.
    pub hold: u16,
    /// Time between keepalives: at most the hold time; 0 for none.
    pub keepalive: u16,
}

/// Why the timers of a BGPPeer are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimersError {
    /// A text that is no duration.
    #[error("{field}: {error}")]
    Duration {
        /// The field with the text.
        field: &'static str,
        /// What is wrong with it.
        error: DurationError,
    },
    /// RFC 4271, section 4.2: zero or at least three seconds.
    #[error("invalid hold time \"{0}\": must be 0 or >=3s")]
    Hold(String),
    /// A session cannot be kept alive after its end, nor at a time below zero.
    #[error("invalid keepaliveTime \"{keepalive}\", must be lower than holdTime \"{hold}\"")]
    Keepalive {
        /// The keepalive time.
        keepalive: String,
        /// The hold time, given or three times the keepalive time.
        hold: String,
    },
    /// The time between attempts to connect is less than a second or more than can be said.
    #[error("connect time should be between 1 seconds to 65535: {0:?}")]
    Connect(String),
    /// The time between attempts to connect has a fraction of a second.
    #[error("connect time should contain a whole number of seconds: {0:?}")]
    ConnectFraction(String),
}

impl Timers {
    /// Reads `holdTime` and `keepaliveTime`. Of one alone the other follows; of none, nothing, and
    /// the BGP backend has its own.
    pub(crate) fn read(
        hold: Option<&str>,
        keepalive: Option<&str>,
    ) -> Result<Option<Self>, TimersError> {
        let hold = hold.map(|text| duration("holdTime", text)).transpose()?;
        let keepalive = keepalive
            .map(|text| duration("keepaliveTime", text))
            .transpose()?;
        let (hold, keepalive) = match (hold, keepalive) {
            (None, None) => return Ok(None),
            (Some(hold), None) => (hold, hold.third()),
            (None, Some(keepalive)) => (keepalive.tripled(), keepalive),
            (Some(hold), Some(keepalive)) => (hold, keepalive),
        };
        // Upstream looks at the hold time in whole seconds: 0.5s is for ever, 2.9s is too short.
        let seconds = hold.whole_seconds();
        if seconds != 0 && seconds < 3 {
            return Err(TimersError::Hold(hold.to_string()));
        }
        if keepalive > hold || keepalive.is_negative() {
            let (keepalive, hold) = (keepalive.to_string(), hold.to_string());
            return Err(TimersError::Keepalive { keepalive, hold });
        }
        let hold = most(seconds);
        // No oftener than once a second (RFC 4271, section 4.4), rather than not at all.
        let least = u16::from(hold != 0 && !keepalive.is_zero());
        let keepalive = most(keepalive.whole_seconds()).max(least);
        Ok(Some(Self { hold, keepalive }))
    }
}

/// Reads `connectTime` as seconds.
pub(crate) fn connect_time(text: &str) -> Result<u16, TimersError> {
    let time = duration("connectTime", text)?;
    if !time.is_whole_seconds() {
        return Err(TimersError::ConnectFraction(text.to_owned()));
    }
    let seconds = u16::try_from(time.whole_seconds()).ok();
    seconds
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| TimersError::Connect(text.to_owned()))
}

fn duration(field: &'static str, text: &str) -> Result<GoDuration, TimersError> {
    text.parse()
        .map_err(|error| TimersError::Duration { field, error })
}

/// So many seconds or, as BGP has 16 bits for them, as many as can be said.
fn most(seconds: i64) -> u16 {
    u16::try_from(seconds).unwrap_or(u16::MAX)
}
