//! Who speaks with routers: the protocol thread, or an FRR-K8s that somebody else runs.

use std::collections::BTreeMap;

use metallb_bgp::rib::Routes;
use metallb_kit::watch::ObjectKey;
use tokio::sync::mpsc;

use super::frr_k8s::{self, FrrPeers};
use super::{Backend, BgpCommand, PeerSetup, peers};
use crate::decide::Own;
use crate::index::Index;

/// The way to it, and what it was told of routers.
#[derive(Debug)]
pub(crate) struct Engine {
    way: Way,
    /// The routers that it speaks with, in order.
    peers: Vec<String>,
}

#[derive(Debug)]
enum Way {
    /// To the protocol thread, with the defaults of this backend.
    BuiltIn(Backend, Line<BTreeMap<String, PeerSetup>>),
    /// To FRR-K8s, by way of the task that writes its object.
    FrrK8s(Line<FrrPeers>),
}

#[derive(Debug)]
struct Line<P> {
    commands: mpsc::UnboundedSender<BgpCommand<P>>,
    /// What was said last.
    told: Option<P>,
}

impl Engine {
    /// The protocol thread.
    pub(crate) fn built_in(backend: Backend, commands: mpsc::UnboundedSender<BgpCommand>) -> Self {
        Self::of(Way::BuiltIn(backend, Line::new(commands)))
    }

    /// An FRR-K8s.
    pub(crate) fn frr_k8s(commands: mpsc::UnboundedSender<BgpCommand<FrrPeers>>) -> Self {
        Self::of(Way::FrrK8s(Line::new(commands)))
    }

    fn of(way: Way) -> Self {
        let peers = Vec::new();
        Self { way, peers }
    }

    /// Tells it which routers there are, when they are others than before; and returns why some of
    /// them are none.
    pub(super) fn follow(&mut self, index: &Index, own: &Own) -> BTreeMap<String, String> {
        let (names, problems): (Vec<_>, _) = match &mut self.way {
            Way::BuiltIn(backend, line) => {
                let (setups, problems) = peers(index, own, *backend);
                let names = setups.keys().cloned().collect();
                line.say(setups);
                (names, problems)
            }
            Way::FrrK8s(line) => {
                let (peers, problems) = frr_k8s::peers(index, own);
                let names = peers.names().cloned().collect();
                line.say(peers);
                (names, problems)
            }
        };
        self.peers = names;
        problems
    }

    /// The routers that it speaks with, in order.
    pub(super) fn peers(&self) -> &[String] {
        &self.peers
    }

    /// How the protocol thread speaks with a router, if it does.
    pub(super) fn setup(&self, peer: &str) -> Option<&PeerSetup> {
        match &self.way {
            Way::BuiltIn(_, line) => line.told.as_ref()?.get(peer),
            Way::FrrK8s(_) => None,
        }
    }

    /// These are the routes of a Service, instead of those before.
    pub(super) fn contribute(&self, key: &ObjectKey, routes: Routes) {
        match &self.way {
            Way::BuiltIn(_, line) => line.send(BgpCommand::Contribute(key.clone(), routes)),
            Way::FrrK8s(line) => line.send(BgpCommand::Contribute(key.clone(), routes)),
        }
    }

    /// Routers are to prefer other nodes, or not any more.
    pub(super) fn shut_down_gracefully(&self, goes: bool) {
        match &self.way {
            Way::BuiltIn(_, line) => line.send(BgpCommand::GracefulShutdown(goes)),
            Way::FrrK8s(line) => line.send(BgpCommand::GracefulShutdown(goes)),
        }
    }
}

impl<P: Clone + PartialEq> Line<P> {
    fn new(commands: mpsc::UnboundedSender<BgpCommand<P>>) -> Self {
        Self {
            commands,
            told: None,
        }
    }

    fn say(&mut self, peers: P) {
        if self.told.as_ref() != Some(&peers) {
            self.told = Some(peers.clone());
            self.send(BgpCommand::Peers(peers));
        }
    }

    fn send(&self, command: BgpCommand<P>) {
        // Who listens is gone only when the process ends.
        let _ = self.commands.send(command);
    }
}
