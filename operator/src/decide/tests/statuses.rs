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
