//! Tests that run once for each of many seeds.
//!
//! A seed stands for one course of events: the same seed, the same course. Three variables of the
//! environment choose: `METALLB_SEEDS`, how many; `METALLB_FIRST_SEED`, from where on, 0 if not
//! given; `METALLB_SEED`, just this one, to see again what failed. `cargo xtask soak` sets them.

mod corpus;
mod dice;
mod mutate;
mod network;
mod panics;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use std::{env, thread};

pub use corpus::assert_is_kept;
pub use dice::Dice;
pub use mutate::mutate;
pub use network::{Network, Station, To};
pub use panics::panic_message;

/// Runs a test for each seed, on all processors: for `usual` of them, unless the environment says
/// otherwise. Prints how many there were.
///
/// # Panics
/// When the test does, with the seeds that failed, why, and how to run the lowest again: `command`
/// is what runs the test, as one would type it. After some failures no more seeds are tried.
pub fn for_each_seed(command: &str, usual: u64, test: impl Fn(u64) + Sync) {
    if let Some(seed) = number("METALLB_SEED") {
        return test(seed);
    }
    let first = number("METALLB_FIRST_SEED").unwrap_or(0);
    let count = number("METALLB_SEEDS").unwrap_or(usual);
    let start = Instant::now();
    let failures = failures(first, count, &test);
    if let Some(lowest) = failures.keys().next() {
        let told = failures
            .iter()
            .map(|(seed, why)| format!("seed {seed} failed: {why}\n"));
        let told: String = told.collect();
        panic!("{told}once more: METALLB_SEED={lowest} {command}");
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

/// How many nodes a test of a large cluster has: `usual`, unless `METALLB_NODES` says otherwise.
pub fn nodes(usual: usize) -> usize {
    let nodes = number("METALLB_NODES").map(usize::try_from);
    nodes.map_or(usual, |nodes| nodes.expect("a few thousand"))
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let given = env::var(name).ok()?;
    let number = given.replace('_', "").parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={given:?} is no number")))
}

/// The seeds that fail, and why: all, or some, the lowest among them. Each is told at once.
fn failures(first: u64, count: u64, test: &(impl Fn(u64) + Sync)) -> BTreeMap<u64, String> {
    let next = AtomicU64::new(first);
    let end = first.saturating_add(count);
    let failures = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let done = seed - first;
            if done > 0 && done.is_multiple_of(PROGRESS) {
                println!("    {done} of {count} seeds");
            }
            let Some(why) = panic_message(|| test(seed)) else {
                continue;
            };
            println!("    seed {seed} failed: {why}");
            let mut failures = failures.lock().expect("nobody panics with it");
            failures.insert(seed, why);
            if failures.len() >= ENOUGH {
                next.fetch_max(end, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(work);
        }
    });
    failures.into_inner().expect("nobody panics with it")
}

/// After so many failures no more seeds are tried: what is often wrong need not be seen more often.
const ENOUGH: usize = 10;

/// How many seeds make a line for those who wait.
const PROGRESS: u64 = 100_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_seed_once() {
        let seen = Mutex::new(BTreeSet::new());
        let none = failures(5, 100, &|seed| {
            assert!(seen.lock().unwrap().insert(seed));
        });
        assert!(none.is_empty());
        assert_eq!(seen.into_inner().unwrap(), (5..105).collect());
    }

    #[test]
    fn all_failures_are_told_if_they_are_few() {
        let failures = failures(0, 1000, &|seed| assert!(seed % 400 != 77, "no {seed}"));
        let seeds: Vec<_> = failures.keys().copied().collect();
        assert_eq!(seeds, [77, 477, 877]);
        let tells = |(seed, why): (&u64, &String)| why.ends_with(&format!("no {seed}"));
        assert!(failures.iter().all(tells), "{failures:?}");
    }

    #[test]
    fn the_lowest_failure_is_told() {
        for _ in 0..20 {
            let failures = failures(0, 1000, &|seed| assert!(seed % 100 < 77, "no {seed}"));
            assert_eq!(failures.keys().next(), Some(&77));
            assert!((ENOUGH..100).contains(&failures.len()));
        }
    }
}
