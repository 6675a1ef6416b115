//! `cargo xtask demo --failover`: who answers for the address, seen while a cable is cut.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use metallb_tests::probe::OwnerWatch;
use metallb_tests::{Cluster, Place};

/// Cuts the cable of the node that announces, and plugs it in again; draws who answers meanwhile.
pub(super) fn show(cluster: &Cluster, address: IpAddr) -> Result<()> {
    let watch = cluster.watch_owner(address)?;
    let owner = watch.settled(PATIENCE)?;
    println!(
        "\n{owner} announces {address}. Each sign is {} ms: the number of the node that answers \
         the client,\nor a dot when nobody does.\n",
        SIGN.as_millis()
    );
    let mut picture = Picture::new(&watch);
    picture.draw("as it is", LOOK)?;
    let cut = Instant::now();
    cluster.cut(owner)?;
    picture.draw(&format!("{owner}'s cable is cut"), LOOK)?;
    let answer = watch.next_owner(owner, cut, PATIENCE)?;
    let next = answer.answer.place.context("it is a node's")?;
    cluster.heal(owner)?;
    picture.draw("and plugged in", 2 * LOOK)?;
    println!(
        "\n{next} answered {:.0} ms after the cable of {owner} was cut.",
        (answer.at - cut).as_secs_f64() * 1e3
    );
    Ok(())
}

/// A line for each time that is looked at.
struct Picture<'a> {
    watch: &'a OwnerWatch,
    /// Up to when everything is drawn.
    drawn: Instant,
}

impl<'a> Picture<'a> {
    fn new(watch: &'a OwnerWatch) -> Self {
        let drawn = Instant::now();
        Self { watch, drawn }
    }

    /// Draws what happens for this long, while it happens.
    fn draw(&mut self, what: &str, time: Duration) -> Result<()> {
        let mut out = std::io::stdout();
        write!(out, "    {what:<20} ")?;
        let end = self.drawn + time;
        while self.drawn < end {
            let next = self.drawn + SIGN;
            // An answer takes a moment to be printed and read. This is the pace of the picture.
            std::thread::sleep((next + LATE).saturating_duration_since(Instant::now()));
            let sightings = self.watch.sightings();
            let within = |at: Instant| at >= self.drawn && at < next;
            let last = sightings.iter().rev().find(|it| within(it.at));
            let sign = match last.map(|it| it.answer.place) {
                None => '.',
                Some(Some(Place::Node(number))) => {
                    char::from_digit(number.into(), 36).unwrap_or('#')
                }
                Some(_) => '?',
            };
            write!(out, "{sign}")?;
            out.flush()?;
            self.drawn = next;
        }
        writeln!(out)?;
        Ok(())
    }
}

/// A client asks every 25 ms; some answers come a little late.
const SIGN: Duration = Duration::from_millis(30);
const LATE: Duration = Duration::from_millis(60);
/// How long each line is.
const LOOK: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(15);
