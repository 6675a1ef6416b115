//! Any JSON may come as a BGPPeer: it is converted or refused, and what was converted comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metallb_admission::convert;
use serde_json::Value;

const V1BETA1: &str = "metallb.io/v1beta1";
const V1BETA2: &str = "metallb.io/v1beta2";

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut object) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    if !object.is_object() {
        return;
    }
    object["kind"] = "BGPPeer".into();
    for (from, to) in [(V1BETA1, V1BETA2), (V1BETA2, V1BETA1)] {
        object["apiVersion"] = from.into();
        if let Ok(converted) = convert(object.clone(), to) {
            assert_eq!(converted["apiVersion"], to);
            let back = convert(converted.clone(), from).expect("it came from there");
            // Once it has been written in our way, nothing is lost any more.
            assert_eq!(convert(back, to), Ok(converted));
        }
    }
});
