//! Others who say on the wire that they have an address that is announced here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use metallb_l2::elect::{self, Candidate};
use metallb_l2::{MacAddr, Rival};
use metallb_membership::Presence;

use super::Members;

/// Who has been heard, and who is who.
///
/// A node that announces an address counts as a candidate for it while it is heard, also if it is
/// not known to be alive: so the worse one of two yields. Where both are sure for long that they are
/// the better one, they know different things, and the order of their hashes alone decides.
/// Strangers are told of, and not fought with.
#[derive(Debug, Default)]
pub(crate) struct Rivals {
    /// Whose cards they are: of all nodes that ever said so.
    cards: HashMap<MacAddr, Box<str>>,
    nodes: BTreeMap<(IpAddr, Box<str>), Node>,
    strangers: BTreeMap<Rival, Stranger>,
}

/// A node that announces one of our addresses.
#[derive(Debug)]
struct Node {
    /// Since when it is heard without a long pause, and until when it was.
    first: Instant,
    last: Instant,
    /// How long it counts after it was heard last; longer each time it is heard again after that.
    patience: Duration,
    /// While it counts.
    until: Option<Instant>,
}

#[derive(Debug)]
struct Stranger {
    first: Instant,
    last: Instant,
    told: bool,
    defended: Option<Instant>,
}

/// What follows from what was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is we ourselves, on another card, or one that is about to stop.
    Nothing,
    /// A node announces it; who is to have it has to be decided anew.
    Node,
    /// A station that is no node of ours has it.
    Stranger {
        /// True once, when that has been so for a while.
        lasts: bool,
        /// The address is to be announced again, so that others know where it is.
        defend: bool,
    },
}

impl Rivals {
    /// These are the nodes that are known to be there, with their cards. What was heard of them
    /// before counts no more: should they die now, they are dead.
    pub(super) fn learn(&mut self, members: &Members) {
        self.nodes
            .retain(|(_, node), _| !members.contains_key(node));
        for (node, member) in members {
            for port in member.state.iter().flat_map(|state| &state.interfaces) {
                self.cards.insert(port.mac, node.clone());
            }
        }
    }

    /// Another station says that it has an address of ours, or one that we ask for before we use it
    /// (`probes`). `presence` is that of each node, nothing if it seems dead.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        own: &str,
        rival: Rival,
        probes: bool,
        presence: impl Fn(&str) -> Option<Presence>,
    ) -> Heard {
        let Some(name) = self.cards.get(&rival.mac) else {
            return self.hear_stranger(now, rival, probes);
        };
        let presence = presence(name);
        if **name == *own || presence == Some(Presence::Leaving) {
            return Heard::Nothing;
        }
        let new = Node {
            first: now,
            last: now,
            patience: PATIENCE / 2,
            until: None,
        };
        let node = self.nodes.entry((rival.ip, name.clone())).or_insert(new);
        if now > node.last + PATIENCE {
            node.first = now;
        }
        node.last = now;
        // Of two that know of each other, one is about to hear why it is not the better one.
        if presence.is_none() || node.is_sure() {
            if node.until.is_none() {
                node.patience = (node.patience * 2).min(MOST_PATIENCE);
            }
            node.until = Some(now + node.patience);
        }
        Heard::Node
    }

    fn hear_stranger(&mut self, now: Instant, rival: Rival, probes: bool) -> Heard {
        if self.strangers.len() >= STRANGERS && !self.strangers.contains_key(&rival) {
            self.strangers.retain(|_, it| now < it.last + FORGOTTEN);
            if self.strangers.len() >= STRANGERS {
                // Whoever invents so many is told of by the first.
                return Heard::Stranger {
                    lasts: false,
                    defend: false,
                };
            }
        }
        let new = Stranger {
            first: now,
            last: now,
            told: false,
            defended: None,
        };
        let stranger = self.strangers.entry(rival).or_insert(new);
        if now >= stranger.last + FORGOTTEN {
            (stranger.first, stranger.told) = (now, false);
        }
        stranger.last = now;
        // What we do not have yet cannot be a frame that was late.
        let lasts = !stranger.told && (probes || now >= stranger.first + LASTS);
        stranger.told |= lasts;
        // RFC 5227 section 2.4(c): not more often, or two that defend never end.
        let defend = !probes
            && stranger
                .defended
                .is_none_or(|at| now >= at + DEFEND_INTERVAL);
        if defend {
            stranger.defended = Some(now);
        }
        Heard::Stranger { lasts, defend }
    }

    /// The strangers that were told of, and not quiet for long since.
    pub(crate) fn strangers(&self) -> impl Iterator<Item = Rival> {
        let told = self.strangers.iter().filter(|(_, it)| it.told);
        told.map(|(rival, _)| *rival)
    }

    /// Nobody has the address any more: it was asked for in vain.
    pub(crate) fn is_free(&mut self, ip: IpAddr) {
        self.strangers.retain(|rival, _| rival.ip != ip);
    }

    /// Whether a node announces one of these addresses.
    pub(crate) fn announces(&self, node: &str, ips: &[IpAddr]) -> bool {
        let counts = |ip: &IpAddr| {
            let known = self.nodes.get(&(*ip, node.into()));
            known.is_some_and(|it| it.until.is_some())
        };
        !self.nodes.is_empty() && ips.iter().any(counts)
    }

    /// Whether another node that is sure to be the better one has one of these addresses rather than
    /// `own`.
    pub(crate) fn outrank(&self, own: &str, ips: &[IpAddr]) -> bool {
        let sure = self
            .nodes
            .iter()
            .filter(|(_, it)| it.until.is_some() && it.is_sure());
        let mut sure = sure.filter(|((ip, _), _)| ips.contains(ip));
        sure.any(|((ip, name), _)| {
            let both = [own, name].map(Candidate::new);
            elect::owner(both, *ip).is_some_and(|owner| owner.node == &**name)
        })
    }

    /// The addresses of those who have not been heard for long enough, and count no more.
    pub(super) fn expire(&mut self, now: Instant) -> BTreeSet<IpAddr> {
        let mut due = BTreeSet::new();
        for ((ip, _), node) in &mut self.nodes {
            if node.until.is_some_and(|until| until <= now) {
                node.until = None;
                due.insert(*ip);
            }
        }
        self.nodes
            .retain(|_, it| it.until.is_some() || now < it.last + FORGOTTEN);
        self.strangers
            .retain(|_, it| !it.told || now < it.last + FORGOTTEN);
        due
    }

    /// When [`expire`](Self::expire) is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let nodes = self.nodes.values().filter_map(|it| it.until);
        let told = self.strangers.values().filter(|it| it.told);
        nodes.chain(told.map(|it| it.last + FORGOTTEN)).min()
    }
}

impl Node {
    /// It has announced the address for so long that nothing is on its way any more that would
    /// tell it better.
    fn is_sure(&self) -> bool {
        self.last >= self.first + SURE
    }
}

/// How long a node counts that was heard for the first time: longer than the pauses between the
/// announcements with which it begins.
const PATIENCE: Duration = Duration::from_secs(2);
/// And at most, when it is heard again and again: those who never agree then meet seldom.
const MOST_PATIENCE: Duration = Duration::from_mins(1);
/// Longer than any planned move takes.
const SURE: Duration = Duration::from_secs(3);
/// After so long without a word everything begins anew.
const FORGOTTEN: Duration = Duration::from_mins(5);
/// A stranger that is heard for so long is no frame that was late.
const LASTS: Duration = Duration::from_secs(5);
/// RFC 5227 section 1.1.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// So many are remembered.
const STRANGERS: usize = 1024;

#[cfg(test)]
mod tests {
    use metallb_l2::{NodeState, Port};

    use super::*;
    use crate::index::Member;

    #[expect(clippy::unnecessary_wraps, reason = "others seem dead")]
    fn alive(_: &str) -> Option<Presence> {
        Some(Presence::Ready)
    }

    const CARD: MacAddr = MacAddr(2, 0, 0, 0, 0, 0x0c);

    fn rivals() -> Rivals {
        let mut rivals = Rivals::default();
        let port = Port {
            name: "eth0".to_owned(),
            mac: CARD,
            running: true,
            broadcast: true,
            link_local: None,
        };
        let interfaces = vec![port];
        let member = Member {
            presence: Presence::Ready,
            state: Some(NodeState { interfaces }),
        };
        rivals.learn(&[("c".into(), member)].into());
        rivals
    }

    fn rival(mac: MacAddr) -> Rival {
        let ip = IpAddr::from([192, 0, 2, 1]);
        Rival { ip, mac }
    }

    #[test]
    fn a_node_that_seems_dead_counts_while_it_is_heard_and_longer_each_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (mut rivals, ips) = (rivals(), [rival(CARD).ip]);
        let dead = |_: &str| None;
        let own = rivals.hear(at(0), "c", rival(CARD), false, dead);
        assert_eq!(own, Heard::Nothing);
        let leaving = |_: &str| Some(Presence::Leaving);
        let gone = rivals.hear(at(0), "a", rival(CARD), false, leaving);
        assert_eq!(gone, Heard::Nothing, "a frame that was on its way");
        assert!(!rivals.announces("c", &ips));
        let mut now = 0;
        for patience in [2, 4, 8, 16, 32, 60, 60] {
            // Another word within that time is no reason to be more patient.
            for _ in 0..2 {
                let heard = rivals.hear(at(now), "a", rival(CARD), false, dead);
                assert_eq!(heard, Heard::Node);
            }
            assert!(rivals.announces("c", &ips) && !rivals.announces("b", &ips));
            assert_eq!(rivals.poll_timeout(), Some(at(now + patience)));
            assert!(rivals.expire(at(now + patience - 1)).is_empty());
            assert_eq!(rivals.expire(at(now + patience)), BTreeSet::from(ips));
            assert!(!rivals.announces("c", &ips));
            now += patience + 1;
        }
        // When it has been quiet for long, it begins anew.
        rivals.expire(at(now + 600));
        rivals.hear(at(now + 600), "a", rival(CARD), false, dead);
        assert_eq!(rivals.poll_timeout(), Some(at(now + 602)));
    }

    #[test]
    fn a_node_that_is_known_again_and_dies_then_does_not_count() {
        let (now, mut rivals) = (Instant::now(), rivals());
        rivals.hear(now, "a", rival(CARD), false, |_| None);
        assert!(rivals.announces("c", &[rival(CARD).ip]));
        let member = Member {
            presence: Presence::Ready,
            state: None,
        };
        rivals.learn(&[("c".into(), member)].into());
        assert!(!rivals.announces("c", &[rival(CARD).ip]));
        assert_eq!(rivals.poll_timeout(), None);
    }

    #[test]
    fn of_two_that_stay_sure_the_order_of_hashes_decides() {
        // For 192.0.2.1 the order is c, a, b.
        let (start, ips) = (Instant::now(), [rival(CARD).ip]);
        let at = |ms| start + Duration::from_millis(ms);
        for (own, yields) in [("a", true), ("b", true), ("d", false)] {
            let mut rivals = rivals();
            for ms in (0..3000).step_by(500) {
                rivals.hear(at(ms), own, rival(CARD), false, alive);
                assert!(
                    !rivals.outrank(own, &ips),
                    "{own} after {ms} ms: it may be a move"
                );
            }
            rivals.hear(at(3000), own, rival(CARD), false, alive);
            let order = elect::order(["c", own].map(Candidate::new), ips[0]);
            assert_eq!(rivals.outrank(own, &ips), order[0] == "c", "{own}");
            assert!(!yields || rivals.outrank(own, &ips), "{own}");
            rivals.expire(at(10_000));
            assert!(!rivals.outrank(own, &ips));
        }
    }

    #[test]
    fn rfc_5227_a_stranger_is_told_of_once_and_answered_every_ten_seconds() {
        let start = Instant::now();
        let (mut rivals, stranger) = (rivals(), rival(MacAddr(2, 0, 0, 0, 0, 0x66)));
        for (seconds, lasts, defend) in [
            (0, false, true),
            (4, false, false),
            (5, true, false),
            (10, false, true),
            (100, false, true),
            // It was gone for a while.
            (500, false, true),
            (505, true, false),
        ] {
            let now = start + Duration::from_secs(seconds);
            let heard = rivals.hear(now, "a", stranger, false, alive);
            assert_eq!(heard, Heard::Stranger { lasts, defend }, "{seconds} s");
        }
        assert!(!rivals.announces("", &[stranger.ip]) && !rivals.outrank("a", &[stranger.ip]));
    }

    #[test]
    fn rfc_5227_a_stranger_with_an_address_that_is_asked_for_is_told_of_at_once() {
        let start = Instant::now();
        let (mut rivals, stranger) = (rivals(), rival(MacAddr(2, 0, 0, 0, 0, 0x66)));
        let heard = rivals.hear(start, "a", stranger, true, alive);
        let (lasts, defend) = (true, false);
        assert_eq!(heard, Heard::Stranger { lasts, defend });
        assert_eq!(rivals.strangers().collect::<Vec<_>>(), [stranger]);
        let later = start + Duration::from_secs(10);
        let heard = rivals.hear(later, "a", stranger, true, alive);
        assert!(matches!(heard, Heard::Stranger { lasts: false, .. }));
        rivals.is_free(stranger.ip);
        assert_eq!(rivals.strangers().count(), 0);
        // One that has been quiet for long is told of no more.
        rivals.hear(later, "a", stranger, true, alive);
        assert_eq!(rivals.poll_timeout(), Some(later + FORGOTTEN));
        rivals.expire(later + FORGOTTEN);
        assert_eq!(rivals.strangers().count(), 0);
    }

    #[test]
    fn whoever_invents_stations_is_told_of_and_takes_no_memory() {
        let (now, mut rivals) = (Instant::now(), rivals());
        for n in 0..10_000_u16 {
            let [a, b] = n.to_be_bytes();
            rivals.hear(now, "a", rival(MacAddr(2, 0, 0, 1, a, b)), false, alive);
        }
        assert_eq!(rivals.strangers.len(), STRANGERS);
        let first = rival(MacAddr(2, 0, 0, 1, 0, 0));
        let heard = rivals.hear(now + LASTS, "a", first, false, alive);
        assert!(matches!(heard, Heard::Stranger { lasts: true, .. }));
    }
}
