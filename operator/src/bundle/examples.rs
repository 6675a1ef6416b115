//! One example or more of each kind: the samples, and what the programs write themselves.

use serde_json::Value;

/// `alm-examples`: a list in JSON.
pub(super) fn all() -> String {
    let mut examples: Vec<Value> = [&[METALLB, WRITTEN][..], &SAMPLES]
        .concat()
        .iter()
        .flat_map(|text| text.split("\n---\n"))
        .map(parse)
        .collect();
    examples.iter_mut().for_each(Value::sort_all_objects);
    format!("{:#}", Value::from(examples))
}

/// What a console offers to be made first.
pub(super) fn metallb() -> String {
    let mut metallb = parse(METALLB);
    metallb.sort_all_objects();
    metallb.to_string()
}

fn parse(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("the samples are YAML, as a test sees to")
}

/// The one with an empty spec: a console fills its form with it, and whoever saves that unread has
/// speakers on every node.
const METALLB: &str = include_str!("../../../config/samples/demo/metallb.yaml");
const SAMPLES: [&str; 7] = [
    include_str!("../../../config/samples/ipaddresspool.yaml"),
    include_str!("../../../config/samples/l2advertisement.yaml"),
    include_str!("../../../config/samples/bgpadvertisement.yaml"),
    include_str!("../../../config/samples/bgppeer.yaml"),
    include_str!("../../../config/samples/bgppeer-unnumbered.yaml"),
    include_str!("../../../config/samples/bfdprofile.yaml"),
    include_str!("../../../config/samples/community.yaml"),
];
const WRITTEN: &str = include_str!("written.yaml");
