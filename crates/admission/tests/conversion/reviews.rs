//! The API server's questions and the answers to them.

use kube::core::conversion::{ConversionRequest, ConversionReview};
use kube::core::response::StatusSummary;
use metallb_admission::{convert, convert_review, probe};
use serde_json::{Value, json};

use crate::{V1BETA1, V1BETA2, peer};

fn review(objects: &[Value]) -> Value {
    let review = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "ConversionReview",
        "request": {"uid": "705ab4f5", "desiredAPIVersion": V1BETA1, "objects": objects},
    });
    let review: ConversionReview = serde_json::from_value(review).expect("a review");
    serde_json::to_value(convert_review(review)).expect("plain data")
}

#[test]
fn a_review_of_several_objects_is_answered_in_their_order() {
    let one = peer(
        V1BETA2,
        &json!({"myASN": 1, "peerASN": 2, "peerAddress": "1.2.3.4"}),
    );
    let mut two = one.clone();
    two["metadata"]["name"] = json!("tor2");
    let answer = review(&[one.clone(), two.clone(), peer(V1BETA1, &json!({}))]);
    assert_eq!(answer["apiVersion"], "apiextensions.k8s.io/v1");
    assert_eq!(answer["kind"], "ConversionReview");
    assert_eq!(answer["response"]["uid"], "705ab4f5");
    assert_eq!(answer["response"]["result"]["status"], "Success");
    assert_eq!(
        answer["response"]["convertedObjects"],
        json!([
            convert(one, V1BETA1).expect("one"),
            convert(two, V1BETA1).expect("two"),
            peer(V1BETA1, &json!({})),
        ])
    );
    assert_eq!(review(&[])["response"]["convertedObjects"], json!([]));
}

#[test]
fn a_review_fails_with_the_reason_for_each_bad_object() {
    let good = peer(V1BETA2, &json!({}));
    let mut cluster_wide = peer(V1BETA2, &json!(4));
    cluster_wide["metadata"] = json!({"name": "lost"});
    let answer = review(&[peer(V1BETA2, &json!("s")), good, cluster_wide, json!(null)]);
    assert_eq!(answer["response"]["uid"], "705ab4f5");
    assert_eq!(answer["response"]["result"]["status"], "Failure");
    assert_eq!(
        answer["response"]["result"]["message"],
        "BGPPeer metallb-system/tor1: spec is a text, not an object; \
         BGPPeer lost: spec is a number, not an object; \
         object without kind : the object is null, not an object"
    );
    assert_eq!(answer["response"]["convertedObjects"], json!([]));
}

#[test]
fn a_review_without_a_request_is_answered_too() {
    let review = ConversionReview {
        types: kube::core::TypeMeta::default(),
        request: None::<ConversionRequest>,
        response: None,
    };
    let response = convert_review(review).response.expect("an answer");
    assert_eq!(response.result.status, Some(StatusSummary::Failure));
    assert_eq!(
        response.result.message,
        "the ConversionReview has no request"
    );
}

#[test]
fn whoever_only_wants_to_know_whether_somebody_is_there_gets_an_answer() {
    let review = serde_json::from_value(probe()).expect("a review");
    let response = convert_review(review).response.expect("an answer");
    assert_eq!(response.uid, "probe");
    assert_eq!(response.result.status, Some(StatusSummary::Success));
}
