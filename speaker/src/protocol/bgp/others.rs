//! Connections that other programs of this node have with routers, as an FRR that is on its way
//! out.
//!
//! A router has one session with an address. Asked for a second one it refuses it, or it takes it
//! for a restart of the first (RFC 4724 section 5) and ends that: BIRD does wherever the other side
//! knows graceful restart, FRR where both have agreed on it. Two programs that both try would take
//! the session from each other again and again. So ours does not try while another has it, and does
//! as soon as it is gone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use metallb_netio::{Established, TcpOptions, source_towards};
use tokio::sync::Mutex;

use crate::bgp::Taken;

/// What was seen last in the kernel's tables, by port: mostly there is one. Whoever wants to know
/// more waits for whoever is looking, so that a hundred routers take no hundred threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Others(Rc<Mutex<BTreeMap<u16, Look>>>);

#[derive(Clone, Debug)]
struct Look {
    good_until: Instant,
    found: Rc<[Established]>,
}

impl Others {
    /// Whether another program has a connection with the router at `address` that has the same
    /// addresses as ours by these options would.
    pub(super) async fn have(&self, address: SocketAddr, options: &TcpOptions) -> Taken {
        let source = match (options.source, &options.device) {
            (None, None) => source_towards(address.ip()).ok(),
            // That of another routing table is not known.
            (source, _) => source,
        };
        let same = |it: &&Established| {
            it.remote.ip() == address.ip() && source.is_none_or(|ip| ip == it.local.ip())
        };
        let look = self.look(address.port()).await;
        let theirs = look.found.iter().find(same);
        theirs.map_or(Taken::No, |it| Taken::By(it.local))
    }

    /// Waits until no other program has one any more.
    pub(super) async fn end(&self, address: SocketAddr, options: &TcpOptions) {
        while self.have(address, options).await != Taken::No {
            let good_until = self.look(address.port()).await.good_until;
            tokio::time::sleep_until(good_until.into()).await;
        }
        // A router that is only just seeing the end refuses whoever comes next.
        tokio::time::sleep(AGAIN).await;
    }

    async fn look(&self, port: u16) -> Look {
        let mut looks = self.0.lock().await;
        let began = Instant::now();
        looks.retain(|_, it| began < it.good_until);
        if let Some(look) = looks.get(&port) {
            return look.clone();
        }
        let read = tokio::task::spawn_blocking(move || Established::of_others(port)).await;
        // Without such a table we are as blind as everybody else.
        let found = read.ok().and_then(Result::ok).unwrap_or_default();
        let look = Look {
            good_until: Instant::now() + AGAIN.max(began.elapsed() * SHARE),
            found: found.into(),
        };
        looks.insert(port, look.clone());
        look
    }
}

/// How soon the tables are looked at again.
const AGAIN: Duration = Duration::from_millis(100);
/// Where that takes long, it is done for no more than one of so many parts of the time.
const SHARE: u32 = 20;
