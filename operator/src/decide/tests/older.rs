//! A newer operator was at work here.

use metallb_crds::names::DOWNGRADE;
use metallb_crds::v1beta1::Versions;

use super::*;

/// Its statuses say so, and its operands are not as ours would be.
fn newer() -> World {
    let mut world = World::serving();
    world.write_reports();
    let mut metallb = world.own();
    let status = metallb.status.as_mut().expect("a status");
    status.versions = Some(Versions {
        operator: Some("99.0.0".to_owned()),
        operands: Some("99.0.0".to_owned()),
    });
    world.see(metallb);
    "metallb:old".clone_into(&mut world.settings.images.speaker);
    world
}

#[test]
fn nothing_of_a_newer_operator_is_taken_back() {
    let mut world = newer();
    assert_eq!(world.done(), NOTHING);
    let mut reports = world.reports();
    let status = reports.remove(0).status;
    let versions = status.versions.expect("versions");
    assert_eq!(
        versions.operator.as_deref(),
        Some("99.0.0"),
        "its word stands"
    );
    let degraded = &status.conditions[3];
    assert_eq!(
        (&*degraded.status, &*degraded.reason),
        ("True", "OlderOperator")
    );
    assert!(degraded.message.contains("operator 99.0.0"), "{degraded:?}");
    world.write_reports();
    assert!(world.reports().is_empty(), "said once");
}

#[test]
fn who_says_so_goes_back() {
    let mut world = newer();
    let mut metallb = world.own();
    let version = (DOWNGRADE.to_owned(), crate::VERSION.to_owned());
    metallb.metadata.annotations = Some([version].into());
    world.see(metallb);
    assert_eq!(world.done(), ["apply DaemonSet speaker"]);
    let versions = world.reports().remove(0).status.versions;
    let version = versions.and_then(|it| it.operator);
    assert_eq!(version.as_deref(), Some(crate::VERSION));
}
