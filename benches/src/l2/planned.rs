//! The address moves on purpose: what a client loses that sends a datagram each millisecond.

use std::time::Instant;

use anyhow::Result;
use metallb_benches::table::{Bar, Table, worst};
use metallb_tests::Place;
use rustix::process::Signal;
use serde_json::json;

use crate::Args;
use crate::client::{Stream, Watch};
use crate::hard::back;
use metallb_benches::speakers::rig::{ANNOUNCES, Rig};
use metallb_benches::speakers::{Kind, Speakers};

/// Why it moves.
#[derive(Clone, Copy, Debug)]
enum Cause {
    /// The owner's speaker ends in good order, as when its pod is deleted.
    Ended,
    /// The owner loses the label for which it may announce.
    Relabelled,
    /// The owner gets the taint that means leaving.
    Drained,
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Ended => "speaker ended and started again",
            Self::Relabelled => "node label taken and given back",
            Self::Drained => "node drained and taken back",
        }
    }

    fn of(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::Ours => &[Self::Ended, Self::Relabelled, Self::Drained],
            // It knows no such taint.
            Kind::Metallb => &[Self::Ended, Self::Relabelled],
        }
    }

    fn happens(self, rig: &Rig, speakers: &mut Speakers<'_>, node: Place) -> Result<()> {
        match self {
            Self::Ended => speakers.end_on(node, Signal::TERM),
            Self::Relabelled => {
                let label = ANNOUNCES
                    .split_once('=')
                    .map_or(ANNOUNCES, |(label, _)| label);
                about_node(rig, "label", node, &format!("{label}-"))
            }
            Self::Drained => about_node(rig, "taint", node, &format!("{DRAIN}=:NoSchedule")),
        }
    }

    fn is_over(self, rig: &Rig, speakers: &mut Speakers<'_>, node: Place) -> Result<()> {
        match self {
            Self::Ended => speakers.start_on(node).map(drop),
            Self::Relabelled => about_node(rig, "label", node, ANNOUNCES),
            Self::Drained => about_node(rig, "taint", node, &format!("{DRAIN}-")),
        }
    }
}

/// Every cause, some times: away and back.
pub(crate) fn measure(args: &Args, rig: &Rig, table: &mut Table) -> Result<()> {
    for (kind, trials) in args.kinds() {
        for cause in Cause::of(kind) {
            let lost = lost(rig, kind, *cause, trials)?;
            let what = format!("{}, {}: datagrams lost", kind.name(), cause.name());
            let bar = if kind == Kind::Ours {
                Bar::AtMost(0.0)
            } else {
                Bar::None
            };
            table.row(&format!("{what}, worst of {trials}"), "", worst(&lost), bar);
            table.raw(&what, json!({ "lost": lost }));
        }
    }
    Ok(())
}

fn lost(rig: &Rig, kind: Kind, cause: Cause, trials: usize) -> Result<Vec<f64>> {
    let mut speakers = Speakers::start(rig, kind)?;
    let watch = Watch::start(&rig.cluster, rig.nic, Some(rig.address()))?;
    let mut all = Vec::new();
    for _ in 0..trials {
        let owner = watch.settled()?;
        let stream = Stream::start(&rig.cluster, rig.echo())?;
        stream.flows()?;
        let since = Instant::now();
        cause.happens(rig, &mut speakers, owner)?;
        watch.another(owner, since)?;
        watch.settled()?;
        cause.is_over(rig, &mut speakers, owner)?;
        back(&watch, owner)?;
        stream.flows()?;
        let fate = stream.stop();
        println!(
            "  {} {}: {} of {} lost, {} in a row",
            kind.name(),
            cause.name(),
            fate.lost,
            fate.sent,
            fate.in_a_row
        );
        all.push(f64::from(fate.lost));
    }
    Ok(all)
}

fn about_node(rig: &Rig, verb: &str, node: Place, text: &str) -> Result<()> {
    let node = node.to_string();
    rig.cluster
        .kubectl_output(&[verb, "node", &node, text])
        .map(drop)
}

/// What means that a node's addresses are to leave it.
const DRAIN: &str = "metallb.io/drain";
