//! The addresses that this node answers for: from what the brain commands to what the ports do, and
//! when.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use metallb_l2::{Announcer, Interfaces, announce};

use crate::addresses::Command;

/// What is held, by the four verbs of a protocol core.
#[derive(Debug)]
pub(crate) struct Held {
    announcer: Announcer,
    wanted: BTreeMap<IpAddr, Interfaces>,
    /// Those of them that another node takes over, and how long they are still answered for.
    yielded: BTreeMap<IpAddr, Instant>,
    /// Those that are not answered for before it is known that nobody else has them.
    probed: BTreeMap<IpAddr, Probing>,
    outputs: VecDeque<Output>,
}

/// Where the question stands whether somebody has an address.
#[derive(Clone, Copy, Debug)]
struct Probing {
    /// When to go on.
    at: Instant,
    /// How often it is still to be asked.
    left: u32,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Answer for it on the interfaces on which it is wanted, and on no others.
    Place(IpAddr),
    /// Hear on those interfaces who has it.
    Listen(IpAddr),
    /// Ask the segment who has it.
    Ask(IpAddr),
    /// It was asked for in vain: say so, it is answered for from now on.
    Begin(IpAddr),
    /// Tell the segment where it is.
    Tell(IpAddr),
    /// Answer for it no more.
    Withdraw(IpAddr),
}

impl Held {
    /// Nothing is held. `seed` varies the times of announcements.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            announcer: Announcer::new(seed),
            wanted: BTreeMap::new(),
            yielded: BTreeMap::new(),
            probed: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn handle_input(&mut self, now: Instant, command: Command) {
        match command {
            Command::Announce(ip, interfaces) => {
                let is_new = self.wanted.insert(ip, interfaces).is_none();
                if self.probed.contains_key(&ip) {
                    return self.outputs.push_back(Output::Listen(ip));
                }
                let comes_back = self.yielded.remove(&ip).is_some();
                self.outputs.push_back(Output::Place(ip));
                // On other interfaces than before, it is told of anew.
                let input = if is_new || comes_back {
                    announce::Input::Start(ip)
                } else {
                    announce::Input::Again(ip)
                };
                self.announce(now, input);
            }
            Command::Probe(ip, interfaces) => self.probe(now, ip, interfaces),
            Command::Refuse(ip) => {
                if let Some(probing) = self.probed.get_mut(&ip) {
                    *probing = Probing {
                        at: now + REFUSED,
                        left: PROBES,
                    };
                }
            }
            Command::Withdraw(ip) => self.withdraw(now, ip),
            Command::Yield(ip) if self.probed.contains_key(&ip) => self.withdraw(now, ip),
            Command::Again(ip) => self.announce(now, announce::Input::Again(ip)),
            Command::Yield(ip) => {
                self.announce(now, announce::Input::Stop(ip));
                self.yielded.insert(ip, now + HANDOVER);
            }
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        // What another node must have taken over by now.
        let due = self.yielded.iter().filter(|(_, until)| **until <= now);
        let due: Vec<_> = due.map(|(ip, _)| *ip).collect();
        for ip in due {
            self.withdraw(now, ip);
        }
        self.go_on_probing(now);
        self.announcer.handle_timeout(now);
        self.take_announcements();
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let yielded = self.yielded.values().copied();
        let probed = self.probed.values().map(|it| it.at);
        yielded
            .chain(probed)
            .chain(self.announcer.poll_timeout())
            .min()
    }

    /// All that is answered for.
    pub(crate) fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.wanted.keys().copied()
    }

    /// On which interfaces it is wanted, if it is.
    pub(crate) fn interfaces(&self, ip: IpAddr) -> Option<&Interfaces> {
        self.wanted.get(&ip)
    }

    /// It is not answered for yet.
    pub(crate) fn is_probed(&self, ip: IpAddr) -> bool {
        self.probed.contains_key(&ip)
    }

    /// Another node takes it over.
    #[cfg(test)]
    pub(crate) fn is_yielded(&self, ip: IpAddr) -> bool {
        self.yielded.contains_key(&ip)
    }

    fn withdraw(&mut self, now: Instant, ip: IpAddr) {
        self.announce(now, announce::Input::Stop(ip));
        self.wanted.remove(&ip);
        self.yielded.remove(&ip);
        self.probed.remove(&ip);
        self.outputs.push_back(Output::Withdraw(ip));
    }

    fn probe(&mut self, now: Instant, ip: IpAddr, interfaces: Interfaces) {
        if self.wanted.contains_key(&ip) {
            return self.handle_input(now, Command::Announce(ip, interfaces));
        }
        self.wanted.insert(ip, interfaces);
        self.probed.insert(
            ip,
            Probing {
                at: now,
                left: PROBES,
            },
        );
        self.outputs.push_back(Output::Listen(ip));
        self.go_on_probing(now);
    }

    fn go_on_probing(&mut self, now: Instant) {
        let mut free = Vec::new();
        for (ip, probing) in self.probed.iter_mut().filter(|(_, it)| it.at <= now) {
            if probing.left == 0 {
                free.push(*ip);
                continue;
            }
            probing.left -= 1;
            probing.at = now + PROBE_GAP;
            self.outputs.push_back(Output::Ask(*ip));
        }
        for ip in free {
            self.probed.remove(&ip);
            self.outputs.extend([Output::Begin(ip), Output::Place(ip)]);
            self.announce(now, announce::Input::Start(ip));
        }
    }

    fn announce(&mut self, now: Instant, input: announce::Input) {
        if let announce::Input::Stop(ip) = input {
            self.outputs.retain(|it| *it != Output::Tell(ip));
        }
        self.announcer.handle_input(now, input);
        self.take_announcements();
    }

    fn take_announcements(&mut self) {
        while let Some(announce::Output::Announce { ip }) = self.announcer.poll_output() {
            self.outputs.push_back(Output::Tell(ip));
        }
    }
}

/// How long we go on answering for what another takes over. It learns of that within milliseconds
/// and announces at once; this leaves room for lost datagrams and busy nodes.
pub(crate) const HANDOVER: Duration = Duration::from_millis(300);

/// RFC 5227 section 1.1 has as many probes, a second or two apart, and as long a wait behind them:
/// it is about links that take so long to come up. Ours is up, and a user waits.
const PROBES: u32 = 3;
const PROBE_GAP: Duration = Duration::from_millis(300);
/// How long an address that somebody has is left alone before it is asked for again.
const REFUSED: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_for_three_times_before_it_is_used() {
        let (start, ip) = (Instant::now(), IpAddr::from([192, 0, 2, 1]));
        let at = |ms| start + Duration::from_millis(ms);
        let mut held = Held::new(1);
        held.handle_input(start, Command::Probe(ip, Interfaces::All));
        assert_eq!(outputs(&mut held), [Output::Listen(ip), Output::Ask(ip)]);
        for ms in [300, 600] {
            assert_eq!(held.poll_timeout(), Some(at(ms)));
            held.handle_timeout(at(ms));
            assert_eq!(outputs(&mut held), [Output::Ask(ip)]);
        }
        // Somebody has it.
        held.handle_input(at(700), Command::Refuse(ip));
        assert_eq!(held.poll_timeout(), Some(at(10_700)));
        for ms in [10_700, 11_000, 11_300] {
            held.handle_timeout(at(ms));
            assert_eq!(outputs(&mut held), [Output::Ask(ip)]);
        }
        held.handle_timeout(at(11_600));
        let begun = [Output::Begin(ip), Output::Place(ip), Output::Tell(ip)];
        assert_eq!(outputs(&mut held), begun);
        // From now on it is ours, whoever says otherwise.
        held.handle_input(at(12_000), Command::Refuse(ip));
        held.handle_input(at(12_000), Command::Probe(ip, Interfaces::All));
        assert_eq!(outputs(&mut held)[0], Output::Place(ip));
    }

    #[test]
    fn what_is_only_probed_for_is_given_up_at_once() {
        let (start, ip) = (Instant::now(), IpAddr::from([192, 0, 2, 1]));
        for command in [Command::Withdraw(ip), Command::Yield(ip)] {
            let mut held = Held::new(1);
            held.handle_input(start, Command::Probe(ip, Interfaces::All));
            outputs(&mut held);
            held.handle_input(start, command);
            assert_eq!(outputs(&mut held), [Output::Withdraw(ip)]);
            assert_eq!(held.poll_timeout(), None);
        }
    }

    fn outputs(held: &mut Held) -> Vec<Output> {
        std::iter::from_fn(|| held.poll_output()).collect()
    }

    #[test]
    fn what_another_takes_over_is_answered_for_a_little_longer() {
        let (start, ip) = (Instant::now(), IpAddr::from([192, 0, 2, 1]));
        let at = |ms| start + Duration::from_millis(ms);
        let mut held = Held::new(1);
        held.handle_input(start, Command::Announce(ip, Interfaces::All));
        assert_eq!(outputs(&mut held), [Output::Place(ip), Output::Tell(ip)]);
        held.handle_input(at(50), Command::Yield(ip));
        assert_eq!(held.poll_timeout(), Some(at(350)));
        held.handle_timeout(at(349));
        assert_eq!(outputs(&mut held), []);
        assert!(held.interfaces(ip).is_some() && held.is_yielded(ip));
        held.handle_timeout(at(350));
        assert_eq!(outputs(&mut held), [Output::Withdraw(ip)]);
        assert_eq!(held.poll_timeout(), None);
    }

    #[test]
    fn what_comes_back_meanwhile_stays() {
        let (start, ip) = (Instant::now(), IpAddr::from([192, 0, 2, 1]));
        let mut held = Held::new(1);
        held.handle_input(start, Command::Announce(ip, Interfaces::All));
        held.handle_input(start, Command::Yield(ip));
        held.handle_input(start, Command::Announce(ip, Interfaces::All));
        outputs(&mut held);
        held.handle_timeout(start + HANDOVER);
        let told = outputs(&mut held);
        assert!(!told.contains(&Output::Withdraw(ip)), "{told:?}");
        assert!(told.contains(&Output::Tell(ip)), "{told:?}");
    }
}
