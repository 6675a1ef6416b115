//! What the status of a `MetalLB` object says, and when it is written.

use super::*;

#[test]
fn an_object_of_another_name_or_namespace_is_told_why_it_is_ignored() {
    let mut world = World::installed();
    world.see_metallb("metallb-system", "mylb", &json!({}));
    world.see_metallb("operators", "metallb", &json!({}));
    assert_eq!(world.done(), NOTHING, "the right one is unaffected");
    let degraded = |report: &Report| report.status.conditions[3].clone();
    let by_name: BTreeMap<String, Report> = world
        .reports()
        .into_iter()
        .map(|r| (r.metallb.to_string(), r))
        .collect();

    let wrong_name = &by_name["metallb-system/mylb"];
    assert_eq!(degraded(wrong_name).reason, "IncorrectMetalLBResourceName");
    assert!(
        degraded(wrong_name)
            .message
            .starts_with("Incorrect MetalLB resource name: mylb"),
        "upstream's words"
    );
    let wrong_namespace = &by_name["operators/metallb"];
    assert_eq!(degraded(wrong_namespace).reason, "WrongNamespace");
    assert!(
        degraded(wrong_namespace).message.contains("metallb-system"),
        "where it belongs"
    );
    for report in [wrong_name, wrong_namespace] {
        assert_eq!(report.turns.len(), 1, "one Event");
        assert!(report.turns[0].is_warning);
    }
    world.write_reports();
    assert!(world.reports().is_empty(), "told once");
}

#[test]
fn a_status_is_written_when_it_says_something_new() {
    let mut world = World::installed();
    assert_eq!(world.reports().len(), 1);
    world.write_reports();
    world.wall = Timestamp::from_second(5_000).expect("a time");
    assert!(world.reports().is_empty(), "time alone is no news");
    let mut metallb = world.own();
    metallb.metadata.generation = Some(2);
    world.see(metallb);
    let reports = world.reports();
    assert_eq!(reports[0].status.observed_generation, Some(2));
    assert_eq!(
        reports[0].status.conditions[0]
            .last_transition_time
            .0
            .as_second(),
        1_000
    );
    assert!(reports[0].turns.is_empty(), "nothing has turned");
}

fn conditions_of(world: &World) -> Vec<(String, String, String, String)> {
    let report = world.reports().pop().expect("something is new");
    let conditions = report.status.conditions.into_iter();
    conditions
        .map(|it| (it.type_, it.status, it.reason, it.message))
        .collect()
}

/// What the condition says, and whether it holds.
fn said(world: &World, type_: &str) -> Option<(String, String)> {
    let mut conditions = conditions_of(world).into_iter();
    conditions
        .find(|it| it.0 == type_)
        .map(|it| (it.1, it.2 + ": " + &it.3))
}

#[test]
fn what_somebody_should_know_is_a_warning_and_nothing_else() {
    let mut world = World::serving();
    world.write_reports();
    let advice = |reason| metallb_config::Advice {
        about: Some((metallb_config::Kind::IPAddressPool, "web".to_owned())),
        reason,
        text: "is no good".to_owned(),
    };
    let all = ["PoolOverlapsNode", "PoolWithoutAdvertisement"].map(advice);
    world.index.handle(News::Advice(all.to_vec()));
    let report = world.reports().pop().expect("a warning");
    let [turn] = &report.turns[..] else {
        panic!("{:?}", report.turns)
    };
    assert!(
        turn.is_warning && turn.reason == "PoolOverlapsNode",
        "an Event"
    );
    let text = "PoolOverlapsNode: IPAddressPool web: is no good; IPAddressPool web: is no good";
    assert_eq!(
        said(&world, "Warning"),
        Some(("True".to_owned(), text.to_owned()))
    );
    assert_eq!(
        said(&world, "Degraded").map(|it| it.0).as_deref(),
        Some("False")
    );
    world.write_reports();
    assert!(world.reports().is_empty(), "told once");
    world.index.advice = None;
    assert!(
        world.reports().is_empty(),
        "the next operator does not know yet"
    );
    world.index.handle(News::Advice(Vec::new()));
    assert_eq!(said(&world, "Warning"), None);
}

#[test]
fn rights_that_are_missing_are_named_also_where_they_keep_the_operator_from_seeing() {
    let mut world = World::serving();
    world.write_reports();
    let available = said_in(&world.own(), "Available");
    let needed = vec!["list, watch daemonsets.apps in namespace metallb-system".to_owned()];
    let lacks = |needed| crate::rights::Missing {
        needed,
        observed: Vec::new(),
    };
    world.index.rights.learn(lacks(needed.clone()), world.now);
    let (status, text) = said(&world, "Degraded").expect("it is there");
    assert_eq!(status, "True");
    assert!(text.starts_with("Forbidden: "), "{text}");
    assert!(text.contains(&needed[0]), "{text}");

    // The next operator, which may not see what there is.
    let mut index = Index::default();
    index.handle(News::MetalLB(Box::new(Change::Apply(world.own()))));
    index.handle(News::MetalLB(Box::new(Change::Synced)));
    world.index = index;
    world.index.rights.learn(lacks(needed.clone()), world.now);
    let (_, text) = said(&world, "Degraded").expect("it is there");
    assert!(text.contains(&needed[0]), "{text}");
    world.write_reports();
    assert_eq!(said_in(&world.own(), "Available"), available, "as it was");
    assert_eq!(said_in(&world.own(), "Stalled").as_deref(), Some("True"));
}

fn said_in(metallb: &MetalLB, type_: &str) -> Option<String> {
    let conditions = &metallb.status.as_ref()?.conditions;
    let found = conditions.iter().find(|it| it.type_ == type_)?;
    Some(found.status.clone())
}

#[test]
fn a_class_that_there_is_not_needs_attention() {
    let mut world = World::serving();
    let spec = json!({ "speakerConfig": { "priorityClassName": "high" } });
    world.see_metallb("metallb-system", "metallb", &spec);
    world.write_reports();
    let class = crate::classes::Class::Priority;
    world.index.handle(News::Class(class, Change::Synced));
    let (status, text) = said(&world, "Degraded").expect("it is there");
    assert_eq!(status, "True");
    assert!(
        text.starts_with("ClassNotFound: speakerConfig.priorityClassName is high"),
        "{text}"
    );
    let there = Change::Apply("high".to_owned());
    world.index.handle(News::Class(class, there));
    assert!(world.reports().is_empty(), "as it was written before");
}

#[test]
fn what_was_refused_is_tried_at_once_when_the_rights_are_back() {
    let mut world = World::installed();
    let spec = json!({ "logLevel": "debug" });
    world.see_metallb("metallb-system", "metallb", &spec);
    let Some(Action::Apply { object, wanted, .. }) = world.plan().actions.pop() else {
        panic!("{:?}", world.done())
    };
    let refused = "forbidden".to_owned();
    world
        .index
        .failed(object.key, wanted, refused, false, world.now);
    let waits = world.done();
    world.index.retry(world.now);
    assert_eq!(world.done().len(), waits.len() + 1, "{waits:?}");
}
