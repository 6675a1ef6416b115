//! Shows how sessions are: as metrics, as a page, and in objects.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use metallb_bfd as bfd;
use metallb_crds::v1beta1::BGPSessionState;
use tokio::sync::{mpsc, watch};

use super::Shell;
use crate::bgp::sessions_page::sessions;
use crate::bgp::{BgpMetrics, News, Seen, said};
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

/// When what is shown is to follow what has happened. It costs what there is, not what has changed:
/// it is done for much at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Due(Option<Instant>);

impl Due {
    /// Something is so by now that people wait for.
    pub(super) fn soon(&mut self, now: Instant) {
        self.at(now + SOON);
    }

    /// Messages were counted.
    pub(super) fn later(&mut self, now: Instant) {
        self.at(now + LATER);
    }

    fn at(&mut self, at: Instant) {
        self.0 = Some(self.0.map_or(at, |before| before.min(at)));
    }

    pub(super) fn poll_timeout(self) -> Option<Instant> {
        self.0
    }

    fn take(&mut self, now: Instant) -> bool {
        self.0.take_if(|at| *at <= now).is_some()
    }
}

impl Shell {
    /// Shows what is due to be shown.
    pub(super) fn show(&mut self, now: Instant) {
        if self.due.take(now) {
            self.speaker.compact();
            self.show_all(now);
        } else if self.states.poll_timeout().is_some_and(|at| at <= now) {
            let news = self.states.due(now);
            self.tell_states(news);
        }
    }

    fn show_all(&mut self, now: Instant) {
        let peers = &self.peers;
        let metrics = &mut self.outlet.metrics;
        metrics.show(&self.speaker, &self.bfd, |name| peers.get(name));
        let page = sessions(&self.speaker, &self.bfd, |name| peers.get(name));
        self.outlet.page.send_replace(page);
        let seen = self.seen();
        let news = self.states.take(now, Timestamp::now(), seen);
        self.tell_states(news);
    }

    fn tell_states(&self, news: Vec<News>) {
        for (subject, said) in news {
            self.outlet.objects.tell(&subject, said);
        }
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

/// How soon it is shown how a session is.
const SOON: Duration = Duration::from_millis(500);
/// How soon it is shown how many messages there were: sooner than anybody asks for it twice.
const LATER: Duration = Duration::from_secs(5);
