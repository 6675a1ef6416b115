//! FRR-K8s that somebody else runs: the rights to write for it, and what is left of that.

use super::*;

fn external() -> Value {
    json!({
        "bgpBackend": "frr-k8s-external", "frrk8sConfig": { "namespace": "frr-k8s-system" },
    })
}

/// A cluster that has FRR-K8s, whose speakers write for it.
fn writing() -> World {
    let mut world = World::new();
    world.index.handle(News::FrrK8s(FrrNews::Defined(true)));
    world.see_metallb("metallb-system", "metallb", &external());
    world.settle();
    assert_eq!(world.done(), NOTHING);
    world.frr_configurations = [(left(), "u".to_owned())].into();
    world
}

fn left() -> ObjectKey {
    ObjectKey::new("frr-k8s-system", "metallb-n1")
}

fn may_write(world: &mut World) -> bool {
    world.see_gone(&Key::new(Kind::ClusterRole, "metallb-system:speaker"));
    let actions = world.plan().actions;
    let role = actions.iter().find_map(|action| match action {
        Action::Apply { object, .. } if object.key.name == "metallb-system:speaker" => {
            Some(object.manifest.to_string())
        }
        _ => None,
    });
    world.settle();
    role.expect("it comes back").contains("frrconfigurations")
}

#[test]
fn what_speakers_wrote_goes_when_all_of_them_speak_bgp_themselves() {
    let mut world = writing();
    assert!(may_write(&mut world));
    world.see_metallb("metallb-system", "metallb", &json!({}));
    assert_eq!(world.done()[0], "look for FRRConfigurations");
    world.settle();
    assert_eq!(world.done(), NOTHING, "some speakers still write");
    assert!(may_write(&mut world), "and may");
    world.see_speakers();
    let gone = "delete FRRConfiguration frr-k8s-system/metallb-n1";
    assert_eq!(world.done(), [gone]);
    world.settle();
    assert_eq!(world.done(), NOTHING);
    assert!(!may_write(&mut world));
}

#[test]
fn what_speakers_wrote_goes_with_the_metallb_object() {
    let mut world = writing();
    world.see_leaving();
    // The workloads, then the rest.
    for _ in 0..2 {
        world.settle_once();
    }
    assert_eq!(world.done(), ["look for FRRConfigurations"]);
    world.settle_once();
    assert_eq!(
        world.done(),
        ["delete FRRConfiguration frr-k8s-system/metallb-n1"]
    );
    world.settle_once();
    assert_eq!(
        world.done(),
        ["delete lease", "let go metallb-system/metallb", "forget"]
    );
}

#[test]
fn a_cluster_without_frr_k8s_is_asked_for_nothing() {
    let mut world = World::installed();
    world.see_metallb("metallb-system", "metallb", &external());
    world.settle();
    assert_eq!(
        world.reports()[0].status.conditions[3].reason,
        "FRRK8sNotInstalled"
    );
    world.see_metallb("metallb-system", "metallb", &json!({}));
    world.settle();
    assert_eq!(world.done(), NOTHING);
    assert_eq!(world.reports()[0].status.conditions[3].status, "False");
}
