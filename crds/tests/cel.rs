//! Each CEL rule of the schemas lets through what it should and refuses what it should.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::cel::{validate_cel, validate_cel_update};
use kube::{CustomResourceExt, core::Resource};
use metallb_crds::{v1beta1, v1beta2};
use serde::Serialize;

/// What the rules say of a new object; nothing if they let it through.
fn created<T: CustomResourceExt + Serialize>(object: &T) -> String {
    validate_cel(object)
        .err()
        .map(|errors| errors.to_string())
        .unwrap_or_default()
}

/// What the rules say of a change.
fn changed<T: CustomResourceExt + Serialize>(old: &T, new: &T) -> String {
    validate_cel_update(new, old)
        .err()
        .map(|errors| errors.to_string())
        .unwrap_or_default()
}

#[test]
fn service_selectors_need_default_aggregation() {
    const MESSAGE: &str = "serviceSelectors and aggregationLength are mutually exclusive, can only be used together with default aggregationLength (32) and aggregationLengthV6 (128)";
    let advertisement = |selectors: usize, v4, v6| {
        v1beta1::BGPAdvertisement::new(
            "a",
            v1beta1::BGPAdvertisementSpec {
                aggregation_length: v4,
                aggregation_length_v6: v6,
                service_selectors: vec![LabelSelector::default(); selectors],
                ..Default::default()
            },
        )
    };
    for (selectors, v4, v6) in [(0, 32, 128), (0, 24, 64), (1, 32, 128)] {
        assert_eq!(
            created(&advertisement(selectors, v4, v6)),
            "",
            "{selectors} {v4} {v6}"
        );
    }
    for (selectors, v4, v6) in [(1, 24, 128), (1, 32, 64), (2, 24, 64)] {
        let said = created(&advertisement(selectors, v4, v6));
        assert!(said.contains(MESSAGE), "{selectors} {v4} {v6}: {said:?}");
    }
}

#[test]
fn connect_time_is_whole_seconds_within_bounds() {
    const BOUNDS: &str = "connect time should be between 1 seconds to 65535";
    const WHOLE: &str = "connect time should contain a whole number of seconds";
    let peer = |time: Option<&str>| {
        let spec = v1beta2::BGPPeerSpec {
            connect_time: time.map(str::to_owned),
            ..Default::default()
        };
        v1beta2::BGPPeer::new("p", spec)
    };
    for time in [None, Some("1s"), Some("10s"), Some("2m"), Some("65535s")] {
        assert_eq!(created(&peer(time)), "", "{time:?}");
    }
    for (time, message) in [
        ("0s", BOUNDS),
        ("65536s", BOUNDS),
        ("1500ms", WHOLE),
        ("1.5s", WHOLE),
    ] {
        let said = created(&peer(Some(time)));
        assert!(said.contains(message), "{time}: {said:?}");
    }
    assert_ne!(created(&peer(Some("soon"))), "");
}

#[test]
fn graceful_restart_stays_as_it_is() {
    let peer = |restart: Option<bool>| {
        let spec = v1beta2::BGPPeerSpec {
            enable_graceful_restart: restart,
            ..Default::default()
        };
        v1beta2::BGPPeer::new("p", spec)
    };
    for restart in [None, Some(false), Some(true)] {
        assert_eq!(created(&peer(restart)), "");
        assert_eq!(changed(&peer(restart), &peer(restart)), "");
    }
    let said = changed(&peer(Some(false)), &peer(Some(true)));
    assert!(
        said.contains("EnableGracefulRestart cannot be changed after creation"),
        "{said:?}"
    );
}

#[test]
fn statuses_speak_of_one_service_on_one_node_for_ever() {
    let l2 = |node: &str, name: &str, namespace: &str| v1beta1::ServiceL2Status {
        status: Some(v1beta1::ServiceL2StatusStatus {
            node: Some(node.to_owned()),
            service_name: Some(name.to_owned()),
            service_namespace: Some(namespace.to_owned()),
            interfaces: Vec::new(),
        }),
        ..Default::default()
    };
    let bgp = |node: &str, name: &str, namespace: &str| v1beta1::ServiceBGPStatus {
        status: Some(v1beta1::ServiceBGPStatusStatus {
            node: Some(node.to_owned()),
            service_name: Some(name.to_owned()),
            service_namespace: Some(namespace.to_owned()),
            peers: Vec::new(),
        }),
        ..Default::default()
    };
    immutable(&l2);
    immutable(&bgp);
}

/// Three fields that may not change.
fn immutable<T>(make: &dyn Fn(&str, &str, &str) -> T)
where
    T: CustomResourceExt + Resource + Serialize,
{
    let old = make("n1", "web", "default");
    assert_eq!(created(&old), "");
    assert_eq!(changed(&old, &make("n1", "web", "default")), "");
    for new in [
        make("n2", "web", "default"),
        make("n1", "api", "default"),
        make("n1", "web", "shop"),
    ] {
        let said = changed(&old, &new);
        assert!(said.contains("Value is immutable"), "{said:?}");
    }
}
