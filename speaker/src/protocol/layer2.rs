//! Which port answers for which address, and when it says so unasked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use metallb_kit::ready::Condition;
use metallb_kit::sleep;
use metallb_l2::{Announcer, Interfaces, NodeState, announce};
use metallb_netio::{Interface, LinkWatch};
use tokio::sync::{mpsc, watch};

use super::port::Port;
use super::running::Running;
use super::{HANDOVER, Observed};
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
    announcer: Announcer,
    wanted: BTreeMap<IpAddr, Interfaces>,
    /// Those of them that another node takes over, and how long they are still answered for.
    yielded: BTreeMap<IpAddr, Instant>,
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
            announcer: Announcer::new(seed),
            wanted: BTreeMap::new(),
            yielded: BTreeMap::new(),
            running: Running::default(),
            ports: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            retry: None,
        }
    }

    /// Runs until the brain is gone.
    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let (mut links, mut reopen): (Option<LinkWatch>, _) = (None, Instant::now());
        loop {
            while let Some(announce::Output::Announce { ip }) = self.announcer.poll_output() {
                self.ports.values().for_each(|port| port.tell(ip));
            }
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
                command = commands.recv() => match command {
                    Some(command) => self.command(Instant::now(), command),
                    None => return,
                },
                () = sleep::until(self.announcer.poll_timeout()) => {
                    self.announcer.handle_timeout(Instant::now());
                }
                () = sleep::until(self.retry) => self.update(Instant::now()),
                () = sleep::until(self.running.poll_timeout()) => self.say(Instant::now()),
                () = sleep::until(self.yielded.values().min().copied()) => {
                    self.end_yielded(Instant::now());
                }
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

    fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Announce(ip, interfaces) => {
                self.wanted.insert(ip, interfaces);
                self.yielded.remove(&ip);
                self.place(now, ip);
                self.announcer.handle_input(now, announce::Input::Start(ip));
            }
            Command::Withdraw(ip) => self.withdraw(now, ip),
            Command::Again(ip) => self.announcer.handle_input(now, announce::Input::Again(ip)),
            Command::Yield(ip) => {
                self.announcer.handle_input(now, announce::Input::Stop(ip));
                self.yielded.insert(ip, now + HANDOVER);
            }
        }
    }

    fn withdraw(&mut self, now: Instant, ip: IpAddr) {
        self.announcer.handle_input(now, announce::Input::Stop(ip));
        self.wanted.remove(&ip);
        self.yielded.remove(&ip);
        self.ports.values_mut().for_each(|port| port.withdraw(ip));
    }

    /// Withdraws what another node must have taken over by now.
    fn end_yielded(&mut self, now: Instant) {
        let due = self.yielded.iter().filter(|(_, until)| **until <= now);
        let due: Vec<_> = due.map(|(ip, _)| *ip).collect();
        for ip in due {
            self.withdraw(now, ip);
        }
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
        let wanted: Vec<_> = self.wanted.keys().copied().collect();
        for ip in wanted {
            self.place(now, ip);
            if fresh && !self.yielded.contains_key(&ip) {
                self.announcer.handle_input(now, announce::Input::Again(ip));
            }
        }
        self.ready.set(self.retry.is_none());
    }

    /// Lets exactly the wanted ports answer for `ip`.
    fn place(&mut self, now: Instant, ip: IpAddr) {
        let Some(interfaces) = self.wanted.get(&ip) else {
            return;
        };
        let (mut failed, mut added) = (None, false);
        for port in self.ports.values_mut() {
            if !interfaces.contains(port.name()) {
                port.withdraw(ip);
                continue;
            }
            match port.announce(ip) {
                Ok(new) => added |= new,
                Err(error) => failed = Some((port.name().to_owned(), error)),
            }
        }
        if let Some((name, error)) = failed {
            self.failed(now, &name, &error);
            self.ready.set(false);
        }
        if added {
            // Nothing if it is not announced yet; else the new port has to be told of.
            self.announcer.handle_input(now, announce::Input::Again(ip));
        }
    }

    fn failed(&mut self, now: Instant, interface: &str, error: &std::io::Error) {
        tracing::error!(
            op = "layer2", interface, %error,
            "interface cannot be opened, trying again; the speaker needs the capability NET_RAW"
        );
        self.retry = Some(now + RETRY);
    }
}

/// The pause before what failed is tried again.
const RETRY: Duration = Duration::from_secs(5);
