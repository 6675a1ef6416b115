//! What is told first is made before the peer confirms, and told only if it is still true.

use super::*;
use crate::rib::{Audience, Route, RouteAttributes};

fn route(prefix: &str) -> Route {
    Route {
        prefix: prefix.parse().expect("a network"),
        audience: Audience::default(),
        attributes: RouteAttributes::default().into(),
    }
}

/// With a route, and the router's OPEN read.
fn opened() -> Dialog {
    let mut dialog = Dialog::new(settings());
    dialog.rib.contribute(&1, vec![route("192.0.2.1/32")]);
    dialog.lead_to(State::OpenConfirm);
    dialog
}

fn told(dialog: &mut Dialog) -> Vec<Update> {
    let said = dialog.said().into_iter();
    let told = said.filter_map(|it| match it {
        Message::Update(it) if it.is_end_of_rib().is_none() => Some(it),
        _ => None,
    });
    told.collect()
}

fn prefixes(told: &[Update]) -> Vec<String> {
    let reached = told.iter().flat_map(Update::reached);
    reached.map(|it| it.to_string()).collect()
}

#[test]
fn nothing_is_told_before_the_peer_confirms_and_all_then() {
    let mut dialog = opened();
    dialog.pass(Duration::from_secs(1));
    assert_eq!(told(&mut dialog), []);
    assert_eq!(
        (dialog.session.told(), dialog.session.counts().updates.sent),
        (0, 0)
    );
    dialog.hear(&Message::Keepalive);
    assert_eq!(prefixes(&told(&mut dialog)), ["192.0.2.1/32"]);
    // With the one that says that this was all.
    assert_eq!(
        (dialog.session.told(), dialog.session.counts().updates.sent),
        (1, 2)
    );
}

#[test]
fn what_changed_before_the_peer_confirms_is_told_as_it_is_then() {
    let mut dialog = opened();
    dialog.rib.contribute(&1, vec![route("192.0.2.2/32")]);
    dialog.rib.forget_gone();
    dialog.hear(&Message::Keepalive);
    let told = told(&mut dialog);
    assert_eq!(prefixes(&told), ["192.0.2.2/32"]);
    assert_eq!(told.iter().flat_map(Update::unreached).count(), 0);
}

#[test]
fn who_is_about_to_go_when_the_peer_confirms_says_so() {
    const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;
    let mut dialog = opened();
    dialog.input(Input::GracefulShutdown(true));
    dialog.hear(&Message::Keepalive);
    let told = told(&mut dialog);
    assert_eq!(told[0].attributes.communities, [GRACEFUL_SHUTDOWN]);
}

#[test]
fn no_more_is_told_first_than_the_network_may_hold() {
    let mut dialog = Dialog::new(settings());
    dialog.stuck = true;
    let routes = |n: u32| route(&format!("10.{}.{}.0/24", n >> 8, n & 255));
    let routes: Vec<_> = (0..65_000).map(routes).collect();
    dialog.rib.contribute(&1, routes);
    dialog.lead_to(State::Established);
    let before = dialog.session.left(&dialog.rib);
    assert!((40_000..60_000).contains(&before), "{before}");
    dialog.stuck = false;
    dialog.input(Input::Sent(Way::Out, 100_000));
    dialog.outputs();
    assert_eq!(dialog.session.left(&dialog.rib), 0);
    assert_eq!(dialog.session.told(), 65_000);
}
