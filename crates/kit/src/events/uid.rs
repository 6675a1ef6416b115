//! What tells an object from others that had its name.

use std::fmt;

use arcstr::ArcStr;

/// An object's uid. The API server makes UUIDs, and of thousands of Services each has one: so it is
/// kept as a number.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Uid {
    /// In the usual form: 8-4-4-4-12 lower-case digits.
    Uuid([u8; 16]),
    /// Anything else.
    Other(ArcStr),
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        let digits = text.replace('-', "");
        match u128::from_str_radix(&digits, 16).map(|it| Self::Uuid(it.to_be_bytes())) {
            Ok(uuid) if uuid.to_string() == text => uuid,
            _ => Self::Other(text.into()),
        }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(bytes) => {
                let all = u128::from_be_bytes(*bytes);
                let digits = |from: u32, count: u32| (all << (from * 4)) >> (128 - count * 4);
                write!(
                    f,
                    "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                    digits(0, 8),
                    digits(8, 4),
                    digits(12, 4),
                    digits(16, 4),
                    digits(20, 12)
                )
            }
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_and_a_uuid_needs_no_memory_of_its_own() {
        for (text, is_uuid) in [
            ("8dea9cf9-fd94-3a84-75c6-186be5ebe0f5", true),
            ("00000000-0000-0000-0000-000000000001", true),
            ("8DEA9CF9-fd94-3a84-75c6-186be5ebe0f5", false),
            ("8dea9cf9fd943a8475c6186be5ebe0f5", false),
            ("8dea9cf9-fd94-3a84-75c6-186be5ebe0f50", false),
            ("+dea9cf9-fd94-3a84-75c6-186be5ebe0f5", false),
            ("u1", false),
            ("", false),
        ] {
            let uid = Uid::from(text);
            assert_eq!(uid.to_string(), text);
            assert_eq!(matches!(uid, Uid::Uuid(_)), is_uuid, "{text}");
        }
    }
}
