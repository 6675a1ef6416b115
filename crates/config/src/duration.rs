//! Durations as Go writes them: `90s`, `1m30s`, `1.5h`, `300ms`.
//!
//! kube has a type for them whose parser panics on texts such as `1m-5s`; here nothing may.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration, which may be negative, of up to some 292 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GoDuration {
    nanos: i64,
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "time: invalid duration {0:?}: write numbers with units, such as 90s, 1m30s, 1.5h or 300ms"
)]
pub struct DurationError(String);

/// A duration as Go writes it, which may not be negative.
///
/// # Errors
/// It is none, or negative.
pub fn duration(text: &str) -> Result<Duration, DurationError> {
    let parsed: GoDuration = text.parse()?;
    let nanos = u64::try_from(parsed.nanos).map_err(|_| DurationError(text.to_owned()))?;
    Ok(Duration::from_nanos(nanos))
}

impl GoDuration {
    /// The whole seconds in it; those of a negative one are negative.
    pub(crate) fn whole_seconds(self) -> i64 {
        self.nanos / NANOS_A_SECOND
    }

    /// Whether it has no fraction of a second.
    pub(crate) fn is_whole_seconds(self) -> bool {
        self.nanos % NANOS_A_SECOND == 0
    }

    pub(crate) fn is_negative(self) -> bool {
        self.nanos < 0
    }

    pub(crate) fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// A third of it.
    pub(crate) fn third(self) -> Self {
        let nanos = self.nanos / 3;
        Self { nanos }
    }

    /// Three times as long, or as long as can be said.
    pub(crate) fn tripled(self) -> Self {
        let nanos = self.nanos.saturating_mul(3);
        Self { nanos }
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        parse(text)
            .map(|nanos| Self { nanos })
            .ok_or_else(|| DurationError(text.to_owned()))
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negative() { "-" } else { "" };
        write!(
            f,
            "{sign}{:?}",
            Duration::from_nanos(self.nanos.unsigned_abs())
        )
    }
}

/// The text in nanoseconds, by the grammar of Go's `time.ParseDuration`: a sign if one likes, then
/// numbers each with a unit, or 0 alone.
fn parse(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Some(0);
    }
    let (mut rest, mut nanos) = (unsigned, 0u64);
    loop {
        let whole;
        let mut fraction = "";
        (whole, rest) = split_digits(rest);
        if let Some(after) = rest.strip_prefix('.') {
            (fraction, rest) = split_digits(after);
        }
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = rest.find(|it: char| it == '.' || it.is_ascii_digit());
        let (unit, after) = rest.split_at(end.unwrap_or(rest.len()));
        nanos = nanos.checked_add(part(whole, fraction, unit_nanos(unit)?)?)?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    if text.starts_with('-') {
        0i64.checked_sub_unsigned(nanos)
    } else {
        i64::try_from(nanos).ok()
    }
}

/// So many units and a fraction of one, in nanoseconds; less than a nanosecond does not count.
fn part(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    let whole = if whole.is_empty() { "0" } else { whole };
    let (mut digits, mut scale) = (0u128, 1u128);
    // Eighteen digits of an hour are less than a nanosecond.
    for digit in fraction.bytes().take(18) {
        digits = digits * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    let fraction = u64::try_from(digits * u128::from(unit) / scale).ok()?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)?
        .checked_add(fraction)
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter mu.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|it: char| !it.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

const NANOS_A_SECOND: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("+0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("-5s", -5_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("300ms", 300_000_000),
            ("2.9s", 2_900_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("1h1m1s1ms1us1ns", 3_661_001_001_001),
            ("10\u{b5}s", 10_000),
            ("10\u{3bc}s", 10_000),
            ("1.0000000001s", 1_000_000_000),
            ("0.333333333333333333333333h", 1_199_999_999_999),
            ("39h9m14.425s", 140_954_425_000_000),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(text.parse(), Ok(GoDuration { nanos }), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_so() {
        for text in [
            "",
            "3",
            "-",
            "s",
            ".",
            "-.",
            ".s",
            "+.s",
            "1d",
            "1 s",
            " 1s",
            "1s ",
            "--5s",
            "1m-5s",
            "1e3s",
            "90seconds",
            "PT1S",
            "00",
            "1s0",
            "\u{85}s",
            "9223372036854775808ns",
            "-9223372036854775809ns",
            "9999999999999999999999h",
            "2562048h",
            "девяносто",
        ] {
            let said = text.parse::<GoDuration>().expect_err(text).to_string();
            assert!(
                said.starts_with(&format!("time: invalid duration {text:?}")),
                "{said}"
            );
        }
    }

    #[test]
    fn durations_are_shown() {
        for (text, shown) in [
            ("90s", "90s"),
            ("1.5s", "1.5s"),
            ("-300ms", "-300ms"),
            ("0", "0ns"),
        ] {
            assert_eq!(text.parse::<GoDuration>().unwrap().to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}", near in "[-+]?([0-9]{0,20}\\.?[0-9]{0,20}[numsh]{0,2}){0,4}") {
            let _ = text.parse::<GoDuration>();
            let _ = near.parse::<GoDuration>().map(|it| (it.to_string(), it.tripled(), it.third()));
        }

        #[test]
        fn nanoseconds_are_exact(nanos in any::<i64>()) {
            let (sign, size) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
            let text = format!("{sign}{}.{:09}s", size / 1_000_000_000, size % 1_000_000_000);
            prop_assert_eq!(text.parse(), Ok(GoDuration { nanos }));
        }
    }
}
