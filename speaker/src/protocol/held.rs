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
    outputs: VecDeque<Output>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Answer for it on the interfaces on which it is wanted, and on no others.
    Place(IpAddr),
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
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn handle_input(&mut self, now: Instant, command: Command) {
        match command {
            Command::Announce(ip, interfaces) => {
                let is_new = self.wanted.insert(ip, interfaces).is_none();
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
            Command::Withdraw(ip) => self.withdraw(now, ip),
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
        self.announcer.handle_timeout(now);
        self.take_announcements();
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let yielded = self.yielded.values().copied();
        yielded.chain(self.announcer.poll_timeout()).min()
    }

    /// All that is answered for.
    pub(crate) fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.wanted.keys().copied()
    }

    /// On which interfaces it is wanted, if it is.
    pub(crate) fn interfaces(&self, ip: IpAddr) -> Option<&Interfaces> {
        self.wanted.get(&ip)
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
        self.outputs.push_back(Output::Withdraw(ip));
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

#[cfg(test)]
mod tests {
    use super::*;

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
