//! What the user has said is to be left alone.

use metallb_crds::names::PAUSED;

use super::*;

/// The object with the annotation, or without.
fn see_paused(world: &mut World, value: Option<&str>) {
    let mut metallb = world.own();
    let annotations = metallb.metadata.annotations.get_or_insert_default();
    match value {
        Some(value) => annotations.insert(PAUSED.to_owned(), value.to_owned()),
        None => annotations.remove(PAUSED),
    };
    world.see(metallb);
}

fn condition(world: &World, type_: &str) -> Option<(String, String, String)> {
    let reports = world.reports();
    let status = reports.first().map(|report| &report.status);
    let own = world.own();
    let conditions = &status.or(own.status.as_ref())?.conditions;
    let found = conditions.iter().find(|it| it.type_ == type_)?;
    Some((
        found.status.clone(),
        found.reason.clone(),
        found.message.clone(),
    ))
}

#[test]
fn nothing_is_written_while_paused_and_what_would_be_is_told() {
    let mut world = World::serving();
    see_paused(&mut world, Some("true"));
    assert_eq!(world.done(), NOTHING);
    let (_, _, message) = condition(&world, "Paused").expect("it is paused");
    assert!(message.ends_with("Everything is as asked"), "{message}");

    let spec = json!({ "speakerConfig": { "priorityClassName": "high" } });
    let annotations = world.own().metadata.annotations;
    world.see_metallb("metallb-system", "metallb", &spec);
    let mut metallb = world.own();
    metallb.metadata.annotations = annotations;
    world.see(metallb);
    world.see_gone(&secret());
    assert_eq!(world.done(), NOTHING);
    assert_eq!(world.plan().wake_at, None);
    let (_, _, message) = condition(&world, "Paused").expect("it is paused");
    assert!(
        message.ends_with("Without it: repair Secret metallb-memberlist; apply DaemonSet speaker"),
        "{message}"
    );
    assert!(
        world.reports()[0]
            .turns
            .iter()
            .any(|it| it.reason == "Paused")
    );
    let upgradeable = condition(&world, "Upgradeable").expect("it is told");
    assert_eq!(upgradeable.0, "False");
    world.write_reports();
    assert!(world.reports().is_empty(), "told once");

    world.see_leaving();
    assert_eq!(world.done(), NOTHING, "nor is it removed");
    let message = world.reports()[0].status.conditions[2].message.clone();
    assert!(message.starts_with("Nothing is changed while"), "{message}");
    let mut metallb = world.own();
    metallb.metadata.deletion_timestamp = None;
    world.see(metallb);

    see_paused(&mut world, Some("false"));
    assert_eq!(world.done().len(), 2);
    see_paused(&mut world, None);
    assert_eq!(world.done().len(), 2);
    assert_eq!(condition(&world, "Paused"), None);
    assert!(
        world.reports()[0]
            .turns
            .iter()
            .any(|it| it.reason == "Resumed")
    );
}

/// The namespace goes, and nothing may keep it.
#[test]
fn a_pause_does_not_hold_up_the_end_of_the_namespace() {
    let mut world = World::installed();
    see_paused(&mut world, Some("true"));
    world.pace = Pace::Hurried;
    assert_eq!(world.done().len(), 4);
}

#[test]
fn an_operand_that_is_left_alone_is_neither_repaired_nor_pruned_and_told_of() {
    let mut world = World::serving();
    let leave_alone = |world: &mut World, key: &Key| {
        world.see_operand(key);
        let mut operand = world.index.operands[key].clone();
        operand.unmanaged = true;
        let news = News::Operand(key.kind, Change::Apply(operand));
        world.index.handle(news);
    };
    leave_alone(&mut world, &speaker());
    leave_alone(
        &mut world,
        &Key::new(Kind::ConfigMap, "of-an-older-version"),
    );
    assert_eq!(world.done(), NOTHING);
    let status = world.reports().remove(0).status;
    let names = ["ConfigMap of-an-older-version", "DaemonSet speaker"];
    assert_eq!(status.unmanaged, names);

    // With the MetalLB object it goes as everything does.
    world.see_leaving();
    world.settle();
    assert_eq!(world.index.operands.len(), 0);
}
