use std::collections::BTreeSet;

use metallb_seeds::{Dice, for_each_seed};

use super::*;
use crate::wire::{Codec, Family, HEADER_LEN, MAX_LEN, Message, NextHop, RefreshKind, Update};

fn target(peer: &str) -> Target {
    Target {
        peer: peer.into(),
        codec: Codec {
            four_octet: true,
            ..Codec::default()
        },
        local_as: 64512,
        next_hop_v4: Some(NextHop::V4([192, 0, 2, 1].into())),
        next_hop_v6: Some(NextHop::V6("2001:db8::1".parse().expect("an address"))),
        local_pref: 100,
        graceful_shutdown: false,
    }
}

fn route(prefix: &str, communities: &[u32], peers: &[&str]) -> Route {
    Route {
        prefix: prefix.parse().expect("a network"),
        audience: Audience(Arc::new(peers.iter().map(ToString::to_string).collect())),
        attributes: Arc::new(RouteAttributes {
            communities: communities.iter().copied().collect(),
            ..RouteAttributes::default()
        }),
    }
}

fn many(count: u32) -> Vec<Route> {
    let route = |n: u32| Route {
        prefix: IpNet::new((0x0a00_0000 + n).to_be_bytes().into(), 32).expect("a length"),
        ..route("10.0.0.0/32", &[], &[])
    };
    (0..count).map(route).collect()
}

/// What a peer makes of the messages.
#[derive(Default)]
struct Peer {
    routes: BTreeMap<IpNet, BTreeSet<u32>>,
    ends: Vec<Family>,
    marks: Vec<(RefreshKind, Family)>,
    messages: usize,
}

impl Peer {
    fn hear(&mut self, target: &Target, bytes: &[u8]) {
        assert!(bytes.len() <= MAX_LEN);
        self.messages += 1;
        let received = Message::decode(bytes, target.codec).expect("it is sound");
        assert_eq!(received.faults, []);
        match received.message {
            Message::Update(update) => self.take(&update),
            Message::RouteRefresh(it) => {
                let family = it.family.family().expect("it is one of ours");
                self.marks.push((it.kind, family));
            }
            other => panic!("{other:?}"),
        }
    }

    fn take(&mut self, update: &Update) {
        if let Some(family) = update.is_end_of_rib() {
            return self.ends.push(family);
        }
        for prefix in update.unreached() {
            let before = self.routes.remove(&prefix);
            assert!(before.is_some(), "{prefix} was never told");
        }
        let communities: BTreeSet<_> = update.attributes.communities.iter().copied().collect();
        let reached: Vec<_> = update.reached().collect();
        let distinct: BTreeSet<_> = reached.iter().collect();
        assert_eq!(distinct.len(), reached.len(), "told twice in a message");
        for prefix in reached {
            self.routes.insert(prefix, communities.clone());
        }
    }

    fn hear_all<K>(&mut self, export: &mut Export, target: &Target, rib: &Rib<K>) {
        while let Some(message) = export.next(rib) {
            self.hear(target, &message);
        }
    }

    fn assert_knows<K>(&self, rib: &Rib<K>, peer: &str) {
        let told = rib.told_to(peer);
        let told: BTreeMap<_, _> = told
            .map(|(it, said)| (it, said.communities.clone()))
            .collect();
        assert_eq!(self.routes, told);
    }
}

#[test]
fn ten_thousand_routes_take_thirteen_messages() {
    let mut rib = Rib::default();
    rib.contribute(&"all", many(10_000));
    rib.compact();
    let (target, mut peer) = (target("router"), Peer::default());
    let mut export = Export::new(target.clone(), false);
    peer.hear_all(&mut export, &target, &rib);
    peer.assert_knows(&rib, "router");
    // And two that say that this was all of it.
    assert_eq!((peer.messages, &*peer.ends), (15, &Family::ALL[..]));
    assert_eq!((export.told(), export.left(&rib)), (10_000, 0));
    rib.contribute(&"all", many(9_500));
    peer.messages = 0;
    peer.hear_all(&mut export, &target, &rib);
    peer.assert_knows(&rib, "router");
    assert_eq!(peer.messages, 1);
}

#[test]
fn a_prefix_that_several_contribute_is_told_once_until_the_last_is_gone() {
    let mut rib = Rib::default();
    let (target, mut peer) = (target("router"), Peer::default());
    let mut export = Export::new(target.clone(), false);
    let net = || route("192.0.2.0/24", &[1], &[]);
    let mut tell = |rib: &Rib<_>, peer: &mut Peer| {
        peer.messages = 0;
        peer.hear_all(&mut export, &target, rib);
        peer.assert_knows(rib, "router");
        peer.messages
    };
    rib.contribute(&1, vec![net()]);
    tell(&rib, &mut peer);
    rib.contribute(&2, vec![net()]);
    assert_eq!(tell(&rib, &mut peer), 0);
    // Communities are united.
    rib.contribute(&3, vec![route("192.0.2.0/24", &[7], &[])]);
    assert_eq!(tell(&rib, &mut peer), 1);
    assert_eq!(peer.routes.values().next(), Some(&[1, 7].into()));
    rib.contribute(&1, vec![]);
    assert_eq!(tell(&rib, &mut peer), 0);
    rib.contribute(&3, vec![]);
    assert_eq!(tell(&rib, &mut peer), 1);
    assert_eq!(rib.contributors().collect::<Vec<_>>(), [&2]);
    rib.contribute(&2, vec![]);
    assert_eq!(tell(&rib, &mut peer), 1);
    assert_eq!(peer.routes.len(), 0);
}

#[test]
fn routes_are_told_to_those_who_are_to_know() {
    let mut rib = Rib::default();
    rib.contribute(&1, vec![route("192.0.2.1/32", &[], &["a"])]);
    rib.contribute(&2, vec![route("192.0.2.2/32", &[], &["a", "b"])]);
    rib.contribute(&3, vec![route("192.0.2.3/32", &[], &[])]);
    for (name, count) in [("a", 3), ("b", 2), ("c", 1)] {
        let (target, mut peer) = (target(name), Peer::default());
        let mut export = Export::new(target.clone(), false);
        peer.hear_all(&mut export, &target, &rib);
        peer.assert_knows(&rib, name);
        assert_eq!(peer.routes.len(), count, "{name}");
        // One that is not to know any more is told so, the others nothing new.
        rib.contribute(&2, vec![route("192.0.2.2/32", &[], &["b"])]);
        peer.hear_all(&mut export, &target, &rib);
        peer.assert_knows(&rib, name);
        rib.contribute(&2, vec![route("192.0.2.2/32", &[], &["a", "b"])]);
    }
}

#[test]
fn a_family_without_a_next_hop_is_not_told() {
    let mut rib = Rib::default();
    rib.contribute(
        &1,
        vec![
            route("192.0.2.1/32", &[], &[]),
            route("2001:db8::1/128", &[], &[]),
        ],
    );
    for (v4, v6) in [(true, false), (false, true)] {
        let (mut target, mut peer) = (target("router"), Peer::default());
        target.next_hop_v4 = target.next_hop_v4.filter(|_| v4);
        target.next_hop_v6 = target.next_hop_v6.filter(|_| v6);
        let mut export = Export::new(target.clone(), false);
        peer.hear_all(&mut export, &target, &rib);
        let has = |is: fn(&IpNet) -> bool| peer.routes.keys().any(is);
        assert_eq!(has(|it| matches!(it, IpNet::V4(_))), v4);
        assert_eq!(has(|it| matches!(it, IpNet::V6(_))), v6);
        assert_eq!(peer.ends, [if v4 { Family::V4 } else { Family::V6 }]);
    }
}

#[test]
fn within_an_as_the_way_is_empty_and_there_is_a_preference() {
    let mut rib = Rib::default();
    let mut preferred = route("192.0.2.1/32", &[], &[]);
    Arc::make_mut(&mut preferred.attributes).local_pref = Some(7);
    rib.contribute(&1, vec![preferred, route("192.0.2.2/32", &[], &[])]);
    let attributes = |internal, four_octet| {
        let mut target = target("router");
        target.codec.internal = internal;
        target.codec.four_octet = four_octet;
        target.local_as = 4_200_000_000;
        let mut export = Export::new(target.clone(), false);
        let bytes = std::iter::from_fn(|| export.next(&rib));
        let all = bytes.map(|it| Message::decode(&it, target.codec).expect("it is sound"));
        let all = all.filter_map(|it| match it.message {
            Message::Update(it) if !it.announced.is_empty() => {
                Some((it.announced[0], it.attributes))
            }
            _ => None,
        });
        all.collect::<BTreeMap<_, _>>()
    };
    let inside = attributes(true, true);
    let preferences: Vec<_> = inside.values().map(|it| it.local_pref).collect();
    assert_eq!(preferences, [Some(7), Some(100)]);
    assert!(
        inside
            .values()
            .all(|it| it.as_path.as_ref().is_some_and(|it| it.0.is_empty()))
    );
    let outside = attributes(false, true);
    let path = crate::wire::AsPath::of(4_200_000_000);
    assert!(
        outside
            .values()
            .all(|it| it.as_path.as_ref() == Some(&path))
    );
    assert!(
        outside
            .values()
            .all(|it| it.local_pref.is_none() && it.as4_path.is_none())
    );
    // RFC 6793 section 4.2.2: to those who know short numbers only.
    let old = attributes(false, false);
    let short = crate::wire::AsPath::of(23456);
    assert!(old.values().all(|it| it.as_path.as_ref() == Some(&short)));
    assert!(old.values().all(|it| it.as4_path.as_ref() == Some(&path)));
}

#[test]
fn a_peer_gets_its_routes_again_when_it_asks() {
    let mut rib = Rib::default();
    rib.contribute(&1, many(100));
    for marks in [false, true] {
        let (target, mut peer) = (target("router"), Peer::default());
        let mut export = Export::new(target.clone(), marks);
        peer.hear_all(&mut export, &target, &rib);
        peer.routes.clear();
        // A flood of questions has two answers: one that was begun, and one for the rest.
        export.refresh(Family::V4);
        peer.hear(&target, &export.next(&rib).expect("it was asked"));
        for _ in 0..1000 {
            export.refresh(Family::V4);
        }
        peer.messages = 0;
        peer.hear_all(&mut export, &target, &rib);
        peer.assert_knows(&rib, "router");
        assert!(peer.messages <= 5, "{}", peer.messages);
        let (begin, end) = (
            (RefreshKind::Begin, Family::V4),
            (RefreshKind::End, Family::V4),
        );
        let expected = if marks {
            vec![begin, end, begin, end]
        } else {
            vec![]
        };
        assert_eq!(peer.marks, expected);
    }
}

#[test]
fn before_it_goes_all_is_told_as_worse_than_others() {
    let mut rib = Rib::default();
    rib.contribute(&1, many(3));
    let (target, mut peer) = (target("router"), Peer::default());
    let mut export = Export::new(target.clone(), false);
    peer.hear_all(&mut export, &target, &rib);
    for (goes, community) in [
        (true, BTreeSet::from([0xffff_0000])),
        (false, BTreeSet::new()),
    ] {
        export.shut_down_gracefully(goes);
        export.shut_down_gracefully(goes);
        peer.hear_all(&mut export, &target, &rib);
        assert_eq!(peer.routes.len(), 3);
        assert!(peer.routes.values().all(|it| *it == community));
    }
}

/// Contributions come and go while peers are told, ask again and come back.
#[test]
fn in_the_end_every_peer_knows_what_it_is_to_know() {
    let test = "cargo test -p metallb-bgp in_the_end_every_peer";
    for_each_seed(test, 2000, |seed| {
        let mut dice = Dice::new(seed);
        let mut rib = Rib::default();
        let mut peers: Vec<_> = ["a", "b", "c"]
            .map(|name| {
                (
                    target(name),
                    Export::new(target(name), true),
                    Peer::default(),
                )
            })
            .into();
        for _ in 0..200 {
            match dice.below(6) {
                0..3 => {
                    let routes: Vec<_> = (0..dice.below(4)).map(|_| any_route(&mut dice)).collect();
                    rib.contribute(&dice.below(8), routes);
                }
                3 => {
                    let at = dice.below(3);
                    let (target, export, peer) = &mut peers[at];
                    for _ in 0..dice.below(5) {
                        let Some(message) = export.next(&rib) else {
                            break;
                        };
                        peer.hear(target, &message);
                    }
                }
                4 => {
                    let at = dice.below(3);
                    if dice.percent(50) {
                        peers[at].1.refresh(Family::V4);
                    } else {
                        let target = peers[at].0.clone();
                        peers[at].1 = Export::new(target, true);
                        peers[at].2 = Peer::default();
                    }
                }
                _ => {
                    let told = peers.iter().map(|(_, export, _)| export.done()).min();
                    rib.forget(told.expect("there are three"));
                }
            }
        }
        for (target, export, peer) in &mut peers {
            peer.hear_all(export, target, &rib);
            peer.assert_knows(&rib, &target.peer);
            assert_eq!(export.told(), peer.routes.len());
        }
        rib.forget(rib.version());
        assert_eq!(rib.entries.len() - rib.free.len(), rib.told_to_anybody());
    });
}

fn any_route(dice: &mut Dice) -> Route {
    let prefix = dice.pick(&[
        "192.0.2.1/32",
        "192.0.2.0/24",
        "10.0.0.0/8",
        "2001:db8::/64",
    ]);
    let communities = dice.pick(&[&[][..], &[1], &[2], &[1, 2]]);
    let peers = dice.pick(&[&[][..], &["a"], &["b"], &["a", "b"]]);
    route(prefix, communities, peers)
}

impl<K> Rib<K> {
    fn told_to_anybody(&self) -> usize {
        self.entries.iter().filter(|it| !it.said.is_empty()).count()
    }
}

#[test]
fn what_stands_in_a_message_is_no_longer_than_what_is_counted() {
    let mut rib = Rib::default();
    let long = (0..900).map(|n| 0xfde8_0000 + n);
    let mut routes = many(2000);
    let said = Arc::new(RouteAttributes {
        communities: long.collect(),
        ..RouteAttributes::default()
    });
    for route in &mut routes {
        route.attributes = said.clone();
    }
    rib.contribute(&1, routes);
    let (target, mut peer) = (target("router"), Peer::default());
    let mut export = Export::new(target.clone(), false);
    let mut fullest = HEADER_LEN;
    while let Some(message) = export.next(&rib) {
        fullest = fullest.max(message.len());
        peer.hear(&target, &message);
    }
    peer.assert_knows(&rib, "router");
    assert!((MAX_LEN - 6..=MAX_LEN).contains(&fullest), "{fullest}");
}
