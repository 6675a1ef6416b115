//! When to tell the segment, unasked, where an address is.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The schedule of gratuitous ARP and unsolicited Neighbor Advertisements of one node.
///
/// On start an address is announced at once, three more times within half a second for those who
/// missed it, then at upstream's pace to five seconds, and from then on about once a minute, with
/// jitter so that nodes and addresses spread out. Many addresses at once are paced, so that a
/// takeover of thousands does not overrun anybody's queue. A shell that was late does not catch up:
/// each gap counts from the announcement before it.
///
/// Four verbs: feed [`Announcer::handle_input`], call [`Announcer::handle_timeout`] at
/// [`Announcer::poll_timeout`], and after either drain [`Announcer::poll_output`].
#[derive(Debug)]
pub struct Announcer {
    addresses: HashMap<IpAddr, Next>,
    /// The same times as in `addresses`, earliest first.
    due: BTreeSet<(Instant, IpAddr)>,
    outputs: VecDeque<Output>,
    /// The batch that is being filled may take this many more.
    room: usize,
    /// When the next batch may start.
    next_batch: Option<Instant>,
    random: u64,
}

/// What happened to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// This node owns the address now. Nothing if it did already.
    Start(IpAddr),
    /// Tell of the address again from the beginning, as when an interface came up. Nothing if the
    /// address was not started.
    Again(IpAddr),
    /// This node no longer owns the address; not one more announcement goes out.
    Stop(IpAddr),
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send [`Responder::announcements`](crate::Responder::announcements) for the address on each
    /// interface that announces it.
    Announce {
        /// The address to tell of.
        ip: IpAddr,
    },
}

#[derive(Clone, Copy, Debug)]
struct Next {
    at: Instant,
    /// How many announcements of the burst are behind us.
    sent: usize,
}

impl Announcer {
    /// An announcer of nothing. `seed` varies the jitter; give each node its own.
    pub fn new(seed: u64) -> Self {
        Self {
            addresses: HashMap::new(),
            due: BTreeSet::new(),
            outputs: VecDeque::new(),
            room: BATCH,
            next_batch: None,
            random: seed,
        }
    }

    /// Takes in a change. `now` must not go backwards between calls.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Start(ip) if self.addresses.contains_key(&ip) => {}
            Input::Start(ip) => self.schedule(ip, Next { at: now, sent: 0 }),
            Input::Again(ip) => {
                if self.forget(ip) {
                    self.schedule(ip, Next { at: now, sent: 0 });
                }
            }
            Input::Stop(ip) => {
                self.forget(ip);
                self.outputs
                    .retain(|Output::Announce { ip: queued }| *queued != ip);
            }
        }
        self.handle_timeout(now);
    }

    /// Queues what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next_batch.is_none_or(|at| at <= now) {
            self.room = BATCH;
            self.next_batch = None;
        }
        while self.room > 0 {
            let Some(&(at, ip)) = self.due.first() else {
                return;
            };
            let sent = self.addresses.get(&ip).map_or(0, |next| next.sent);
            let slack = if sent > BURST_GAPS.len() {
                TOGETHER
            } else {
                Duration::ZERO
            };
            if at > now + slack {
                return;
            }
            self.due.remove(&(at, ip));
            self.outputs.push_back(Output::Announce { ip });
            self.next_batch.get_or_insert(now + BATCH_GAP);
            self.room -= 1;
            let gap = BURST_GAPS
                .get(sent)
                .copied()
                .unwrap_or_else(|| self.refresh_gap());
            self.schedule(
                ip,
                Next {
                    at: now + gap,
                    sent: sent + 1,
                },
            );
        }
    }

    /// The next thing to do, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Announcer::handle_timeout`] next; it moves with every input. None while
    /// nothing is announced.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (due, _) = *self.due.first()?;
        if self.room > 0 {
            Some(due)
        } else {
            self.next_batch.map(|at| at.max(due))
        }
    }

    fn schedule(&mut self, ip: IpAddr, next: Next) {
        self.addresses.insert(ip, next);
        self.due.insert((next.at, ip));
    }

    fn forget(&mut self, ip: IpAddr) -> bool {
        let next = self.addresses.remove(&ip);
        next.is_some_and(|next| self.due.remove(&(next.at, ip)))
    }

    /// A minute, up to ten seconds more or less.
    fn refresh_gap(&mut self) -> Duration {
        Duration::from_millis(REFRESH_MIN_MS + self.draw() % REFRESH_SPREAD_MS)
    }

    /// `SplitMix64`: enough to spread timers, and the same in every run with the same seed.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Gaps of the burst: announcements at 0, 0.1, 0.2, 0.5, 1.1, 2.2, 3.3 and 4.4 s. From the second
/// second on it is upstream's pace.
const BURST_GAPS: [Duration; 7] = [
    Duration::from_millis(100),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_millis(1100),
    Duration::from_millis(1100),
    Duration::from_millis(1100),
];
const REFRESH_MIN_MS: u64 = 50_000;
const REFRESH_SPREAD_MS: u64 = 20_001;
/// A node with thousands of addresses wakes once for all refreshes of a second, and so do those who
/// hear them.
const TOGETHER: Duration = Duration::from_secs(1);
/// At most so many announcements go out together: each is up to two frames on each interface, and
/// the kernel of a station drops what is more than 1,000 frames behind.
const BATCH: usize = 256;
const BATCH_GAP: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// A node, its clock, and what it said when.
    struct Node {
        announcer: Announcer,
        start: Instant,
        now: Instant,
        said: Vec<(Duration, IpAddr)>,
    }

    impl Node {
        fn new(seed: u64) -> Self {
            let now = Instant::now();
            Self {
                announcer: Announcer::new(seed),
                start: now,
                now,
                said: Vec::new(),
            }
        }

        fn tell(&mut self, input: Input) {
            self.announcer.handle_input(self.now, input);
            self.listen();
        }

        /// Lets time pass, each timeout on its dot.
        fn run(&mut self, time: Duration) {
            let end = self.now + time;
            while let Some(at) = self.announcer.poll_timeout().filter(|at| *at <= end) {
                self.wake(at);
            }
            self.now = end;
        }

        fn wake(&mut self, at: Instant) {
            assert!(at >= self.now, "a timeout in the past would spin");
            self.now = at;
            self.announcer.handle_timeout(at);
            self.listen();
        }

        fn listen(&mut self) {
            while let Some(Output::Announce { ip }) = self.announcer.poll_output() {
                self.said.push((self.now - self.start, ip));
            }
        }

        fn times(&self, ip: IpAddr) -> Vec<u128> {
            self.said
                .iter()
                .filter(|(_, said)| *said == ip)
                .map(|(at, _)| at.as_millis())
                .collect()
        }
    }

    fn ip(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(0xc000_0200 + n).into()
    }

    #[test]
    fn rfc_4861_a_burst_at_once_then_about_once_a_minute() {
        let mut node = Node::new(7);
        node.tell(Input::Start(ip(1)));
        assert_eq!(
            node.times(ip(1)),
            [0],
            "at once, without waiting for a timeout"
        );
        node.run(Duration::from_secs(5));
        assert_eq!(
            node.times(ip(1)),
            [0, 100, 200, 500, 1100, 2200, 3300, 4400]
        );
        node.run(Duration::from_hours(1));
        let times = node.times(ip(1));
        let gaps: Vec<_> = times[7..]
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .collect();
        assert!(
            gaps.len() > 50 && gaps.iter().all(|gap| (49_000..=70_000).contains(gap)),
            "{gaps:?}"
        );
        assert!(
            gaps.iter().any(|gap| *gap != gaps[0]),
            "refreshes have jitter"
        );
    }

    #[test]
    fn it_ends_at_once() {
        let mut node = Node::new(1);
        node.tell(Input::Start(ip(1)));
        node.tell(Input::Start(ip(2)));
        node.run(Duration::from_millis(300));
        node.tell(Input::Stop(ip(1)));
        node.said.clear();
        node.run(Duration::from_mins(5));
        assert_eq!(node.times(ip(1)), [0; 0]);
        assert!(!node.times(ip(2)).is_empty(), "the other one goes on");
        node.tell(Input::Stop(ip(2)));
        assert_eq!(node.announcer.poll_timeout(), None);
    }

    #[test]
    fn a_stop_takes_back_what_is_queued() {
        let mut announcer = Announcer::new(1);
        let now = Instant::now();
        announcer.handle_input(now, Input::Start(ip(1)));
        announcer.handle_input(now, Input::Stop(ip(1)));
        assert_eq!(announcer.poll_output(), None);
    }

    #[test]
    fn start_again_does_nothing_and_again_starts_over() {
        let mut node = Node::new(1);
        node.tell(Input::Again(ip(1)));
        assert_eq!(node.said, [], "what was never started is not told");
        node.tell(Input::Start(ip(1)));
        node.run(Duration::from_secs(10));
        node.said.clear();
        node.tell(Input::Start(ip(1)));
        node.run(Duration::from_secs(1));
        assert_eq!(node.said, []);
        node.tell(Input::Again(ip(1)));
        node.run(Duration::from_secs(5));
        assert_eq!(node.said.len(), 8);
    }

    #[test]
    fn a_takeover_of_thousands_is_paced() {
        let mut node = Node::new(1);
        for n in 0..2000 {
            node.tell(Input::Start(ip(n)));
        }
        node.run(Duration::from_millis(99));
        let mut by_tick = std::collections::BTreeMap::<_, usize>::new();
        for (at, _) in &node.said {
            *by_tick.entry(*at).or_default() += 1;
        }
        assert!(by_tick.values().all(|count| *count <= BATCH), "{by_tick:?}");
        assert!(
            by_tick
                .keys()
                .zip(by_tick.keys().skip(1))
                .all(|(a, b)| *b >= *a + BATCH_GAP)
        );
        node.run(Duration::from_secs(1));
        for n in 0..2000 {
            assert!(
                !node.times(ip(n)).is_empty(),
                "{n} is told within a second or so"
            );
        }
    }

    #[test]
    fn refreshes_of_one_second_go_out_together() {
        let mut node = Node::new(1);
        for n in 0..1000 {
            node.tell(Input::Start(ip(n)));
        }
        node.run(Duration::from_mins(2));
        node.said.clear();
        node.run(Duration::from_mins(10));
        let wakes: BTreeSet<_> = node.said.iter().map(|(at, _)| *at).collect();
        assert!(node.said.len() > 9000, "{}", node.said.len());
        assert!(wakes.len() <= 600, "{} wakes in 600 s", wakes.len());
    }

    #[test]
    fn a_late_shell_stretches_the_burst() {
        let mut node = Node::new(1);
        node.tell(Input::Start(ip(1)));
        node.wake(node.now + Duration::from_secs(3));
        assert_eq!(
            node.times(ip(1)),
            [0, 3000],
            "what was missed is not made up for"
        );
        assert_eq!(
            node.announcer.poll_timeout(),
            Some(node.now + Duration::from_millis(100))
        );
    }

    #[test]
    fn the_same_seed_says_the_same() {
        let [one, same, other] = [1, 1, 2].map(|seed| {
            let mut node = Node::new(seed);
            node.tell(Input::Start(ip(1)));
            node.run(Duration::from_mins(10));
            node.said
        });
        assert_eq!(one, same);
        assert_ne!(one, other);
    }
}
