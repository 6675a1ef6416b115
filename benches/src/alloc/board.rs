//! What a watch has shown of all Services, for whoever waits for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use kube::{Api, Client, ResourceExt as _};
use metallb_benches::service::Service;
use metallb_kit::watch::{Change, watch};
use tokio::sync::watch;

/// The Services by name, kept up by a task.
#[derive(Debug, Clone)]
pub(crate) struct Board(watch::Receiver<Seen>);

/// What is known at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    synced: bool,
    services: Arc<std::sync::Mutex<HashMap<Box<str>, Slot>>>,
    /// How many there are.
    pub(crate) services_count: usize,
    /// How many of them have an address.
    pub(crate) assigned: usize,
    /// When the last one got its own.
    pub(crate) last: Option<Instant>,
    /// How often an address became another one.
    pub(crate) moved: usize,
}

/// One Service.
#[derive(Debug, Clone, PartialEq)]
struct Slot {
    address: Option<Box<str>>,
    since: Instant,
}

impl Board {
    /// Starts watching one namespace's Services; all that exist are known when it returns.
    pub(crate) async fn start(client: Client, namespace: &str) -> Result<Self> {
        let (tell, seen) = watch::channel(Seen::default());
        let mut changes = watch::<Service>(Api::namespaced(client, namespace));
        tokio::spawn(async move {
            while let Some(change) = changes.next().await {
                tell.send_modify(|seen| seen.take(&change));
            }
        });
        let board = Self(seen);
        board
            .until("all Services are known", Duration::from_mins(1), |seen| {
                seen.synced.then_some(())
            })
            .await?;
        Ok(board)
    }

    /// Waits until `look` finds what it wants.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut look: impl FnMut(&Seen) -> Option<T>,
    ) -> Result<T> {
        let mut seen = self.0.clone();
        let mut found = None;
        let waited = tokio::time::timeout(
            timeout,
            seen.wait_for(|seen| {
                found = look(seen);
                found.is_some()
            }),
        )
        .await;
        let Ok(changed) = waited else {
            let seen = self.now();
            bail!(
                "{what}: not within {timeout:?}; {} of {} Services have an address",
                seen.assigned,
                seen.services_count
            );
        };
        changed.context("the watch has ended")?;
        found.context("it was just found")
    }

    /// Waits until a Service has an address; when that was seen, and which.
    pub(crate) async fn assigned(
        &self,
        name: &str,
        timeout: Duration,
    ) -> Result<(Instant, String)> {
        self.until(&format!("{name} has an address"), timeout, |seen| {
            let (address, since) = seen.address(name)?;
            Some((since, address))
        })
        .await
    }

    /// What is known now.
    pub(crate) fn now(&self) -> Seen {
        self.0.borrow().clone()
    }

    /// Every Service that there is.
    pub(crate) fn names(&self) -> Vec<String> {
        let seen = self.0.borrow();
        let services = seen.lock();
        services.keys().map(ToString::to_string).collect()
    }

    /// Every Service that has an address, with it.
    pub(crate) fn addresses(&self) -> HashMap<Box<str>, Box<str>> {
        let seen = self.0.borrow();
        let services = seen.lock();
        services
            .iter()
            .filter_map(|(name, slot)| Some((name.clone(), slot.address.clone()?)))
            .collect()
    }
}

impl Seen {
    /// The address of a Service and since when it has been seen there.
    pub(crate) fn address(&self, name: &str) -> Option<(String, Instant)> {
        let services = self.lock();
        let slot = services.get(name)?;
        Some((slot.address.as_deref()?.to_owned(), slot.since))
    }

    /// A Service that got its address after `since` and is wanted, with the moment.
    pub(crate) fn served_since(
        &self,
        since: Instant,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<(Instant, String)> {
        let services = self.lock();
        services
            .iter()
            .find(|(name, slot)| slot.address.is_some() && slot.since >= since && wanted(name))
            .map(|(name, slot)| (slot.since, name.to_string()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Slot>> {
        self.services
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn take(&mut self, change: &Change<Service>) {
        let services = self.services.clone();
        let mut services = services
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match change {
            Change::Listing => {}
            Change::Synced => self.synced = true,
            Change::Delete(key) => {
                if let Some(gone) = services.remove(key.name()) {
                    self.assigned -= usize::from(gone.address.is_some());
                }
            }
            Change::Apply(service) => {
                let now = Slot {
                    address: service.address().map(Into::into),
                    since: Instant::now(),
                };
                let name = service.name_any().into_boxed_str();
                let before = services.get(&name);
                let had = before.and_then(|slot| slot.address.clone());
                if before.is_some() && had == now.address {
                    return;
                }
                if had.is_some() {
                    self.moved += 1;
                    self.assigned -= 1;
                }
                if now.address.is_some() {
                    self.assigned += 1;
                    self.last = Some(now.since);
                }
                services.insert(name, now);
            }
        }
        self.services_count = services.len();
    }
}
