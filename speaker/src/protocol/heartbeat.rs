//! The shell around [`Membership`]: a UDP socket and the clock.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use metallb_kit::shutdown::CancellationToken;
use metallb_kit::sleep;
use metallb_membership::{Input, Membership, Output};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};

use super::Observed;
use crate::metrics::HeartbeatMetrics;

/// Runs until the leave has been said.
pub(super) async fn run(
    mut membership: Membership,
    socket: std::net::UdpSocket,
    metrics: HeartbeatMetrics,
    mut speakers: watch::Receiver<BTreeMap<String, IpAddr>>,
    observer: mpsc::UnboundedSender<Observed>,
    leave: CancellationToken,
) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket)?;
    // All speakers use one port.
    let port = socket.local_addr()?.port();
    let mut buf = vec![0; 2048];
    let mut leaving = false;
    while !membership.has_left() {
        while let Some(output) = membership.poll_output() {
            match output {
                // A heartbeat that cannot go out now is as good as lost; the next one comes soon.
                Output::Send { to, bytes } => drop(socket.try_send_to(&bytes, to)),
                Output::Alive(alive) => {
                    tracing::info!(
                        op = "memberlist", event = "membersChanged", members = ?alive,
                        "speakers that are alive"
                    );
                    // The brain is gone only when the process ends.
                    let _ = observer.send(Observed::Alive(alive));
                }
            }
        }
        let timeout = membership.poll_timeout();
        tokio::select! {
            biased;
            received = socket.recv_from(&mut buf) => match received {
                Ok((len, from)) => {
                    let input = Input::Datagram { from, bytes: &buf[..len] };
                    membership.handle_input(Instant::now(), input);
                }
                // An ICMP error about a datagram sent before: that speaker is not there.
                Err(error) => tracing::debug!(op = "heartbeat", %error, "not delivered"),
            },
            () = sleep::until(timeout) => {
                membership.handle_timeout(Instant::now());
                metrics.dropped(membership.dropped());
            }
            () = leave.cancelled(), if !leaving => {
                leaving = true;
                membership.handle_input(Instant::now(), Input::Leave);
            }
            Ok(()) = speakers.changed() => {
                let peers = speakers.borrow_and_update().iter()
                    .map(|(node, ip)| (node.clone(), SocketAddr::new(*ip, port)))
                    .collect();
                membership.handle_input(Instant::now(), Input::Peers(peers));
            }
        }
    }
    while let Some(Output::Send { to, bytes }) = membership.poll_output() {
        let _ = socket.try_send_to(&bytes, to);
    }
    Ok(())
}
