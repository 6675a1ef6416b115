//! Which port answers for which address, and when it says so unasked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use metallb_kit::ready::Condition;
use metallb_kit::sleep;
use metallb_l2::NodeState;
use metallb_netio::{Interface, LinkWatch};
use tokio::sync::{mpsc, watch};

use super::Observed;
use super::held::{self, Held};
use super::port::Port;
use super::running::Running;
use crate::addresses::Command;
use crate::exclude::Exclude;
use crate::metrics::Layer2Metrics;

/// All ports of the node, and what they announce.
#[derive(Debug)]
pub(super) struct Layer2 {
    exclude: Exclude,
    metrics: Layer2Metrics,
    ready: Condition,
    outlet: Outlet,
    held: Held,
    ports: BTreeMap<u32, Port>,
    /// What the kernel told last.
    interfaces: BTreeMap<u32, Interface>,
    /// Since when frames get through on each of them.
    running: Running,
    /// Something could not be opened and will be tried again then.
    retry: Option<Instant>,
}

/// Where it is told what the interfaces are.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) observer: mpsc::UnboundedSender<Observed>,
    pub(super) state: watch::Sender<NodeState>,
}

impl Layer2 {
    pub(super) fn new(
        exclude: Exclude,
        seed: u64,
        metrics: Layer2Metrics,
        ready: Condition,
        outlet: Outlet,
    ) -> Self {
        Self {
            exclude,
            metrics,
            ready,
            outlet,
            held: Held::new(seed),
            running: Running::default(),
            ports: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            retry: None,
        }
    }

    /// Runs until the brain is gone.
    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let (mut links, mut reopen): (Option<LinkWatch>, _) = (None, Instant::now());
        let mut batch = Vec::new();
        loop {
            self.do_what_is_due();
            let changed = async {
                if links.is_none() {
                    sleep::until(Some(reopen)).await;
                    links = Some(LinkWatch::open()?);
                }
                links
                    .as_mut()
                    .expect("it was opened above")
                    .changed()
                    .await
                    .cloned()
            };
            tokio::select! {
                biased;
                count = commands.recv_many(&mut batch, COMMANDS) => {
                    if count == 0 {
                        return;
                    }
                    for command in batch.drain(..) {
                        self.held.handle_input(Instant::now(), command);
                    }
                }
                () = sleep::until(self.held.poll_timeout()) => {
                    self.held.handle_timeout(Instant::now());
                }
                () = sleep::until(self.retry) => self.update(Instant::now()),
                () = sleep::until(self.running.poll_timeout()) => self.say(Instant::now()),
                changed = changed => match changed {
                    Ok(interfaces) => {
                        self.interfaces = interfaces;
                        self.update(Instant::now());
                    }
                    Err(error) => {
                        tracing::error!(op = "layer2", %error, "interfaces are not watched, trying again");
                        self.ready.set(false);
                        links = None;
                        reopen = Instant::now() + RETRY;
                    }
                },
            }
        }
    }

    fn do_what_is_due(&mut self) {
        let mut told = Vec::new();
        while let Some(output) = self.held.poll_output() {
            match output {
                held::Output::Place(ip) | held::Output::Listen(ip) => {
                    self.place(Instant::now(), ip);
                }
                held::Output::Ask(ip) => self.ports.values().for_each(|port| port.ask(ip)),
                held::Output::Begin(ip) => {
                    // The brain is gone only when the process ends.
                    let _ = self.outlet.observer.send(Observed::Begun(ip));
                }
                held::Output::Tell(ip) => told.push(ip),
                held::Output::Withdraw(ip) => {
                    self.ports.values_mut().for_each(|port| port.withdraw(ip));
                }
            }
        }
        self.ports.values().for_each(|port| port.tell(&told));
    }

    /// Says which interfaces there are, to the brain and to all nodes.
    fn say(&mut self, now: Instant) {
        let listed = self.interfaces.values();
        let listed = listed.filter(|it| !self.exclude.excludes(&it.name));
        let names = listed.clone().map(|it| it.name.clone()).collect();
        // The brain is gone only when the process ends.
        let _ = self.outlet.observer.send(Observed::Interfaces(names));
        let ports: Vec<_> = listed
            .filter(|it| Port::usable(it))
            .filter_map(|it| {
                Some(metallb_l2::Port {
                    name: it.name.clone(),
                    mac: it.mac?.into(),
                    running: self.running.is_steady(now, it.index),
                    broadcast: it.broadcast,
                    link_local: it.link_local,
                })
            })
            .collect();
        self.outlet.state.send_if_modified(|state| {
            let changes = state.interfaces != ports;
            state.interfaces = ports;
            changes
        });
    }

    /// Brings the ports in line with the interfaces.
    fn update(&mut self, now: Instant) {
        self.running.update(now, self.interfaces.values());
        self.say(now);
        let listed: BTreeMap<u32, Interface> = self
            .interfaces
            .iter()
            .filter(|(_, interface)| !self.exclude.excludes(&interface.name))
            .map(|(index, interface)| (*index, interface.clone()))
            .collect();
        self.retry = None;
        self.ports.retain(|index, port| {
            let stays = listed
                .get(index)
                .is_some_and(|it| Port::usable(it) && port.fits(it));
            if !stays {
                tracing::info!(op = "layer2", interface = port.name(), "interface left");
            }
            stays
        });
        let mut fresh = false;
        for (index, interface) in listed.iter().filter(|(_, it)| Port::usable(it)) {
            if let Some(port) = self.ports.get_mut(index) {
                // A cable that was plugged in again may lead to a switch that knows nothing.
                fresh |= interface.running && !port.is_running();
                port.set_running(interface.running);
                continue;
            }
            match Port::open(
                interface,
                self.metrics.clone(),
                self.outlet.observer.clone(),
            ) {
                Ok(port) => {
                    tracing::info!(
                        op = "layer2",
                        interface = interface.name,
                        "interface announces"
                    );
                    self.ports.insert(*index, port);
                    fresh = true;
                }
                Err(error) => self.failed(now, &interface.name, &error),
            }
        }
        let held: Vec<_> = self.held.ips().collect();
        for ip in held {
            let added = self.place(now, ip);
            if added || fresh {
                // Nothing for those that another node takes over.
                self.held.handle_input(now, Command::Again(ip));
            }
        }
        self.ready.set(self.retry.is_none());
    }

    /// Lets exactly the wanted ports answer for `ip`, or hear who has it while it is probed for;
    /// true if one of them did not before.
    fn place(&mut self, now: Instant, ip: IpAddr) -> bool {
        let Some(interfaces) = self.held.interfaces(ip) else {
            return false;
        };
        let (mut failed, mut added) = (None, false);
        for port in self.ports.values_mut() {
            if !interfaces.contains(port.name()) {
                port.withdraw(ip);
                continue;
            }
            let placed = if self.held.is_probed(ip) {
                port.listen(ip)
            } else {
                port.announce(ip)
            };
            match placed {
                Ok(new) => added |= new,
                Err(error) => failed = Some((port.name().to_owned(), error)),
            }
        }
        if let Some((name, error)) = failed {
            self.failed(now, &name, &error);
            self.ready.set(false);
        }
        added
    }

    fn failed(&mut self, now: Instant, interface: &str, error: &std::io::Error) {
        tracing::error!(
            op = "layer2", interface, %error,
            "interface cannot be opened, trying again; the speaker needs the capability NET_RAW"
        );
        self.retry = Some(now + RETRY);
    }
}

/// How many commands are taken before they are acted on.
const COMMANDS: usize = 1024;
/// The pause before what failed is tried again.
const RETRY: Duration = Duration::from_secs(5);
