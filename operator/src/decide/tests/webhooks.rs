//! The registration of the webhooks comes last, goes first, and insists only when somebody answers.

use super::*;

/// What happens when the webhooks cannot be asked, as it would be applied now.
fn failure_policy(world: &World) -> Option<Value> {
    let actions = world.plan().actions;
    let object = actions.into_iter().find_map(|action| match action {
        Action::Apply { object, .. } if object.key == registration() => Some(object),
        _ => None,
    })?;
    Some(object.manifest["webhooks"][0]["failurePolicy"].clone())
}

#[test]
fn nobody_is_sent_to_webhooks_that_do_not_answer() {
    let mut world = World::installed();
    assert_eq!(failure_policy(&world), None, "no pod is ready");

    world.serves = true;
    world.see_operand(&Key::new(Kind::Deployment, "controller"));
    assert_eq!(
        failure_policy(&world),
        Some("Ignore".into()),
        "no CA is known"
    );
    world.settle();
    assert_eq!(world.done(), NOTHING);

    world.trusted = true;
    world.see_operand(&registration());
    assert_eq!(failure_policy(&world), Some("Ignore".into()), "too early");
    let wake_at = world.plan().wake_at.expect("it is looked at again");
    assert!(wake_at <= world.now + Duration::from_secs(5));
    world.now = wake_at;
    assert_eq!(failure_policy(&world), Some("Fail".into()));
    world.settle();
    assert_eq!(world.done(), NOTHING);

    // The next leader has not seen how it came to that.
    world.index.callable_since = None;
    world.see_operand(&registration());
    assert_eq!(failure_policy(&world), Some("Fail".into()));
    world.settle();

    world.trusted = false;
    world.see_operand(&registration());
    assert_eq!(
        failure_policy(&world),
        Some("Ignore".into()),
        "somebody took it out"
    );

    world.trusted = true;
    world.see_operand(&registration());
    world.settle();
    world.serves = false;
    world.see_operand(&Key::new(Kind::Deployment, "controller"));
    world.settle();
    assert!(
        world.index.operands.contains_key(&registration()),
        "it stays"
    );
}

#[test]
fn removal_begins_with_the_webhooks() {
    let mut world = World::installed();
    world.serves = true;
    world.see_operand(&Key::new(Kind::Deployment, "controller"));
    world.settle();
    world.see_leaving();
    assert_eq!(world.done(), [format!("delete {}", registration())]);
    world.see_gone(&registration());
    assert_eq!(
        world.done(),
        ["delete DaemonSet speaker", "delete Deployment controller"]
    );
}

#[test]
fn the_operator_is_asked_about_metallb_objects_whether_there_is_one_or_not() {
    let mut world = World::new();
    world.settings.webhook_service = Some("metallb-operator-webhook-service".to_owned());
    let own = Key::new(Kind::ValidatingWebhookConfiguration, OPERATOR_CONFIGURATION);
    assert_eq!(world.done(), [format!("apply {own}"), "forget".to_owned()]);
    world.settle();
    assert_eq!(world.done(), ["forget"]);
    world.see_metallb("metallb-system", "metallb", &json!({}));
    world.settle();
    world.see_gone(&own);
    assert_eq!(world.done(), [format!("repair {own}")]);
    world.settle();
    world.see_leaving();
    world.settle();
    assert!(world.index.metallbs.is_empty());
    assert!(world.index.operands.contains_key(&own), "it stays");
}
