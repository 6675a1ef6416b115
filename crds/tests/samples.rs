//! The samples are what they show how to write: valid.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use kube::CustomResourceExt;
use kube::core::Resource;
use metallb_crds::names::{DEFAULT_NAMESPACE, METALLB_NAME};
use metallb_crds::{v1beta1, v1beta2};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[test]
fn there_is_a_sample_of_every_kind_that_users_write() {
    read::<v1beta1::MetalLB>("metallb.yaml");
    read::<v1beta1::IPAddressPool>("ipaddresspool.yaml");
    read::<v1beta1::L2Advertisement>("l2advertisement.yaml");
    read::<v1beta1::BGPAdvertisement>("bgpadvertisement.yaml");
    read::<v1beta2::BGPPeer>("bgppeer.yaml");
    read::<v1beta1::BFDProfile>("bfdprofile.yaml");
    read::<v1beta1::Community>("community.yaml");
}

#[test]
fn samples_refer_to_each_other() {
    let pool = read::<v1beta1::IPAddressPool>("ipaddresspool.yaml");
    let l2 = read::<v1beta1::L2Advertisement>("l2advertisement.yaml");
    let bgp = read::<v1beta1::BGPAdvertisement>("bgpadvertisement.yaml");
    let peer = read::<v1beta2::BGPPeer>("bgppeer.yaml");
    let bfd = read::<v1beta1::BFDProfile>("bfdprofile.yaml");
    let community = read::<v1beta1::Community>("community.yaml");

    assert_eq!(
        Some(&l2.spec.ip_address_pools[0]),
        pool.metadata.name.as_ref()
    );
    let wanted = bgp.spec.ip_address_pool_selectors[0].match_labels.clone();
    assert_eq!(wanted, pool.metadata.labels);
    assert_eq!(Some(&bgp.spec.peers[0]), peer.metadata.name.as_ref());
    assert_eq!(peer.spec.bfd_profile, bfd.metadata.name);
    let aliases: BTreeSet<_> = community
        .spec
        .communities
        .iter()
        .map(|one| &one.name)
        .collect();
    for used in bgp
        .spec
        .communities
        .iter()
        .filter(|used| !used.contains(':'))
    {
        assert!(
            aliases.contains(used),
            "{used} is no name of the sample Community"
        );
    }
}

#[test]
fn the_demo_has_all_that_it_applies() {
    let metallb = read::<v1beta1::MetalLB>("demo/metallb.yaml");
    assert_eq!(metallb.metadata.name.as_deref(), Some(METALLB_NAME));
    let pool = read::<v1beta1::IPAddressPool>("demo/pool.yaml");
    assert_eq!(pool.spec.addresses.len(), 2, "one range of each family");
    read::<v1beta1::L2Advertisement>("demo/l2advertisement.yaml");

    let web = documents("demo/web.yaml");
    let kinds: Vec<_> = web.iter().map(|object| object["kind"].clone()).collect();
    assert_eq!(kinds, ["Deployment", "Service"]);
    let (deployment, service) = (&web[0], &web[1]);
    let labels = deployment.pointer("/spec/template/metadata/labels");
    assert_eq!(service.pointer("/spec/selector"), labels);
    assert_eq!(service.pointer("/spec/type"), Some(&"LoadBalancer".into()));
    assert_eq!(
        service.pointer("/spec/ipFamilyPolicy"),
        Some(&"PreferDualStack".into())
    );
}

/// Reads a sample of a kind of ours, after holding it against the schema and the CEL rules.
fn read<T>(file: &str) -> T
where
    T: CustomResourceExt + Resource + Serialize + DeserializeOwned,
{
    let mut documents = documents(file);
    assert_eq!(documents.len(), 1, "{file}");
    let value = documents.remove(0);
    let crd = T::crd();
    let version = &crd.spec.versions[0].name;
    assert_eq!(value["kind"], *crd.spec.names.kind, "{file}");
    assert_eq!(
        value["apiVersion"],
        *format!("metallb.io/{version}"),
        "{file}"
    );
    let ours = metallb_crds::all();
    let ours = ours
        .iter()
        .find(|one| one["metadata"]["name"] == T::crd_name());
    let versions = ours.expect("every kind is among all()")["spec"]["versions"].as_array();
    let schema = versions
        .and_then(|all| all.iter().find(|one| one["name"] == **version))
        .map(|one| &one["schema"]["openAPIV3Schema"])
        .expect("every version is among all()");
    conforms(file, &value, schema);
    let object: T = serde_json::from_value(value).expect("what conforms can be read");
    kube::core::cel::validate_cel(&object).expect("the rules let it through");
    assert_eq!(
        object.meta().namespace.as_deref(),
        Some(DEFAULT_NAMESPACE),
        "{file}"
    );
    object
}

/// The strictness of `kubectl apply --validate=strict`: nothing unknown, nothing missing.
fn conforms(path: &str, value: &Value, schema: &Value) {
    if path.ends_with(".metadata") {
        return; // known to the API server
    }
    let kind = match value {
        Value::Null => panic!("{path} is null"),
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if let Some(wanted) = schema.get("type") {
        assert_eq!(wanted, kind, "{path}");
    }
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{path} is {value}");
    }
    if let (Some(minimum), Some(number)) = (schema["minimum"].as_i64(), value.as_i64()) {
        assert!(minimum <= number, "{path} is {value}");
    }
    if let (Some(maximum), Some(number)) = (schema["maximum"].as_i64(), value.as_i64()) {
        assert!(number <= maximum, "{path} is {value}");
    }
    for inner in value.as_array().into_iter().flatten() {
        conforms(&format!("{path}[]"), inner, &schema["items"]);
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        let known = schema["properties"]
            .get(name)
            .or_else(|| schema.get("additionalProperties"));
        let known = known.unwrap_or_else(|| panic!("{path} has no {name}"));
        conforms(&format!("{path}.{name}"), inner, known);
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().expect("names are texts");
        assert!(value.get(name).is_some(), "{path} lacks {name}");
    }
}

/// The objects of a file below config/samples.
fn documents(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../config/samples")
        .join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.split("\n---\n")
        .map(|document| serde_saphyr::from_str(document).expect("samples are YAML"))
        .collect()
}

#[test]
fn no_two_samples_have_the_same_name() {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for file in [
        "metallb.yaml",
        "ipaddresspool.yaml",
        "l2advertisement.yaml",
        "bgpadvertisement.yaml",
        "bgppeer.yaml",
        "bfdprofile.yaml",
        "community.yaml",
        "demo/pool.yaml",
        "demo/l2advertisement.yaml",
    ] {
        for object in documents(file) {
            let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
            let other = seen.insert(name, file);
            assert_eq!(other, None, "{file}");
        }
    }
}
