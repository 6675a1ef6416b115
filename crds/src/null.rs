//! Explicit nulls.
//!
//! Go programs write unset lists as `null`, and people leave a key without a value. The API
//! server takes null for left out where a field has a default, and refuses it elsewhere. A file
//! that never saw an API server is read more kindly: null means left out everywhere.

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

/// `N`, for a field that is left out.
pub(crate) fn number<T: From<u16>, const N: u16>() -> T {
    T::from(N)
}

/// Reads `null` as `N`.
pub(crate) fn or_number<'de, D, T, const N: u16>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + From<u16>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(number::<T, N>))
}
