//! What must hold of who owns an address.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Looks at the owners of all addresses, in each segment, again and again.
#[derive(Debug)]
pub(super) struct Judge {
    /// When something broke, or was mended, that nobody could know of before.
    broke: Instant,
    /// When the network did so last.
    network_broke: Option<Instant>,
    /// Until when addresses may go without an answer because of it.
    unanswered_until: Instant,
    bounds: Bounds,
    /// Since when more than one owns an address, by address and segment.
    two_since: BTreeMap<(usize, usize), Instant>,
}

/// What one sees of an address in one segment.
#[derive(Debug)]
pub(super) struct View {
    /// Those who take themselves for its owner.
    pub(super) owners: Vec<usize>,
    /// Somebody answers for it, or nobody has to.
    pub(super) is_answered: bool,
}

/// For how long what is not so is borne.
#[derive(Debug)]
struct Bounds {
    /// After a death an address may go without an answer: it is noticed, told, and believed by then.
    unanswered: Duration,
    /// After a partition, in which those who watch a node may all be on the other side: then the
    /// next ones have to notice first that those are gone, and so on around the ring.
    unanswered_divided: Duration,
    /// After a fault two who can hear each other may own an address.
    two: Duration,
    /// And at any time, while word of a planned move is on its way.
    two_in_a_move: Duration,
}

impl Judge {
    pub(super) fn new(now: Instant, loss_percent: u64) -> Self {
        Self {
            broke: now,
            network_broke: None,
            unanswered_until: now,
            bounds: if loss_percent > 1 { LOSSY } else { GOOD },
            two_since: BTreeMap::new(),
        }
    }

    /// A node is gone, or back.
    pub(super) fn node_broke(&mut self, now: Instant) {
        self.broke = now;
        let until = now + self.bounds.unanswered;
        self.unanswered_until = self.unanswered_until.max(until);
    }

    /// Others hear each other than before.
    pub(super) fn network_broke(&mut self, now: Instant) {
        self.broke = now;
        let flaps = self.network_broke.is_some_and(|at| now < at + FLAP);
        self.network_broke = Some(now);
        let until = now + self.bounds.unanswered_divided;
        // Who was heard on the wire and then no more is waited for as long as that.
        let until = if flaps { until + PATIENCE } else { until };
        self.unanswered_until = self.unanswered_until.max(until);
    }

    /// What does not hold now, of each address and segment.
    pub(super) fn look(&mut self, now: Instant, views: &[Vec<View>]) -> Option<String> {
        let since = now - self.broke;
        for (address, segments) in views.iter().enumerate() {
            for (segment, view) in segments.iter().enumerate() {
                let View {
                    owners,
                    is_answered,
                } = view;
                if !is_answered && now > self.unanswered_until {
                    return Some(format!("nobody answers for {address}, {since:?} after"));
                }
                if owners.len() < 2 {
                    self.two_since.remove(&(address, segment));
                    continue;
                }
                let began = *self.two_since.entry((address, segment)).or_insert(now);
                if since > self.bounds.two && now - began > self.bounds.two_in_a_move {
                    return Some(format!("{owners:?} own {address}, {since:?} after"));
                }
            }
        }
        None
    }
}

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A network that changes again so soon has not told everybody that it changed before.
const FLAP: Duration = ms(1000);
/// That of a node for another that it hears on the wire alone.
const PATIENCE: Duration = ms(2000);
const GOOD: Bounds = Bounds {
    unanswered: ms(500),
    unanswered_divided: ms(1300),
    two: ms(500),
    two_in_a_move: ms(100),
};
/// Where one of twenty datagrams is lost.
const LOSSY: Bounds = Bounds {
    unanswered: ms(800),
    unanswered_divided: ms(1600),
    two: ms(1000),
    two_in_a_move: ms(300),
};
