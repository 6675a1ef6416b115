//! What is there on request: made, not made for want of its kind, and pruned.

use std::net::SocketAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::*;
use crate::api_server::Told;

fn monitoring(of: &str) -> Value {
    json!({ "monitoring": { "type": of } })
}

fn served(world: &mut World, kind: Kind, is_it: bool) {
    world.index.handle(News::Served(kind, is_it));
}

/// Of a status that is to be written: why a condition holds, if it does.
fn condition(world: &World, type_: &str) -> Option<(String, String)> {
    let mut reports = world.reports();
    let status = reports.pop()?.status;
    let holds = |it: &&Condition| it.type_ == type_ && it.status == "True";
    let found = status.conditions.iter().find(holds)?.clone();
    Some((found.reason, found.message))
}

#[test]
fn monitors_come_and_go_with_the_wish_for_them() {
    let mut world = World::serving();
    served(&mut world, Kind::ServiceMonitor, true);
    served(&mut world, Kind::PodMonitor, true);
    world.see_metallb("metallb-system", "metallb", &monitoring("ServiceMonitor"));
    let by_service = [
        "apply Role prometheus-k8s",
        "apply RoleBinding prometheus-k8s",
        "apply Service controller-monitor-service",
        "apply Service speaker-monitor-service",
        "apply ServiceMonitor controller-monitor",
        "apply ServiceMonitor speaker-monitor",
    ];
    assert_eq!(world.done(), by_service, "and no pod is touched");
    world.settle();
    assert_eq!(world.done(), NOTHING);

    world.see_metallb("metallb-system", "metallb", &monitoring("PodMonitor"));
    assert_eq!(
        world.done(),
        [
            "apply ServiceAccount metrics-reader",
            "apply ClusterRole metallb-system:metrics-reader",
            "apply ClusterRoleBinding metallb-system:metrics-reader",
            "apply Secret metrics-token",
            "apply PodMonitor controller",
            "apply PodMonitor speaker",
            "delete Service controller-monitor-service",
            "delete Service speaker-monitor-service",
            "delete ServiceMonitor controller-monitor",
            "delete ServiceMonitor speaker-monitor",
        ]
    );
    world.settle();

    world.see_metallb("metallb-system", "metallb", &json!({}));
    let gone = world.done();
    assert_eq!(gone.len(), 8);
    assert!(gone.iter().all(|it| it.starts_with("delete ")), "{gone:?}");
    world.settle();
    assert_eq!(world.done(), NOTHING);
}

/// Whichever comes first.
#[test]
fn monitors_wait_for_the_prometheus_operator_and_nothing_waits_for_them() {
    let mut world = World::installed();
    world.see_metallb("metallb-system", "metallb", &monitoring("ServiceMonitor"));
    let all_else = [
        "apply Role prometheus-k8s",
        "apply RoleBinding prometheus-k8s",
        "apply Service controller-monitor-service",
        "apply Service speaker-monitor-service",
    ];
    assert_eq!(world.done(), all_else);
    world.settle();
    let (reason, message) = condition(&world, "NotInstalled").expect("it is told");
    assert_eq!(reason, "PrometheusOperatorNotInstalled");
    let words = "no ServiceMonitor is made, since the cluster has no definition \
                 servicemonitors.monitoring.coreos.com";
    assert!(message.starts_with(words), "{message}");
    assert!(condition(&world, "Degraded").is_none(), "MetalLB works");
    let turns = &world.reports()[0].turns;
    let told = turns.iter().find(|it| it.reason == reason);
    assert!(told.expect("an Event").is_warning);
    world.write_reports();
    assert!(world.reports().is_empty(), "it is told once");

    served(&mut world, Kind::ServiceMonitor, true);
    let monitors = [
        "apply ServiceMonitor controller-monitor",
        "apply ServiceMonitor speaker-monitor",
    ];
    assert_eq!(world.done(), monitors);
    world.settle();
    assert!(condition(&world, "NotInstalled").is_none());
    world.write_reports();

    // Somebody removes the definition, and the monitors with it; and has it again.
    served(&mut world, Kind::ServiceMonitor, false);
    assert_eq!(world.done(), NOTHING);
    assert!(condition(&world, "NotInstalled").is_some());
    served(&mut world, Kind::ServiceMonitor, true);
    assert_eq!(world.done(), monitors);
}

#[test]
fn policies_follow_the_api_server_and_go_when_they_are_switched_off() {
    let mut world = World::serving();
    let policies =
        |verb: &str| ["controller", "operator"].map(|it| format!("{verb} NetworkPolicy {it}"));
    let by = ObjectKey::new("default", "kubernetes");
    let at = |text: &str| -> SocketAddr { text.parse().expect("an address") };
    let move_to = |world: &mut World, address: &str| {
        let told = Told {
            by: by.clone(),
            addresses: [at(address)].into(),
        };
        world.index.handle(News::ApiEndpoints(Change::Apply(told)));
    };
    move_to(&mut world, "192.0.2.1:16443");
    assert_eq!(world.done(), policies("apply"));
    world.settle();
    // Another address on the same port is no change of ports.
    move_to(&mut world, "192.0.2.2:16443");
    assert_eq!(world.done(), NOTHING);
    let off = json!({ "networkPolicies": { "enabled": false } });
    world.see_metallb("metallb-system", "metallb", &off);
    assert_eq!(world.done(), policies("delete"));
    world.settle();
    assert_eq!(world.done(), NOTHING);
}

/// What the object says of images is what the status says of them.
#[test]
fn the_status_has_the_images_that_run() {
    let mut world = World::serving();
    let spec = json!({ "imageRegistry": "mirror", "speakerConfig": { "image": "own" } });
    world.see_metallb("metallb-system", "metallb", &spec);
    let components = &world.reports()[0].status.components;
    let images: Vec<_> = components.iter().map(|it| it.image.as_deref()).collect();
    assert_eq!(images, [Some("mirror/metallb:dev"), Some("own")]);
}
