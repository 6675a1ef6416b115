//! Every address that any Service ever had, as a watch tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, ensure};
use metallb_tests::Kubectl;
use serde_json::Value;

use super::crowd::addresses;
use crate::world::Installed;

/// A watch of all Services that writes down what it sees, until it is dropped.
pub(super) struct Ledger {
    seen: Arc<Mutex<Seen>>,
    running: Arc<Running>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Running {
    ended: AtomicBool,
    child: Mutex<Option<Child>>,
}

#[derive(Default)]
struct Seen {
    /// Each change of a Service's addresses, by the Service's name.
    history: BTreeMap<String, Vec<BTreeSet<IpAddr>>>,
    /// Who holds each address now.
    holders: BTreeMap<IpAddr, BTreeSet<String>>,
    /// Addresses that two held at one moment, and who.
    doubles: BTreeMap<IpAddr, BTreeSet<String>>,
}

impl Ledger {
    /// Starts watching. What exists is told first.
    pub(super) fn start(world: &Installed) -> Result<Self> {
        let (seen, running) = (Arc::<Mutex<Seen>>::default(), Arc::<Running>::default());
        let kubectl = world.kubectl.clone();
        let thread = {
            let (seen, running) = (seen.clone(), running.clone());
            std::thread::spawn(move || {
                // A watch that is cut begins anew and tells again what there is.
                while !running.ended.load(Ordering::SeqCst) {
                    if let Err(error) = watch(&kubectl, &running, &seen) {
                        println!("  the ledger's watch: {error:#}");
                    }
                }
            })
        };
        let ledger = Self {
            seen,
            running,
            thread: Some(thread),
        };
        metallb_tests::eventually("the ledger is open", crate::world::SOON, || {
            let known = !lock(&ledger.seen).history.is_empty();
            Ok(if known {
                Ok(())
            } else {
                Err("no Service seen")
            })
        })?;
        Ok(ledger)
    }

    /// How many Services whose name begins with `prefix` have an address now.
    pub(super) fn assigned(&self, prefix: &str) -> usize {
        let seen = lock(&self.seen);
        let of = seen
            .history
            .iter()
            .filter(|(name, _)| name.starts_with(prefix));
        of.filter(|(_, all)| all.last().is_some_and(|now| !now.is_empty()))
            .count()
    }

    /// Waits until so many Services of the crowd of a pool have an address.
    pub(super) fn all_assigned(&self, pool: &str, count: usize) -> Result<()> {
        let what = format!("{count} Services of {pool} have an address");
        metallb_tests::eventually(&what, crate::world::SOON * 8, || {
            let assigned = self.assigned(&format!("{pool}-"));
            Ok(if assigned == count {
                Ok(())
            } else {
                Err(format!("{assigned} have one"))
            })
        })
    }

    /// What these Services have now.
    pub(super) fn now(&self, prefix: &str) -> BTreeMap<String, BTreeSet<IpAddr>> {
        let seen = lock(&self.seen);
        let of = seen
            .history
            .iter()
            .filter(|(name, _)| name.starts_with(prefix));
        of.filter_map(|(name, all)| Some((name.clone(), all.last()?.clone())))
            .collect()
    }

    /// Refuses if one of these Services ever had two different addresses, or lost one, or if two
    /// Services ever had the same at once.
    pub(super) fn nothing_moved(&self, prefix: &str) -> Result<()> {
        self.nothing_moved_but_shared(prefix, &[])
    }

    /// The same where several Services may have these addresses at once.
    pub(super) fn nothing_moved_but_shared(&self, prefix: &str, shared: &[IpAddr]) -> Result<()> {
        for (name, all) in &lock(&self.seen).history {
            let addresses: Vec<_> = all.iter().skip_while(|now| now.is_empty()).collect();
            ensure!(
                !name.starts_with(prefix) || addresses.len() <= 1,
                "{name} had one after the other: {addresses:?}"
            );
        }
        self.nothing_double(shared)
    }

    /// Refuses if two Services ever had an address at once that is not one of `shared`.
    pub(super) fn nothing_double(&self, shared: &[IpAddr]) -> Result<()> {
        for (address, holders) in &lock(&self.seen).doubles {
            ensure!(shared.contains(address), "{address} at once: {holders:?}");
        }
        Ok(())
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.running.ended.store(true, Ordering::SeqCst);
        if let Some(child) = &mut *lock(&self.running.child) {
            // It may have ended already.
            let _ = child.kill();
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(kubectl: &Kubectl, running: &Running, seen: &Mutex<Seen>) -> Result<()> {
    let mut child = kubectl
        .command(&[
            "get",
            "--raw",
            "/api/v1/namespaces/default/services?watch=true",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    *lock(&running.child) = Some(child);
    for line in lines {
        let Ok(line) = line else { break };
        let event: Value = serde_json::from_str(&line).context("an event is no JSON")?;
        lock(seen).take(&event);
    }
    if let Some(mut child) = lock(&running.child).take() {
        let _ = child.kill();
        let _ = child.wait();
    }
    Ok(())
}

impl Seen {
    fn take(&mut self, event: &Value) {
        let object = &event["object"];
        let Some(name) = object["metadata"]["name"].as_str() else {
            return;
        };
        let addresses = match event["type"].as_str() {
            Some("DELETED") => BTreeSet::new(),
            _ => addresses(object),
        };
        let history = self.history.entry(name.to_owned()).or_default();
        if event["type"] == "DELETED" {
            // A Service of that name which comes later is another one.
            history.clear();
        } else if history.last() != Some(&addresses) {
            history.push(addresses.clone());
        }
        for (address, holders) in &mut self.holders {
            if !addresses.contains(address) {
                holders.remove(name);
            }
        }
        for address in addresses {
            let holders = self.holders.entry(address).or_default();
            holders.insert(name.to_owned());
            if holders.len() > 1 {
                self.doubles.insert(address, holders.clone());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
