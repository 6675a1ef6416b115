//! Waiting for a condition instead of sleeping.

use std::{
    collections::VecDeque,
    fmt::{self, Display},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::interrupt;

/// Calls `look` until it gives a value, at most for `timeout`.
///
/// `Ok(Ok(value))` ends it, `Ok(Err(seen))` looks again, and what was seen last is in the error when
/// time is up, with what was seen before that and for how long. An `Err` from `look` itself is tried
/// again too, since a server that is just starting refuses connections.
pub fn eventually<T, S: Display>(
    what: &str,
    timeout: Duration,
    mut look: impl FnMut() -> Result<Result<T, S>>,
) -> Result<T> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(10);
    let mut history = History::default();
    loop {
        let seen = match look() {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(seen)) => seen.to_string(),
            Err(error) => format!("{error:#}"),
        };
        interrupt::check()?;
        history.add(started.elapsed(), seen);
        if started.elapsed() >= timeout {
            bail!("{what}: not within {} s; {history}", timeout.as_secs_f32());
        }
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(200));
    }
}

/// What was seen, the newest last, each with when it was seen first.
#[derive(Default)]
struct History(VecDeque<(Duration, String)>);

impl History {
    /// What is as before adds nothing; of a long story the newest part is kept.
    fn add(&mut self, at: Duration, seen: String) {
        if self.0.back().is_some_and(|(_, before)| *before == seen) {
            return;
        }
        self.0.push_back((at, seen));
        if self.0.len() > 4 {
            self.0.pop_front();
        }
    }
}

impl Display for History {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut newest_first = self.0.iter().rev();
        let Some((since, last)) = newest_first.next() else {
            return Ok(());
        };
        let mut until = since;
        write!(to, "last seen: {last}")?;
        for (at, seen) in newest_first {
            let line = seen.lines().next().unwrap_or_default();
            let line: String = line.chars().take(EARLIER).collect();
            write!(to, "\n  until {:.1} s: {line}", until.as_secs_f32())?;
            until = at;
        }
        Ok(())
    }
}

/// How much is told of what was seen earlier, in characters.
const EARLIER: usize = 200;

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
    fn how_it_came_to_that_is_in_the_error() {
        let mut history = History::default();
        for (at, seen) in [
            (0, "nothing"),
            (1, "no pods"),
            (2, "1 pod"),
            (5, "1 pod"),
            (7, "2 pods\nwith names"),
            (9, "3 pods"),
        ] {
            history.add(Duration::from_secs(at), seen.to_owned());
        }
        assert_eq!(
            history.to_string(),
            "last seen: 3 pods\n  until 9.0 s: 2 pods\n  until 7.0 s: 1 pod\n  until 2.0 s: no pods"
        );
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
