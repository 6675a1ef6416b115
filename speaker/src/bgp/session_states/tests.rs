//! When something is told.

use super::*;
use metallb_config::PeerAddress;
use metallb_crds::v1beta1::SessionPrefixes;

fn subject(name: &str) -> SessionSubject {
    let address = PeerAddress::Ip("192.0.2.1".parse().unwrap());
    SessionSubject::new(name, &address, None)
}

fn active(error: &str, told: i64) -> BGPSessionStateStatus {
    BGPSessionStateStatus {
        bgp_status: Some("Active".to_owned()),
        last_error: Some(error.to_owned()).filter(|it| !it.is_empty()),
        prefixes: Some(SessionPrefixes {
            advertised: told,
            ..SessionPrefixes::default()
        }),
        ..BGPSessionStateStatus::default()
    }
}

fn established(told: i64) -> BGPSessionStateStatus {
    BGPSessionStateStatus {
        bgp_status: Some("Established".to_owned()),
        ..active("", told)
    }
}

/// A clock on the wall beside one that only runs.
struct Course {
    states: SessionStates,
    start: Instant,
}

impl Course {
    fn new() -> Self {
        let start = Instant::now();
        let states = SessionStates::new(start, 0);
        Self { states, start }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    /// What is told at that time: of whom, since when by the clock, and how many routes.
    fn take(&mut self, seconds: u64, all: Vec<Seen>) -> Vec<(SessionSubject, i64, i64)> {
        let clock = Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap();
        let news = self.states.take(self.at(seconds), clock, all);
        let row = |(subject, said): News| {
            let said = said.expect("it is still there");
            let since = said.since.unwrap().0.as_second();
            (subject, since, said.prefixes.unwrap().advertised)
        };
        news.into_iter().map(row).collect()
    }
}

#[test]
fn it_is_told_once_there_is_something_to_tell_and_again_when_it_changes() {
    let mut course = Course::new();
    let tor = || subject("tor");
    let nothing = vec![(tor(), None, active("", 0))];
    assert_eq!(course.take(10, nothing.clone()), []);
    let refused = || vec![(tor(), None, active("refused", 0))];
    assert_eq!(course.take(12, refused()), [(tor(), 10, 0)]);
    // However often it is tried.
    assert_eq!(course.take(100, refused()), []);
    assert_eq!(course.states.poll_timeout(), None);
    let up = course.at(101);
    let up = || vec![(tor(), Some(up), established(5))];
    assert_eq!(course.take(102, up()), [(tor(), 101, 5)]);
    assert_eq!(course.take(200, up()), []);
    assert_eq!(course.take(201, refused()), [(tor(), 201, 0)]);
    let gone = course
        .states
        .take(course.at(300), Timestamp::UNIX_EPOCH, vec![]);
    assert_eq!(gone, [(tor(), None)]);
}

#[test]
fn what_comes_and_goes_is_told_every_few_seconds() {
    let mut course = Course::new();
    let tor = || subject("tor");
    let mut told = Vec::new();
    for second in 0..60 {
        let up = course.at(second);
        let seen = match second % 2 {
            0 => (tor(), Some(up), established(0)),
            _ => (tor(), None, active("closed", 0)),
        };
        if !course.take(second, vec![seen]).is_empty() {
            told.push(second);
        }
    }
    assert_eq!(told, [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55]);
    // In the end it says how it is.
    let last = vec![(tor(), None, active("closed", 0))];
    assert!(course.states.poll_timeout().is_some());
    assert_eq!(course.take(61, last.clone()), [(tor(), 59, 0)]);
    assert_eq!(course.take(99, last), []);
}

#[test]
fn numbers_alone_are_told_of_one_in_half_a_minute_each_in_its_turn() {
    let mut course = Course::new();
    let up = course.at(0);
    let names: Vec<_> = ["a", "b", "c"].map(subject).into();
    let all = |count: i64| -> Vec<Seen> {
        let one = |it: &SessionSubject| (it.clone(), Some(up), established(count));
        names.iter().map(one).collect()
    };
    assert_eq!(course.take(0, all(0)).len(), 3);
    let mut told = Vec::new();
    for second in 1..=150 {
        // Each second all sessions have one route more.
        let count = i64::try_from(second).unwrap();
        for (subject, _, _) in course.take(second, all(count)) {
            let index = names.iter().position(|it| *it == subject).unwrap();
            told.push((second, index));
        }
    }
    assert_eq!(told, [(1, 0), (31, 1), (61, 2), (91, 0), (121, 1)]);
    // When they stay as they are, all are told in the end, and then there is nothing left.
    let mut left = 0;
    for second in 151..400 {
        left += course.take(second, all(150)).len();
    }
    assert_eq!(left, 3);
    assert_eq!(course.states.poll_timeout(), None);
}

#[test]
fn nodes_that_start_together_tell_numbers_at_different_times() {
    let now = Instant::now();
    let at = |seed| SessionStates::new(now, seed).numbers_at;
    assert_eq!(at(50), now + NUMBERS / 2);
    assert!(at(7) < at(93) && at(99) < now + NUMBERS);
}
