//! Who answers for an address on the segment: asked as the client asks, by ARP and NDP.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use crate::faults::cards;
use crate::{Cluster, Place, eventually};

/// Who answered, and by which hardware address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// In lower case with colons.
    pub mac: String,
    /// Which place has this hardware address; none for a stranger.
    pub place: Option<Place>,
}

/// One answer to a repeated question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// When it came.
    pub at: Instant,
    /// Who it was.
    pub answer: Answer,
}

impl Cluster {
    /// Asks once from the client who has `ip`; none when nobody answers within 0.3 s. An answer
    /// from a hardware address that nothing in the cluster has is an error.
    pub fn who_answers(&self, ip: IpAddr) -> Result<Option<Place>> {
        let stranger = |mac| anyhow!("{ip} is answered for by {mac}, which no place has");
        let answer = self.answer(ip)?;
        answer
            .map(|Answer { mac, place }| place.ok_or_else(|| stranger(mac)))
            .transpose()
    }

    /// Like [`Cluster::who_answers`], with the hardware address.
    pub fn answer(&self, ip: IpAddr) -> Result<Option<Answer>> {
        let output = self
            .exec(
                Place::Client,
                &question(ip, self.client_device(ip), PATIENCE),
            )
            .output()?;
        let macs = self.macs()?;
        Ok(parse(&String::from_utf8_lossy(&output.stdout)).map(|mac| named(&macs, mac)))
    }

    /// Asks again and again, about 40 times a second, until the watch is dropped. Start it before
    /// the fault.
    pub fn watch_owner(&self, ip: IpAddr) -> Result<OwnerWatch> {
        OwnerWatch::start(self, ip)
    }

    /// The hardware addresses of all cards.
    pub fn macs(&self) -> Result<BTreeMap<String, Place>> {
        let mut macs = BTreeMap::new();
        for place in self
            .places()
            .into_iter()
            .filter(|place| *place != Place::Fabric)
        {
            for link in cards(&self.netns(place))? {
                let mac = link["address"]
                    .as_str()
                    .context("a card without hardware address")?;
                macs.insert(mac.to_lowercase(), place);
            }
        }
        Ok(macs)
    }

    /// The client's card on the network that `ip` is of.
    fn client_device(&self, ip: IpAddr) -> &'static str {
        let lan = Place::Client.service_lan_address();
        let on_service_lan = match ip {
            IpAddr::V4(ip) => ip.octets()[..3] == lan.v4.octets()[..3],
            IpAddr::V6(ip) => ip.octets()[..8] == lan.v6.octets()[..8],
        };
        if self.options().nics > 1 && on_service_lan {
            "eth1"
        } else {
            "eth0"
        }
    }
}

/// A question that is asked over and over, with every answer kept.
#[derive(Debug)]
pub struct OwnerWatch {
    ip: IpAddr,
    sightings: Arc<Mutex<Vec<Sighting>>>,
    ended: Arc<AtomicBool>,
    arping: Option<Child>,
    thread: Option<JoinHandle<()>>,
}

impl OwnerWatch {
    /// Every answer so far, oldest first.
    pub fn sightings(&self) -> Vec<Sighting> {
        // A thread that panicked has pushed whole sightings or none.
        self.sightings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for the first answer after `since` that is not from `old`.
    pub fn next_owner(&self, old: Place, since: Instant, timeout: Duration) -> Result<Sighting> {
        eventually(
            &format!("another node than {old} answering for {}", self.ip),
            timeout,
            || {
                let sightings = self.sightings();
                let new = |s: &&Sighting| s.at >= since && s.answer.place.is_some_and(|n| n != old);
                Ok(match sightings.iter().find(new) {
                    Some(sighting) => Ok(sighting.clone()),
                    None => Err(format!("{:?}", sightings.last())),
                })
            },
        )
    }

    /// Waits until one place alone answers, and has for half a second; gives that place.
    pub fn settled(&self, timeout: Duration) -> Result<Place> {
        eventually(
            &format!("one place alone answering for {}", self.ip),
            timeout,
            || {
                let sightings = self.sightings();
                let last: Vec<_> = sightings
                    .iter()
                    .rev()
                    .take(SETTLED)
                    .map(|s| s.answer.place)
                    .collect();
                let alone = last
                    .iter()
                    .all(|place| *place == last[0])
                    .then(|| last.first())
                    .flatten();
                Ok(match alone {
                    Some(Some(place)) if last.len() == SETTLED => Ok(*place),
                    _ => Err(format!("{last:?}")),
                })
            },
        )
    }

    /// Waits until this place alone answers.
    pub fn settled_at(&self, place: Place, timeout: Duration) -> Result<()> {
        eventually(&format!("{place} alone answers"), timeout, || {
            let now = self.settled(timeout)?;
            Ok(if now == place {
                Ok(())
            } else {
                Err(format!("{now} answers"))
            })
        })
    }

    fn start(cluster: &Cluster, ip: IpAddr) -> Result<Self> {
        let macs = cluster.macs()?;
        let device = cluster.client_device(ip);
        let sightings = Arc::new(Mutex::new(Vec::new()));
        let seen = sightings.clone();
        let see = move |line: &str| {
            if let Some(mac) = parse(line) {
                let sighting = Sighting {
                    at: Instant::now(),
                    answer: named(&macs, mac),
                };
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(sighting);
            }
        };
        let ended = Arc::new(AtomicBool::new(false));
        let mut watch = Self {
            ip,
            sightings,
            ended,
            arping: None,
            thread: None,
        };
        if ip.is_ipv4() {
            // One process asks by itself and prints each answer as it comes.
            let interval = INTERVAL.as_secs_f32().to_string();
            let ask = [
                "arping",
                "-r",
                "-i",
                device,
                "-W",
                &interval,
                &ip.to_string(),
            ];
            let mut arping = cluster
                .exec(Place::Client, &ask)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .context("cannot run arping")?;
            let lines = BufReader::new(arping.stdout.take().context("arping has no output")?);
            watch.arping = Some(arping);
            watch.thread = Some(std::thread::spawn(move || {
                lines
                    .lines()
                    .map_while(Result::ok)
                    .for_each(|line| see(&line));
            }));
        } else {
            let (cluster, ended) = (cluster.clone(), watch.ended.clone());
            watch.thread = Some(std::thread::spawn(move || {
                let ask = question(ip, device, INTERVAL);
                while !ended.load(Ordering::Relaxed) {
                    let next = Instant::now() + INTERVAL;
                    if let Ok(output) = cluster.exec(Place::Client, &ask).output() {
                        see(&String::from_utf8_lossy(&output.stdout));
                    }
                    // The pace of asking, not a wait for something.
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            }));
        }
        Ok(watch)
    }
}

impl Drop for OwnerWatch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(arping) = &mut self.arping {
            // Both fail only when it has ended already.
            let _ = arping.kill();
            let _ = arping.wait();
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The command that asks once, prints the hardware address that answers, and waits no longer than
/// `patience` for it.
fn question(ip: IpAddr, device: &str, patience: Duration) -> Vec<String> {
    let command = if ip.is_ipv4() {
        let seconds = patience.as_secs_f32();
        format!("arping -r -C 1 -w {seconds} -i {device} {ip}")
    } else {
        let milliseconds = patience.as_millis();
        format!("ndisc6 -1 -q -r 1 -w {milliseconds} {ip} {device}")
    };
    command.split(' ').map(str::to_owned).collect()
}

/// The hardware address in what arping or ndisc6 printed.
fn parse(text: &str) -> Option<String> {
    let is_mac = |word: &&str| word.split(':').count() == 6;
    text.split_ascii_whitespace()
        .find(is_mac)
        .map(str::to_lowercase)
}

fn named(macs: &BTreeMap<String, Place>, mac: String) -> Answer {
    Answer {
        place: macs.get(&mac).copied(),
        mac,
    }
}

/// For one answer.
const PATIENCE: Duration = Duration::from_millis(300);
/// Between two questions.
const INTERVAL: Duration = Duration::from_millis(25);

/// So many answers in a row from one place are half a second without another.
const SETTLED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tools_are_understood() {
        let expected = Some("ca:32:a4:76:ab:8a".to_owned());
        assert_eq!(parse("ca:32:a4:76:ab:8a\n"), expected);
        assert_eq!(parse("CA:32:A4:76:AB:8A\n"), expected);
        assert_eq!(parse(""), None);
        assert_eq!(parse("2001:db8::11 is unreachable"), None);
    }
}
