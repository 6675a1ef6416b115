//! NOTIFICATION: why a session ends.

use std::fmt;

/// A NOTIFICATION message (RFC 4271 section 4.5): the last one of its session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{error}{}", self.detail())]
pub struct Notification {
    /// What is wrong.
    pub error: ErrorCode,
    /// More on that, by error.
    pub data: Vec<u8>,
}

/// Error code and subcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u8, pub u8);

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $subcode:literal, $words:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: Self = Self($code, $subcode);)*

            /// What it is called, if it is one that we know.
            fn words(self) -> Option<&'static str> {
                match (self.0, self.1) {
                    $(($code, $subcode) => Some($words),)*
                    _ => None,
                }
            }
        }
    };
}

error_codes! {
    /// RFC 4271 section 6.1: the marker is not all ones.
    CONNECTION_NOT_SYNCHRONIZED = 1, 1, "message header: connection not synchronized";
    /// RFC 4271 section 6.1: no message of its type has this length.
    BAD_MESSAGE_LENGTH = 1, 2, "message header: bad message length";
    /// RFC 4271 section 6.1: there is no message of this type.
    BAD_MESSAGE_TYPE = 1, 3, "message header: bad message type";
    /// RFC 4271 section 6.2: the OPEN message cannot be read.
    OPEN_MALFORMED = 2, 0, "OPEN message: malformed";
    /// RFC 4271 section 6.2.
    UNSUPPORTED_VERSION = 2, 1, "OPEN message: unsupported version number";
    /// RFC 4271 section 6.2; RFC 7607 for AS 0.
    BAD_PEER_AS = 2, 2, "OPEN message: bad peer AS";
    /// RFC 4271 section 6.2, RFC 6286.
    BAD_BGP_IDENTIFIER = 2, 3, "OPEN message: bad BGP identifier";
    /// RFC 4271 section 6.2.
    UNSUPPORTED_OPTIONAL_PARAMETER = 2, 4, "OPEN message: unsupported optional parameter";
    /// RFC 4271 section 6.2.
    UNACCEPTABLE_HOLD_TIME = 2, 6, "OPEN message: unacceptable hold time";
    /// RFC 5492 section 5.
    UNSUPPORTED_CAPABILITY = 2, 7, "OPEN message: unsupported capability";
    /// RFC 9234 section 4.2.
    ROLE_MISMATCH = 2, 11, "OPEN message: role mismatch";
    /// RFC 4271 section 6.3.
    MALFORMED_ATTRIBUTE_LIST = 3, 1, "UPDATE message: malformed attribute list";
    /// RFC 4760 section 7: an attribute of several families cannot be read.
    OPTIONAL_ATTRIBUTE = 3, 9, "UPDATE message: optional attribute error";
    /// RFC 4271 section 6.3.
    INVALID_NETWORK_FIELD = 3, 10, "UPDATE message: invalid network field";
    /// RFC 4271 section 6.5.
    HOLD_TIMER_EXPIRED = 4, 0, "hold timer expired";
    /// RFC 4271 section 6.6, in a state that has no number.
    FSM = 5, 0, "finite state machine error";
    /// RFC 6608 section 4.
    UNEXPECTED_IN_OPEN_SENT = 5, 1, "unexpected message in OpenSent state";
    /// RFC 6608 section 4.
    UNEXPECTED_IN_OPEN_CONFIRM = 5, 2, "unexpected message in OpenConfirm state";
    /// RFC 6608 section 4.
    UNEXPECTED_IN_ESTABLISHED = 5, 3, "unexpected message in Established state";
    /// RFC 4271 section 6.7; of a session that BFD ended, BIRD 2.0 says no more.
    CEASE = 6, 0, "cease, without a reason";
    /// RFC 4486 section 3.
    MAXIMUM_PREFIXES = 6, 1, "maximum number of prefixes reached";
    /// RFC 4486 section 3, with a text by RFC 9003.
    ADMINISTRATIVE_SHUTDOWN = 6, 2, "administrative shutdown";
    /// RFC 4486 section 3.
    PEER_DECONFIGURED = 6, 3, "peer de-configured";
    /// RFC 4486 section 3, with a text by RFC 9003.
    ADMINISTRATIVE_RESET = 6, 4, "administrative reset";
    /// RFC 4486 section 3.
    CONNECTION_REJECTED = 6, 5, "connection rejected";
    /// RFC 4486 section 3.
    OTHER_CONFIGURATION_CHANGE = 6, 6, "other configuration change";
    /// RFC 4486 section 3.
    CONNECTION_COLLISION_RESOLUTION = 6, 7, "connection collision resolution";
    /// RFC 4486 section 3.
    OUT_OF_RESOURCES = 6, 8, "out of resources";
    /// RFC 8538 section 3: the reason is in the data, and nothing is to be kept.
    HARD_RESET = 6, 9, "hard reset";
    /// RFC 9384 section 3.
    BFD_DOWN = 6, 10, "BFD down";
    /// RFC 7313 section 5.
    BAD_REFRESH_LENGTH = 7, 1, "ROUTE-REFRESH message: invalid message length";
    /// RFC 9687 section 3.
    SEND_HOLD_TIMER_EXPIRED = 8, 0, "send hold timer expired";
}

impl Notification {
    /// One without data.
    pub fn new(error: ErrorCode) -> Self {
        Self {
            error,
            data: Vec::new(),
        }
    }

    /// One that shows what is wrong.
    pub fn with(error: ErrorCode, data: impl Into<Vec<u8>>) -> Self {
        let data = data.into();
        Self { error, data }
    }

    /// An administrative shutdown or reset, with a text for the people at the other end, cut to
    /// the 255 bytes that fit (RFC 9003).
    pub fn with_text(error: ErrorCode, text: &str) -> Self {
        let end = text.floor_char_boundary(255);
        let text = &text[..end];
        let len = u8::try_from(text.len()).expect("at most 255");
        Self {
            error,
            data: [&[len], text.as_bytes()].concat(),
        }
    }

    /// The same as a hard reset: the peer keeps nothing, even where it would over a graceful
    /// restart (RFC 8538 section 3.1).
    #[must_use]
    pub fn hard(self) -> Self {
        let ErrorCode(code, subcode) = self.error;
        Self {
            error: ErrorCode::HARD_RESET,
            data: [&[code, subcode], &*self.data].concat(),
        }
    }

    /// Whether there is another connection that stays (RFC 4271 section 6.8).
    pub fn is_collision(&self) -> bool {
        self.error == ErrorCode::CONNECTION_COLLISION_RESOLUTION
    }

    /// Whether nothing is wrong with what was said, but no session is wanted now: another one is
    /// there, or the last one is not quite over.
    pub fn is_refusal(&self) -> bool {
        self.is_collision() || self.error == ErrorCode::CONNECTION_REJECTED
    }

    /// The text for people in it, if there is one that can be read.
    pub fn text(&self) -> Option<&str> {
        let has_text = [
            ErrorCode::ADMINISTRATIVE_SHUTDOWN,
            ErrorCode::ADMINISTRATIVE_RESET,
        ];
        let (len, rest) = self.data.split_first()?;
        let text = rest.get(..usize::from(*len))?;
        let text = std::str::from_utf8(text).ok()?;
        (has_text.contains(&self.error) && !text.is_empty()).then_some(text)
    }

    fn detail(&self) -> String {
        match (self.error, &*self.data) {
            (ErrorCode::HARD_RESET, [code, subcode, data @ ..]) => {
                let reason = Self::with(ErrorCode(*code, *subcode), data);
                format!(": {reason}")
            }
            (_, data) => match self.text() {
                // Whoever reads it in a terminal is safe from what it may do there.
                Some(text) => format!(": \"{}\"", text.escape_debug()),
                None if data.is_empty() => String::new(),
                None => format!(" (data {})", hex(data)),
            },
        }
    }
}

/// The first bytes, to be shown.
fn hex(bytes: &[u8]) -> String {
    let shown = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}"));
    let more = if bytes.len() > SHOWN { "…" } else { "" };
    shown.collect::<String>() + more
}

const SHOWN: usize = 16;

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(code, subcode) = *self;
        match self.words() {
            Some(words) => write!(f, "{words} ({code}/{subcode})"),
            None => write!(f, "error {code}/{subcode}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_can_be_read() {
        let shutdown = ErrorCode::ADMINISTRATIVE_SHUTDOWN;
        for (notification, expected) in [
            (
                Notification::new(ErrorCode::HOLD_TIMER_EXPIRED),
                "hold timer expired (4/0)",
            ),
            (
                Notification::with(ErrorCode::BAD_PEER_AS, [0xfd, 0xe8]),
                "OPEN message: bad peer AS (2/2) (data fde8)",
            ),
            (
                Notification::with_text(shutdown, "back \u{1b}[2J soon"),
                "administrative shutdown (6/2): \"back \\u{1b}[2J soon\"",
            ),
            (
                Notification::with_text(shutdown, "bye").hard(),
                "hard reset (6/9): administrative shutdown (6/2): \"bye\"",
            ),
            (
                Notification::with(ErrorCode(99, 7), [0; 20]),
                "error 99/7 (data 00000000000000000000000000000000…)",
            ),
            // A text that is not as long as it says is none.
            (
                Notification::with(shutdown, [9, b'x']),
                "administrative shutdown (6/2) (data 0978)",
            ),
            (
                Notification::with(shutdown, [1, 0xff]),
                "administrative shutdown (6/2) (data 01ff)",
            ),
        ] {
            assert_eq!(notification.to_string(), expected);
        }
    }

    #[test]
    fn a_text_is_cut_between_two_letters() {
        let long = "ü".repeat(200);
        let notification = Notification::with_text(ErrorCode::ADMINISTRATIVE_RESET, &long);
        assert_eq!(notification.data.len(), 255);
        assert_eq!(notification.text(), Some(&*"ü".repeat(127)));
    }
}
