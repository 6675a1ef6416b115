//! The shell around [`Membership`]: a UDP socket, the clock, and the file of the key.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metallb_kit::shutdown::CancellationToken;
use metallb_l2::NodeState;
use metallb_membership::{Input, Key, Membership, Output, Presence, STATE_MAX};
use metallb_netio::Alarm;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::{Observed, Told};
use crate::index::{Member, Members};
use crate::metrics::HeartbeatMetrics;

/// What it works with.
pub(super) struct Shell {
    pub(super) membership: Membership,
    pub(super) socket: std::net::UdpSocket,
    pub(super) secret: Option<PathBuf>,
    pub(super) metrics: HeartbeatMetrics,
    pub(super) observer: mpsc::UnboundedSender<Observed>,
    /// The nodes that the log named last.
    pub(super) alive: BTreeSet<Arc<str>>,
}

impl Shell {
    /// Runs until the leave has been said.
    pub(super) async fn run(mut self, told: Told, leave: CancellationToken) -> io::Result<()> {
        self.socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(self.socket.try_clone()?)?;
        // All speakers use one port.
        let port = socket.local_addr()?.port();
        let Told {
            mut speakers,
            mut state,
            mut ready,
        } = told;
        let mut buf = vec![0; 2048];
        let mut leaving = false;
        let mut look = tokio::time::interval(LOOK);
        let mut alarm = Alarm::new()?;
        while !self.membership.has_left() {
            self.do_what_it_wants(&socket);
            tokio::select! {
                // What is due is done, however much comes in.
                biased;
                due = alarm.until(self.membership.poll_timeout()) => {
                    due?;
                    // What has come in already counts, though.
                    for _ in 0..BATCH {
                        let Ok((len, from)) = socket.try_recv_from(&mut buf) else { break };
                        self.input(Input::Datagram { from, bytes: &buf[..len] });
                    }
                    self.membership.handle_timeout(Instant::now());
                    self.metrics.dropped(self.membership.dropped());
                }
                () = leave.cancelled(), if !leaving => {
                    leaving = true;
                    self.input(Input::Leave);
                }
                received = socket.recv_from(&mut buf) => match received {
                    Ok((len, from)) => self.input(Input::Datagram { from, bytes: &buf[..len] }),
                    // An ICMP error about a datagram sent before: that speaker is not there.
                    Err(error) => tracing::debug!(op = "heartbeat", %error, "not delivered"),
                },
                Ok(()) = speakers.changed() => {
                    let peers = speakers.borrow_and_update().iter()
                        .map(|(node, ip)| (node.clone(), SocketAddr::new(*ip, port)))
                        .collect();
                    self.input(Input::Peers(peers));
                }
                Ok(()) = state.changed() => {
                    let state = state.borrow_and_update().encode(STATE_MAX);
                    self.input(Input::State(state.into()));
                }
                Ok(()) = ready.changed() => {
                    if *ready.borrow_and_update() {
                        self.input(Input::Ready);
                    }
                }
                _ = look.tick() => self.look_for_another_key(),
            }
        }
        self.do_what_it_wants(&socket);
        Ok(())
    }

    fn input(&mut self, input: Input<'_>) {
        self.membership.handle_input(Instant::now(), input);
    }

    fn do_what_it_wants(&mut self, socket: &UdpSocket) {
        // The brain, which observes, is gone only when the process ends.
        while let Some(output) = self.membership.poll_output() {
            match output {
                // A heartbeat that cannot go out now is as good as lost; the next one comes soon.
                Output::Send { to, bytes } => drop(socket.try_send_to(&bytes, to)),
                Output::Members(members) => self.tell_of(&members),
            }
        }
    }

    fn tell_of(&mut self, members: &metallb_membership::Members) {
        let stay = members
            .iter()
            .filter(|(_, it)| it.presence != Presence::Leaving);
        let alive: BTreeSet<_> = stay.map(|(node, _)| node.clone()).collect();
        if self.alive != alive {
            tracing::info!(
                op = "memberlist",
                event = "membersChanged",
                members = alive
                    .iter()
                    .map(|node| &**node)
                    .collect::<Vec<_>>()
                    .join(","),
                "speakers that are alive"
            );
            self.alive = alive;
        }
        let _ = self.observer.send(Observed::Members(understood(members)));
    }

    fn look_for_another_key(&mut self) {
        let Some(secret) = &self.secret else { return };
        match std::fs::read(secret) {
            Ok(secret) => self.input(Input::Key(Key::derive(&secret))),
            // While the kubelet changes it; the key that is known goes on.
            Err(error) => tracing::debug!(op = "heartbeat", %error, "cannot read the secret"),
        }
    }
}

/// The members, as far as we understand what they say of themselves.
pub(crate) fn understood(members: &metallb_membership::Members) -> Members {
    let member = |member: &metallb_membership::Member| Member {
        presence: member.presence,
        state: NodeState::decode(&member.state),
    };
    let members = members.iter();
    members
        .map(|(node, it)| ((&**node).into(), member(it)))
        .collect()
}

/// How often the secret is looked at. A kubelet takes a minute or two to show another one.
const LOOK: Duration = Duration::from_secs(10);

/// How much that has come in is taken in before what is due is done.
const BATCH: usize = 64;
