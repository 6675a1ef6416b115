use super::*;
use crate::frames::{OWN, OWN_LINK_LOCAL, ROUTER_SOLICITATION, bytes};

const OURS: Station = Station {
    mac: OWN,
    link_local: OWN_LINK_LOCAL,
};

/// An interface under a virtual clock.
struct Link {
    discovery: RouterDiscovery,
    started: Instant,
    now: Instant,
}

impl Link {
    fn up() -> Self {
        let now = Instant::now();
        let mut discovery = RouterDiscovery::new(1);
        discovery.handle_input(now, Input::Station(Some(OURS)));
        Self {
            discovery,
            started: now,
            now,
        }
    }

    fn input(&mut self, input: Input<'_>) -> Vec<Output> {
        self.discovery.handle_input(self.now, input);
        self.outputs()
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.discovery.poll_output()).collect()
    }

    /// A router says that it is there; what follows from it, but for what is sent.
    fn hear(&mut self, router: u16) -> Vec<Output> {
        let frame = router::advertisement(MacAddr(2, 0, 0, 0, 0, 1), address(router));
        self.input(Input::Frame(&frame))
            .into_iter()
            .filter(|it| !matches!(it, Output::Send(_)))
            .collect()
    }

    /// Lets time go by; when what was sent, in seconds.
    fn wait(&mut self, seconds: u64) -> Vec<(f64, &'static str)> {
        let mut sent = Vec::new();
        let until = self.now + Duration::from_secs(seconds);
        loop {
            for output in self.outputs() {
                let Output::Send(frame) = output else {
                    continue;
                };
                let what = if frame == router::advertisement(OWN, OWN_LINK_LOCAL) {
                    "advertisement"
                } else {
                    assert_eq!(frame, router::solicitation(OWN, OWN_LINK_LOCAL));
                    "solicitation"
                };
                sent.push(((self.now - self.started).as_secs_f64(), what));
            }
            match self.discovery.poll_timeout() {
                Some(next) if next <= until => self.now = next,
                _ => break,
            }
            self.discovery.handle_timeout(self.now);
        }
        self.now = until;
        sent
    }
}

fn address(router: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, router)
}

fn advertisements(sent: &[(f64, &'static str)]) -> Vec<f64> {
    let all = sent.iter().filter(|(_, what)| *what == "advertisement");
    all.map(|(at, _)| *at).collect()
}

#[test]
fn a_new_link_is_told_and_asked_three_times_and_then_told_every_ten_seconds() {
    let mut link = Link::up();
    let sent = link.wait(60);
    let first = sent[0].0;
    assert!((0.25..=0.75).contains(&first), "{sent:?}");
    let both = |after: u32| {
        let at = first + f64::from(after);
        [(at, "advertisement"), (at, "solicitation")]
    };
    for (after, seen) in [0, 3, 6].into_iter().zip(sent.chunks(2)) {
        for ((at, what), (expected, said)) in seen.iter().zip(both(after)) {
            assert!((at - expected).abs() < 1e-6 && *what == said, "{sent:?}");
        }
    }
    let times = advertisements(&sent[6..]);
    assert_eq!(times.len(), sent.len() - 6);
    let mut before = first + 6.0 + 3.0 - 10.0;
    for at in times {
        assert!((7.5..10.001).contains(&(at - before)), "{sent:?}");
        before = at;
    }
}

/// FRR up to version 9 is lost for ever if it hears of us as soon as it can.
#[test]
fn a_link_that_is_just_there_is_given_time() {
    for router in 1..50 {
        let mut link = Link::up();
        link.hear(router);
        link.input(Input::Frame(&bytes(ROUTER_SOLICITATION)));
        let first = link.wait(2)[0].0;
        assert!((0.25..=0.75).contains(&first), "{first}");
    }
}

#[test]
fn who_asks_is_answered_within_half_a_second_but_not_more_often_than_every_three() {
    let mut link = Link::up();
    link.wait(60);
    for _ in 0..100 {
        link.input(Input::Frame(&bytes(ROUTER_SOLICITATION)));
    }
    let asked = (link.now - link.started).as_secs_f64();
    let times = advertisements(&link.wait(4));
    assert_eq!(times.len(), 1, "{times:?}");
    assert!(times[0] <= asked + 3.0, "{times:?}");
    let mut link = Link::up();
    link.wait(60);
    let mut last = 0.0;
    for _ in 0..30 {
        link.input(Input::Frame(&bytes(ROUTER_SOLICITATION)));
        for at in advertisements(&link.wait(1)) {
            assert!(at - last >= 3.0, "{at} after {last}");
            last = at;
        }
    }
}

#[test]
fn the_first_router_is_the_one_until_it_does_not_answer() {
    let mut link = Link::up();
    assert_eq!(link.discovery.router(), None);
    assert_eq!(link.hear(1), [Output::Found(address(1))]);
    link.wait(10);
    // Another address, and nothing more from the first one.
    assert_eq!(link.hear(2), []);
    link.wait(10);
    assert_eq!(link.hear(2), []);
    assert_eq!(link.discovery.router(), Some(address(1)));
    link.input(Input::NoAnswer(address(1)));
    assert_eq!(link.discovery.router(), Some(address(2)));
    // Said late, of one that is not tried any more.
    link.input(Input::NoAnswer(address(1)));
    assert_eq!(link.discovery.router(), Some(address(2)));
}

#[test]
fn a_router_that_is_heard_at_a_new_address_after_a_session_ended_is_the_one() {
    let mut link = Link::up();
    link.hear(1);
    link.wait(60);
    link.input(Input::Lost);
    let sent = link.wait(1);
    assert!(
        sent.iter().any(|(_, what)| *what == "solicitation"),
        "{sent:?}"
    );
    assert_eq!(link.hear(2), [Output::Found(address(2))]);
    // One that is where it was stays the one, whoever else comes.
    link.input(Input::Lost);
    assert_eq!(link.hear(2), []);
    assert_eq!(link.hear(3), []);
    assert_eq!(link.discovery.router(), Some(address(2)));
}

#[test]
fn the_only_router_stays_the_one_and_is_told_of_us_when_it_does_not_answer() {
    let mut link = Link::up();
    link.hear(1);
    link.wait(60);
    link.input(Input::NoAnswer(address(1)));
    assert_eq!(link.discovery.router(), Some(address(1)));
    let sent = link.wait(4);
    assert!(
        sent.iter().any(|(_, what)| *what == "solicitation"),
        "{sent:?}"
    );
}

#[test]
fn two_routers_at_a_time_are_told_of_once() {
    let mut link = Link::up();
    link.hear(1);
    link.wait(10);
    assert_eq!(link.hear(2), []);
    link.wait(10);
    assert_eq!(link.hear(1), [Output::Several(address(1), address(2))]);
    for _ in 0..5 {
        link.wait(10);
        assert_eq!((link.hear(1), link.hear(2)), (vec![], vec![]));
    }
}

#[test]
fn a_link_that_was_cut_off_is_a_new_one() {
    let mut link = Link::up();
    link.hear(1);
    link.wait(60);
    link.input(Input::Station(None));
    assert_eq!(link.discovery.router(), None);
    assert_eq!(link.discovery.poll_timeout(), None);
    assert_eq!(link.hear(1), []);
    link.started = link.now;
    link.input(Input::Station(Some(OURS)));
    assert_eq!(link.wait(1).len(), 2);
    assert_eq!(link.hear(3), [Output::Found(address(3))]);
    // That nothing has changed changes nothing.
    assert_eq!(link.input(Input::Station(Some(OURS))), []);
    assert_eq!(link.discovery.router(), Some(address(3)));
}

#[test]
fn what_we_say_ourselves_and_what_is_made_up_is_passed_over() {
    let mut link = Link::up();
    let ours = router::advertisement(OWN, OWN_LINK_LOCAL);
    link.outputs();
    assert_eq!(link.input(Input::Frame(&ours)), []);
    assert_eq!(link.discovery.router(), None);
    link.hear(1);
    for router in 2..1000 {
        link.wait(1);
        link.hear(router);
    }
    assert_eq!(link.discovery.router(), Some(address(1)));
    assert_eq!(link.discovery.routers.len(), ROUTERS);
    for len in 0..ours.len() {
        link.input(Input::Frame(&ours[..len]));
    }
}
