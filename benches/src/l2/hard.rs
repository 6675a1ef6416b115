//! The announcing node goes without a word: how long until another answers.

use std::time::Instant;

use anyhow::Result;
use metallb_benches::table::{Bar, Table, percentile, worst};
use metallb_tests::Place;
use metallb_tests::faults::Cable;
use rustix::process::Signal;
use serde_json::json;

use crate::Args;
use crate::client::{PATIENCE, Watch};
use crate::picture::{self, Line};
use metallb_benches::speakers::Rig;
use metallb_benches::speakers::{Kind, Speakers};

/// How it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    /// Its cable is pulled.
    Cable,
    /// Nothing gets through its port any more, and it has a carrier.
    Port,
    /// Its speaker is killed.
    Killed,
    /// Its speaker stands still.
    Stopped,
}

impl Cause {
    const ALL: [Self; 4] = [Self::Cable, Self::Port, Self::Killed, Self::Stopped];

    fn name(self) -> &'static str {
        match self {
            Self::Cable => "cable pulled",
            Self::Port => "switch port dead",
            Self::Killed => "speaker killed",
            Self::Stopped => "speaker stopped",
        }
    }

    fn happens(self, rig: &Rig, speakers: &mut Speakers<'_>, node: Place) -> Result<()> {
        match self {
            Self::Cable => rig.cluster.cut(cable(rig, node)),
            Self::Port => rig.cluster.isolate(node),
            Self::Killed => speakers.end_on(node, Signal::KILL),
            Self::Stopped => {
                speakers.on(node)?.signal(Signal::STOP);
                Ok(())
            }
        }
    }

    fn is_over(self, rig: &Rig, speakers: &mut Speakers<'_>, node: Place) -> Result<()> {
        match self {
            Self::Cable => rig.cluster.heal(cable(rig, node)),
            Self::Port => rig.cluster.heal(node),
            Self::Killed => speakers.start_on(node).map(drop),
            Self::Stopped => {
                speakers.on(node)?.signal(Signal::CONT);
                Ok(())
            }
        }
    }
}

/// Every cause, many times.
pub(crate) fn measure(args: &Args, rig: &Rig, table: &mut Table) -> Result<()> {
    let mut lines = Vec::new();
    for (kind, trials) in args.kinds() {
        for cause in Cause::ALL {
            let times = times(rig, kind, cause, trials)?;
            let what = format!("{}, {}: another answers", kind.name(), cause.name());
            let bar = |most| {
                if kind == Kind::Ours {
                    Bar::AtMost(most)
                } else {
                    Bar::None
                }
            };
            table.row(
                &format!("{what}, median of {trials}"),
                "ms",
                percentile(&times, 50),
                bar(450.0),
            );
            table.row(
                &format!("{what}, p99"),
                "ms",
                percentile(&times, 99),
                bar(800.0),
            );
            table.row(&format!("{what}, longest"), "ms", worst(&times), Bar::None);
            table.raw(&what, json!({ "milliseconds": times }));
            lines.push(Line {
                kind,
                cause: cause.name(),
                times,
            });
        }
    }
    picture::draw(&args.picture, &lines)
}

/// The one of the card on which addresses are announced.
fn cable(rig: &Rig, place: Place) -> Cable {
    let nic = rig.nic;
    Cable { place, nic }
}

/// In milliseconds.
pub(crate) fn times(rig: &Rig, kind: Kind, cause: Cause, trials: usize) -> Result<Vec<f64>> {
    let mut speakers = Speakers::start(rig, kind)?;
    let watch = Watch::start(&rig.cluster, rig.nic, Some(rig.address()))?;
    let mut times = Vec::new();
    for _ in 0..trials {
        let owner = watch.settled()?;
        let since = Instant::now();
        cause.happens(rig, &mut speakers, owner)?;
        let another = watch.another(owner, since);
        cause.is_over(rig, &mut speakers, owner)?;
        let took = another.map_or(PATIENCE, |it| it.at - since);
        println!("  {} {}: {took:.1?}", kind.name(), cause.name());
        times.push(took.as_secs_f64() * 1000.0);
        match kind {
            // It takes its address back.
            Kind::Ours => back(&watch, owner)?,
            Kind::Metallb => speakers.restart()?,
        }
    }
    Ok(times)
}

/// Waits until this node alone answers again.
pub(crate) fn back(watch: &Watch, owner: Place) -> Result<()> {
    metallb_tests::eventually(&format!("{owner} is back"), PATIENCE, || {
        let now = watch.settled()?;
        Ok(if now == owner {
            Ok(())
        } else {
            Err(now.to_string())
        })
    })
}
