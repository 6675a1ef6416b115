//! Explicit nulls.
//!
//! Go programs write unset lists as `null`, and people leave a key without a value. The API
//! server drops such keys before it fills in defaults; these functions make a file read without
//! an API server mean the same.

use serde::{Deserialize, Deserializer};

/// Reads `null` as the type's own default.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads `null` as `true`.
pub(crate) fn or_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(true))
}

/// Reads `null` as `N`.
pub(crate) fn or_number<'de, D, T, const N: u16>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + From<u16>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(|| T::from(N)))
}
