//! What the types read and write.

use std::fmt::Debug;

use kube::CustomResourceExt;
use metallb_crds::{v1beta1, v1beta2};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Reads JSON as a kind and writes it again.
fn again<T: DeserializeOwned + Serialize>(value: Value) -> Value {
    let object: T = serde_json::from_value(value).expect("the object is valid");
    serde_json::to_value(object).expect("a kind is plain data")
}

/// The schema of a kind, as in the file beside the crate.
fn schema<T: CustomResourceExt>() -> Value {
    let version = &T::crd().spec.versions[0].name;
    let crd = metallb_crds::all()
        .into_iter()
        .find(|crd| crd["metadata"]["name"] == T::crd_name())
        .expect("every kind is among all()");
    let versions = crd["spec"]["versions"]
        .as_array()
        .expect("versions are a list");
    let version = versions.iter().find(|one| one["name"] == **version);
    version.expect("every version is among all()")["schema"]["openAPIV3Schema"].clone()
}

/// An object with all the fields that its kind has reads and writes as it is.
fn survives<T>(object: &Value)
where
    T: CustomResourceExt + DeserializeOwned + Serialize,
{
    let schema = schema::<T>();
    for part in ["spec", "status"] {
        let Some(given) = object.get(part).and_then(Value::as_object) else {
            continue;
        };
        let Some(all) = schema["properties"][part]["properties"].as_object() else {
            continue;
        };
        let missing: Vec<_> = all
            .keys()
            .filter(|name| !given.contains_key(*name))
            .collect();
        assert!(
            missing.is_empty(),
            "this test lacks {missing:?} of {}",
            T::crd_name()
        );
    }
    assert_eq!(again::<T>(object.clone()), *object);
}

/// An object of a kind with this spec.
fn with_spec(version: &str, kind: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("metallb.io/{version}"),
        "kind": kind,
        "metadata": {"name": "one", "namespace": "metallb-system"},
        "spec": spec,
    })
}

#[test]
fn pools_and_advertisements_survive_reading_and_writing() {
    let selector = selector();
    let pool = with_spec(
        "v1beta1",
        "IPAddressPool",
        &json!({
            "addresses": ["192.0.2.0/24"],
            "autoAssign": false,
            "avoidBuggyIPs": true,
            "serviceAllocation": {
                "priority": -1,
                "namespaces": ["a"],
                "namespaceSelectors": [selector],
                "serviceSelectors": [selector],
            },
        }),
    );
    survives::<v1beta1::IPAddressPool>(&pool);

    let l2 = with_spec(
        "v1beta1",
        "L2Advertisement",
        &json!({
            "ipAddressPools": ["a"],
            "ipAddressPoolSelectors": [selector],
            "nodeSelectors": [selector],
            "interfaces": ["eth0"],
            "serviceSelectors": [selector],
            "preferredNodeSelectors": [{"weight": 1, "preference": selector}],
        }),
    );
    survives::<v1beta1::L2Advertisement>(&l2);

    let bgp = with_spec(
        "v1beta1",
        "BGPAdvertisement",
        &json!({
            "aggregationLength": 24,
            "aggregationLengthV6": 64,
            "localPref": 4_294_967_295_u32,
            "communities": ["1:2"],
            "ipAddressPools": ["a"],
            "ipAddressPoolSelectors": [selector],
            "nodeSelectors": [selector],
            "peers": ["p"],
            "serviceSelectors": [selector],
        }),
    );
    survives::<v1beta1::BGPAdvertisement>(&bgp);
}

#[test]
fn peers_survive_reading_and_writing() {
    let selector = selector();
    let peer = with_spec(
        "v1beta2",
        "BGPPeer",
        &json!({
            "myASN": 4_294_967_295_u32,
            "peerASN": 64512,
            "localASN": 1,
            "dynamicASN": "internal",
            "peerAddress": "192.0.2.1",
            "interface": "eth0",
            "sourceAddress": "192.0.2.2",
            "peerPort": 16384,
            "holdTime": "90s",
            "keepaliveTime": "30s",
            "connectTime": "10s",
            "routerID": "192.0.2.3",
            "nodeSelectors": [selector],
            "password": "p",
            "passwordSecret": {"name": "s", "namespace": "n"},
            "bfdProfile": "b",
            "enableGracefulRestart": true,
            "ebgpMultiHop": true,
            "vrf": "v",
            "disableMP": true,
            "dualStackAddressFamily": true,
        }),
    );
    survives::<v1beta2::BGPPeer>(&peer);

    let old_peer = with_spec(
        "v1beta1",
        "BGPPeer",
        &json!({
            "myASN": 1,
            "peerASN": 2,
            "peerAddress": "192.0.2.1",
            "sourceAddress": "192.0.2.2",
            "peerPort": 0,
            "holdTime": "90s",
            "keepaliveTime": "30s",
            "routerID": "192.0.2.3",
            "nodeSelectors": [selector],
            "password": "p",
            "bfdProfile": "b",
            "ebgpMultiHop": false,
        }),
    );
    survives::<v1beta1::BGPPeer>(&old_peer);
}

#[test]
fn profiles_and_communities_survive_reading_and_writing() {
    let bfd = with_spec(
        "v1beta1",
        "BFDProfile",
        &json!({
            "receiveInterval": 10,
            "transmitInterval": 60000,
            "detectMultiplier": 255,
            "echoInterval": 50,
            "echoMode": false,
            "passiveMode": true,
            "minimumTtl": 254,
        }),
    );
    survives::<v1beta1::BFDProfile>(&bfd);

    let community = with_spec(
        "v1beta1",
        "Community",
        &json!({"communities": [{"name": "a", "value": "1:2"}]}),
    );
    survives::<v1beta1::Community>(&community);
}

/// A label selector with all that it may have.
fn selector() -> Value {
    json!({
        "matchLabels": {"a": "b"},
        "matchExpressions": [{"key": "c", "operator": "In", "values": ["d"]}],
    })
}

#[test]
fn the_metallb_object_survives_reading_and_writing() {
    let config = json!({
        "priorityClassName": "p",
        "runtimeClassName": "r",
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "t", "labelSelector": {"matchLabels": {"a": "b"}}},
        ]}},
        "annotations": {"a": "b"},
        "resources": {"limits": {"cpu": "1"}, "claims": [{"name": "c"}]},
        "labels": {"a": "b"},
        "image": "i",
        "livenessProbe": {"initialDelaySeconds": 1, "periodSeconds": 2},
        "readinessProbe": {"timeoutSeconds": 3, "failureThreshold": 4},
    });
    let with = |more: Value| {
        let mut config = config.clone();
        let fields = config.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        config
    };
    let toleration =
        json!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5});
    let mut metallb = with_spec(
        "v1beta1",
        "MetalLB",
        &json!({
            "image": "i",
            "nodeSelector": {"a": "b"},
            "speakerTolerations": [toleration],
            "logLevel": "debug",
            "loadBalancerClass": "example.com/metallb",
            "controllerNodeSelector": {"c": "d"},
            "controllerTolerations": [toleration],
            "controllerConfig": with(json!({"replicas": 3})),
            "speakerConfig": with(json!({
                "updateStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": "10%"},
                },
                "excludeInterfaces": [],
                "ignoreExcludeLB": true,
                "memberlist": {"bindPort": 9122, "wanConfig": true},
            })),
            "imageRegistry": "r",
            "imagePullSecrets": [{"name": "s"}],
            "monitoring": {
                "type": "PodMonitor",
                "labels": {"a": "b"},
                "interval": "1m",
                "prometheus": {"namespace": "n", "serviceAccountName": "p"},
            },
            "networkPolicies": {"enabled": true, "apiServer": "Addresses"},
            "bgpBackend": "frr-k8s",
            "frrk8sConfig": {"alwaysBlock": ["10.0.0.0/8"], "namespace": "n", "secretPassthrough": true},
        }),
    );
    metallb["status"] = json!({
        "conditions": [{
            "type": "Available",
            "status": "True",
            "reason": "Available",
            "message": "",
            "lastTransitionTime": "2024-05-02T10:00:00Z",
            "observedGeneration": 3,
        }],
        "observedGeneration": 3,
        "versions": {"operator": "1.1.0", "operands": "1.0.0"},
        "bgpBackend": "frr",
        "platform": "Kubernetes",
        "components": [{
            "kind": "DaemonSet", "name": "speaker", "image": "i",
            "desired": 3, "updated": 2, "ready": 3, "message": "m",
        }],
        "unmanaged": ["DaemonSet speaker"],
    });
    survives::<v1beta1::MetalLB>(&metallb);
}

#[test]
fn statuses_survive_reading_and_writing() {
    let object = |kind: &str, status: Value| {
        let mut object = with_spec("v1beta1", kind, &json!({}));
        object["status"] = status;
        object
    };
    let l2 = object(
        "ServiceL2Status",
        json!({
            "node": "n1",
            "serviceName": "web",
            "serviceNamespace": "default",
            "interfaces": [{"name": "eth0"}],
        }),
    );
    survives::<v1beta1::ServiceL2Status>(&l2);

    let bgp = object(
        "ServiceBGPStatus",
        json!({
            "node": "n1",
            "serviceName": "web",
            "serviceNamespace": "default",
            "peers": ["a", "b"],
        }),
    );
    survives::<v1beta1::ServiceBGPStatus>(&bgp);

    let session = object(
        "BGPSessionState",
        json!({
            "bgpStatus": "Established",
            "bfdStatus": "up",
            "node": "n1",
            "peer": "192.0.2.1",
            "vrf": "red",
            "bgpPeer": "tor",
            "since": "2024-05-02T10:00:00Z",
            "lastError": "cut",
            "heldBy": "192.0.2.11:45678",
            "localASN": 4_200_000_000_u32,
            "peerASN": 64501,
            "holdTime": "90s",
            "keepaliveTime": "30s",
            "capabilities": ["ipv4Unicast"],
            "prefixes": {"advertised": 1, "pending": 2, "received": 3},
        }),
    );
    survives::<v1beta1::BGPSessionState>(&session);

    let mut state = object(
        "ConfigurationState",
        json!({
            "result": "Invalid",
            "errorSummary": "pool",
            "conditions": [{
                "type": "poolReconcilerValid",
                "status": "False",
                "reason": "ConfigurationError",
                "message": "pool",
                "lastTransitionTime": "2024-05-02T10:00:00Z",
            }],
        }),
    );
    state.as_object_mut().expect("an object").remove("spec");
    survives::<v1beta1::ConfigurationState>(&state);
}

#[test]
fn quantities_may_be_numbers() {
    let spec = json!({"speakerConfig": {"resources": {"requests": {"cpu": 1, "memory": "64Mi"}}}});
    let written = again::<v1beta1::MetalLB>(with_spec("v1beta1", "MetalLB", &spec));
    assert_eq!(
        written.pointer("/spec/speakerConfig/resources/requests"),
        Some(&json!({"cpu": "1", "memory": "64Mi"}))
    );
}

#[test]
fn an_object_without_a_spec_has_defaults() {
    spec_is_default::<v1beta1::MetalLB, _>(|object| object.spec);
    spec_is_default::<v1beta1::L2Advertisement, _>(|object| object.spec);
    spec_is_default::<v1beta1::BGPAdvertisement, _>(|object| object.spec);
    spec_is_default::<v1beta1::BGPPeer, _>(|object| object.spec);
    spec_is_default::<v1beta2::BGPPeer, _>(|object| object.spec);
    spec_is_default::<v1beta1::BFDProfile, _>(|object| object.spec);
    spec_is_default::<v1beta1::Community, _>(|object| object.spec);

    // A pool without addresses is none.
    let error = without_spec::<v1beta1::IPAddressPool>().expect_err("a pool needs a spec");
    assert!(error.to_string().contains("spec"), "{error}");
}

fn spec_is_default<T, S>(spec: fn(T) -> S)
where
    T: DeserializeOwned,
    S: Default + PartialEq + Debug,
{
    let object = without_spec::<T>().expect("the spec may be left out");
    assert_eq!(spec(object), S::default());
}

fn without_spec<T: DeserializeOwned>() -> serde_json::Result<T> {
    serde_json::from_value(json!({"metadata": {"name": "one"}}))
}

/// Every field that may be left out may also be null, and means the same.
#[test]
fn null_means_left_out() {
    same_with_nulls::<v1beta1::IPAddressPool>(&json!({"addresses": []}));
    same_with_nulls::<v1beta1::IPAddressPool>(&json!({"addresses": [], "serviceAllocation": {}}));
    same_with_nulls::<v1beta1::L2Advertisement>(&json!({}));
    same_with_nulls::<v1beta1::BGPAdvertisement>(&json!({}));
    same_with_nulls::<v1beta2::BGPPeer>(&json!({"myASN": 1, "passwordSecret": {}}));
    same_with_nulls::<v1beta1::BFDProfile>(&json!({}));
    same_with_nulls::<v1beta1::Community>(&json!({"communities": [{}]}));
    same_with_nulls::<v1beta1::MetalLB>(
        &json!({"speakerConfig": {}, "controllerConfig": {}, "frrk8sConfig": {}}),
    );
}

fn same_with_nulls<T>(spec: &Value)
where
    T: CustomResourceExt + DeserializeOwned + PartialEq + Debug,
{
    let mut nulls = spec.clone();
    let added = fill(&mut nulls, &schema::<T>()["properties"]["spec"]);
    assert!(added > 0, "{} has nothing to leave out", T::crd_name());
    let object = |spec: &Value| json!({"metadata": {"name": "one"}, "spec": spec});
    let with: T = serde_json::from_value(object(&nulls)).expect("nulls are fine");
    let without: T = serde_json::from_value(object(spec)).expect("without is fine");
    assert_eq!(with, without);
}

/// Adds a null for every property that is not there; says how many.
fn fill(value: &mut Value, schema: &Value) -> usize {
    match value {
        Value::Object(object) => {
            let mut added = 0;
            for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(value) = object.get_mut(name) {
                    added += fill(value, inner);
                } else {
                    object.insert(name.clone(), Value::Null);
                    added += 1;
                }
            }
            added
        }
        Value::Array(list) => list.iter_mut().map(|one| fill(one, &schema["items"])).sum(),
        _ => 0,
    }
}

/// What serde fills in is what the API server fills in: the schemas' defaults, no more, no less.
#[test]
fn defaults_are_those_of_the_schema() {
    defaults::<v1beta1::IPAddressPool>(&json!({"addresses": ["192.0.2.0/24"]}), 2);
    defaults::<v1beta1::L2Advertisement>(&json!({}), 0);
    defaults::<v1beta1::BGPAdvertisement>(&json!({}), 2);
    defaults::<v1beta2::BGPPeer>(&json!({"myASN": 1}), 3);
    defaults::<v1beta1::BGPPeer>(
        &json!({"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1"}),
        0,
    );
    defaults::<v1beta1::BFDProfile>(&json!({}), 0);
    defaults::<v1beta1::Community>(&json!({}), 0);
    defaults::<v1beta1::MetalLB>(&json!({}), 0);
}

fn defaults<T>(spec: &Value, count: usize)
where
    T: CustomResourceExt + DeserializeOwned + Serialize,
{
    let mut expected = spec.clone();
    let schema = schema::<T>();
    let properties = &schema["properties"]["spec"]["properties"];
    for (name, property) in properties.as_object().expect("a spec has properties") {
        if let Some(default) = property.get("default") {
            expected[name] = default.clone();
        }
    }
    let length = |spec: &Value| spec.as_object().map_or(0, serde_json::Map::len);
    assert_eq!(length(&expected) - length(spec), count, "{}", T::crd_name());
    let object = json!({"metadata": {"name": "one"}, "spec": spec});
    assert_eq!(again::<T>(object)["spec"], expected, "{}", T::crd_name());
}
