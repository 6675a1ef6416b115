//! Shows how sessions are: as metrics, as a page, and in objects.

use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use metallb_bfd as bfd;
use metallb_crds::v1beta1::BGPSessionState;
use tokio::sync::{mpsc, watch};

use super::Shell;
use crate::bgp::sessions_page::sessions;
use crate::bgp::{BgpMetrics, Seen, said};
use crate::protocol::Observed;
use crate::statuses::{SessionSubject, Statuses};

/// Where it shows what it sees.
#[derive(Debug)]
pub(in crate::protocol) struct Outlet {
    pub(in crate::protocol) metrics: BgpMetrics,
    pub(in crate::protocol) page: watch::Sender<String>,
    pub(in crate::protocol) objects: Statuses<BGPSessionState>,
    pub(in crate::protocol) observer: mpsc::UnboundedSender<Observed>,
}

impl Shell {
    pub(super) fn show(&mut self) {
        let peers = &self.peers;
        let metrics = &mut self.outlet.metrics;
        metrics.show(&self.speaker, &self.bfd, |name| peers.get(name));
        let page = sessions(&self.speaker, &self.bfd, |name| peers.get(name));
        self.outlet.page.send_replace(page);
        let seen = self.seen();
        let states = &mut self.states;
        for (subject, said) in states.take(Instant::now(), Timestamp::now(), seen) {
            self.outlet.objects.tell(&subject, said);
        }
        self.stale = states.waits();
    }

    fn seen(&self) -> Vec<Seen> {
        let sessions = self.speaker.sessions();
        let seen = sessions.filter_map(|(name, session)| {
            let peer = self.peers.get(name)?;
            let watched = peer.bfd().and_then(|(path, _)| self.bfd.session(&path));
            let watched = watched.map(bfd::Session::state);
            let said = said(session, peer, self.speaker.rib(), watched);
            let vrf = peer.setup.vrf.as_deref();
            let subject = SessionSubject::new(name, &peer.setup.address, vrf);
            Some((subject, session.since(), said))
        });
        seen.collect()
    }
}
