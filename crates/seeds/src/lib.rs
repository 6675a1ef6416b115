//! Tests that run once for each of many seeds.
//!
//! A seed stands for one course of events: the same seed, the same course. Three variables of the
//! environment choose: `METALLB_SEEDS`, how many; `METALLB_FIRST_SEED`, from where on, 0 if not
//! given; `METALLB_SEED`, just this one, to see again what failed. `cargo xtask soak` sets them.

mod dice;
mod panics;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use std::{env, thread};

pub use dice::Dice;
pub use panics::panic_message;

/// Runs a test for each seed, on all processors: for `usual` of them, unless the environment says
/// otherwise. Prints how many there were.
///
/// # Panics
/// When the test does, with the lowest seed that failed, why, and how to run it again: `command`
/// is what runs the test, as one would type it.
pub fn for_each_seed(command: &str, usual: u64, test: impl Fn(u64) + Sync) {
    if let Some(seed) = number("METALLB_SEED") {
        return test(seed);
    }
    let first = number("METALLB_FIRST_SEED").unwrap_or(0);
    let count = number("METALLB_SEEDS").unwrap_or(usual);
    let start = Instant::now();
    if let Some(Failure { seed, why }) = first_failure(first, count, &test) {
        panic!("seed {seed} failed: {why}\nonce more: METALLB_SEED={seed} {command}");
    }
    println!(
        "{count} seeds from {first} on in {:.1} s: {command}",
        start.elapsed().as_secs_f64()
    );
}

/// How many cases a property test tries: `usual`, unless proptest's own variable says otherwise,
/// which it does not look at when a number is given.
pub fn cases(usual: u32) -> u32 {
    let cases = number("PROPTEST_CASES").map(u32::try_from);
    cases.map_or(usual, |cases| cases.expect("PROPTEST_CASES has 32 bits"))
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let given = env::var(name).ok()?;
    let number = given.replace('_', "").parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={given:?} is no number")))
}

struct Failure {
    seed: u64,
    why: String,
}

/// Tries seeds until one fails; all that are lower are tried too.
fn first_failure(first: u64, count: u64, test: &(impl Fn(u64) + Sync)) -> Option<Failure> {
    let next = AtomicU64::new(first);
    let end = AtomicU64::new(first.saturating_add(count));
    let failure: Mutex<Option<Failure>> = Mutex::new(None);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return;
            }
            let done = seed - first;
            if done > 0 && done.is_multiple_of(PROGRESS) {
                println!("    {done} of {count} seeds");
            }
            let Some(why) = panic_message(|| test(seed)) else {
                continue;
            };
            end.fetch_min(seed, Ordering::Relaxed);
            let mut failure = failure.lock().expect("nobody panics with it");
            if failure.as_ref().is_none_or(|known| seed < known.seed) {
                *failure = Some(Failure { seed, why });
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(work);
        }
    });
    failure.into_inner().expect("nobody panics with it")
}

/// How many seeds make a line for those who wait.
const PROGRESS: u64 = 100_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_seed_once() {
        let seen = Mutex::new(BTreeSet::new());
        let none = first_failure(5, 100, &|seed| {
            assert!(seen.lock().unwrap().insert(seed));
        });
        assert!(none.is_none());
        assert_eq!(seen.into_inner().unwrap(), (5..105).collect());
    }

    #[test]
    fn the_lowest_failure_is_told() {
        for _ in 0..20 {
            let failure = first_failure(0, 1000, &|seed| assert!(seed % 100 < 77, "no {seed}"));
            let Failure { seed, why } = failure.unwrap();
            assert_eq!((seed, why.ends_with("no 77")), (77, true));
        }
    }
}
