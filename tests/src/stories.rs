//! Test programs whose stories share one cluster and are told in order.

use std::{process::ExitCode, time::Instant};

use anyhow::{Context as _, Result};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::is_root;

/// A story: its name, which says what is true, and how it is seen.
pub type Story<W> = (&'static str, fn(&W) -> Result<()>);

/// Where stories take place: what they share, made before the first and ended after the last.
#[derive(Debug)]
pub struct Stage<W> {
    /// Makes it; what an earlier run left is cleared first.
    pub up: fn() -> Result<W>,
    /// Prints what helps whoever looks into a failed story.
    pub print_what_happened: fn(&W),
    /// Ends it.
    pub down: fn(&W) -> Result<()>,
}

/// The `main` of a test program: takes the arguments of `cargo test` and prints as it does.
///
/// Nothing is made for stories that are only listed or not asked for. Without root it says that it
/// skips them all, but under CI, where that is a failure.
pub fn tell<W: Sync + 'static>(stage: &Stage<W>, stories: &[Story<W>]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let wanted = |(name, _): &Story<W>| arguments.filter.as_ref().is_none_or(|f| name.contains(f));
    if arguments.list || !stories.iter().any(wanted) {
        return libtest_mimic::run(&arguments, trials(None, stories)).exit_code();
    }
    if !is_root() && std::env::var_os("CI").is_none() {
        println!("skipped: a cluster needs root");
        return ExitCode::SUCCESS;
    }
    match tell_on(stage, &arguments, stories) {
        Ok(code) => code,
        Err(error) => {
            println!("test result: FAILED. 0 passed; 1 failed; the cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tell_on<W: Sync + 'static>(
    stage: &Stage<W>,
    arguments: &Arguments,
    stories: &[Story<W>],
) -> Result<ExitCode> {
    // The stories borrow it until the process ends.
    let world: &'static W = Box::leak(Box::new((stage.up)()?));
    let conclusion = libtest_mimic::run(arguments, trials(Some(world), stories));
    if conclusion.has_failed() {
        (stage.print_what_happened)(world);
    }
    (stage.down)(world).context("it did not end")?;
    Ok(conclusion.exit_code())
}

fn trials<W: Sync + 'static>(world: Option<&'static W>, stories: &[Story<W>]) -> Vec<Trial> {
    let trial = |&(name, story): &Story<W>| {
        Trial::test(name, move || {
            let world = world.ok_or("stories were only to be listed")?;
            let started = Instant::now();
            let told = story(world);
            let end = if told.is_ok() { "" } else { ", FAILED" };
            // A line of its own, which `cargo xtask test` puts into its table.
            println!("\nstory {name}: {:.1?}{end}", started.elapsed());
            told.map_err(|error| Failed::from(format!("{error:?}")))
        })
    };
    stories.iter().map(trial).collect()
}
