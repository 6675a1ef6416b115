//! Waiting for a condition instead of sleeping.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::interrupt;

/// Calls `look` until it gives a value, at most for `timeout`.
///
/// `Ok(Ok(value))` ends it, `Ok(Err(seen))` looks again, and the last `seen` is part of the error
/// when time is up. An `Err` from `look` itself is tried again too, since a server that is just
/// starting refuses connections.
pub fn eventually<T, S: Display>(
    what: &str,
    timeout: Duration,
    mut look: impl FnMut() -> Result<Result<T, S>>,
) -> Result<T> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(10);
    loop {
        let seen = match look() {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(seen)) => seen.to_string(),
            Err(error) => format!("{error:#}"),
        };
        interrupt::check()?;
        if started.elapsed() >= timeout {
            bail!(
                "{what}: not within {} s; last seen: {seen}",
                timeout.as_secs_f32()
            );
        }
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_last_is_in_the_error() {
        let mut looks = 0;
        let error = eventually("three", Duration::from_millis(50), || {
            looks += 1;
            Ok::<Result<(), _>, _>(Err(format!("look {looks}")))
        })
        .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("three: not within 0.05 s; last seen: look ")
        );
        assert!(looks > 1);
    }

    #[test]
    fn an_error_is_not_the_end() {
        let mut looks = 0;
        let value = eventually("a value", Duration::from_secs(5), || {
            looks += 1;
            if looks < 3 {
                bail!("refused")
            }
            Ok(Ok::<_, String>(looks))
        });
        assert_eq!(value.unwrap(), 3);
    }
}
