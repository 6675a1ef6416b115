//! A client that uses an address while something happens to those who announce it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::probe::OwnerWatch;
use crate::{Cluster, Place};

/// What a client noticed.
#[derive(Debug)]
pub struct Used {
    /// How often somebody answered for the address.
    pub answers: usize,
    /// The longest time between two answers.
    pub longest: Duration,
    /// How often the page came.
    pub whole: usize,
    /// How many connections were made and then cut off. One that is made at the moment of a move
    /// may be: the node where its next packet arrives knows nothing of it.
    pub cut_off: usize,
}

impl Cluster {
    /// Asks from the client who has an address, and fetches the page there over new connections,
    /// while `happens` does. A connection that is not made is an error.
    pub fn use_while(
        &self,
        address: IpAddr,
        happens: impl FnOnce(&OwnerWatch) -> Result<()>,
    ) -> Result<Used> {
        let watch = self.watch_owner(address)?;
        watch.settled(SOON)?;
        let started = Instant::now();
        let over = AtomicBool::new(false);
        let (whole, cut_off) = thread::scope(|scope| {
            let client = scope.spawn(|| fetch(self, address, &over));
            let happened = happens(&watch);
            over.store(true, Ordering::Relaxed);
            happened?;
            client
                .join()
                .unwrap_or_else(|_| Err(anyhow!("a client panicked")))
        })?;
        let sightings = watch.sightings();
        let during = sightings.iter().filter(|it| it.at >= started);
        let times: Vec<_> = during.map(|it| it.at).collect();
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        Ok(Used {
            answers: times.len(),
            longest: gaps.max().context("nobody answered")?,
            whole,
            cut_off,
        })
    }
}

impl Used {
    /// Somebody always answered, and no connection was cut off but for `moves` of the address.
    pub fn without_a_gap(&self, moves: usize) -> Result<()> {
        let Self {
            answers,
            longest,
            whole,
            cut_off,
        } = self;
        println!(
            "  {answers} answers, {longest:.0?} between two at most; the page came {whole} times, \
             {cut_off} connections were cut off"
        );
        ensure!(*longest < GAP, "nobody answered for {longest:.0?}");
        ensure!(*whole > 0, "the page never came");
        ensure!(*cut_off <= moves, "{cut_off} connections were cut off");
        Ok(())
    }
}

/// How often the page came over new connections until it was over, and a connection was cut off.
fn fetch(cluster: &Cluster, address: IpAddr, over: &AtomicBool) -> Result<(usize, usize)> {
    let url = format!("http://{address}/");
    let command = ["curl", "--silent", "--show-error", "--max-time", "2", &url];
    let (mut whole, mut cut_off) = (0, 0);
    while !over.load(Ordering::Relaxed) {
        let output = cluster.exec(Place::Client, &command).output()?;
        match output.status.code() {
            Some(0) => whole += 1,
            Some(CURL_RECV_ERROR) => cut_off += 1,
            _ => bail!(
                "after {whole} times: {}",
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
    Ok((whole, cut_off))
}

const SOON: Duration = Duration::from_secs(15);
/// The longest time without an answer: a client asks every 25 ms, and has to be scheduled.
const GAP: Duration = Duration::from_millis(250);
/// curl's word for a connection that was reset while it was read from.
const CURL_RECV_ERROR: i32 = 56;
