//! The webhooks before an API server that has one pool.

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::fixtures::pool;

/// Admission before an API server that answers every list with `status`, the pools being one of
/// 192.0.2.0/24.
fn admission(status: u16) -> Admission {
    let api = tower::service_fn(move |request: Request<Body>| async move {
        assert!(request.uri().path().ends_with("/ipaddresspools"));
        let mut old = serde_json::to_value(pool("old", &["192.0.2.0/24"])).unwrap();
        old["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        let items = [old];
        let body = match status {
            200 => json!({ "metadata": {}, "items": items }),
            code => {
                json!({ "kind": "Status", "status": "Failure", "code": code, "message": "down" })
            }
        };
        let body = Body::from(body.to_string().into_bytes());
        Ok::<_, std::convert::Infallible>(Response::builder().status(status).body(body).unwrap())
    });
    Admission {
        client: Client::new(api, "default"),
        namespace: "metallb-system".to_owned(),
        denials: IntCounterVec::new(Opts::new(DENIALS.0, DENIALS.1), &["webhook"]).unwrap(),
    }
}

/// A request to create a pool of these addresses.
fn creation(addresses: &str) -> AdmissionReview<DynamicObject> {
    let new = pool("new", &[addresses]);
    let kind = json!({ "group": "metallb.io", "version": "v1beta1", "kind": "IPAddressPool" });
    let resource =
        json!({ "group": "metallb.io", "version": "v1beta1", "resource": "ipaddresspools" });
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7", "kind": kind, "resource": resource, "name": "new",
            "namespace": "metallb-system", "operation": "CREATE", "userInfo": {}, "object": new,
            "dryRun": false,
        },
    });
    serde_json::from_value(review).unwrap()
}

async fn answer(status: u16, addresses: &str) -> Value {
    let webhook = Webhook::at("/validate-metallb-io-v1beta1-ipaddresspool").unwrap();
    let review = admission(status).answer(webhook, creation(addresses)).await;
    serde_json::to_value(review).unwrap()["response"].take()
}

#[tokio::test]
async fn what_fits_in_is_allowed_and_what_does_not_is_refused() {
    let allowed = answer(200, "198.51.100.0/24").await;
    assert_eq!(
        (&allowed["uid"], &allowed["allowed"]),
        (&json!("7"), &json!(true))
    );
    let refused = answer(200, "192.0.2.128/25").await;
    assert_eq!(refused["allowed"], false);
    let why = refused["status"]["message"].as_str().unwrap();
    assert!(
        why.contains("overlaps with already defined CIDR \"192.0.2.0/24\" in pool \"old\""),
        "{why}"
    );
}

#[tokio::test]
async fn what_cannot_be_judged_is_refused_with_the_reason() {
    let refused = answer(500, "198.51.100.0/24").await;
    assert_eq!(refused["allowed"], false);
    let why = refused["status"]["message"].as_str().unwrap();
    assert!(
        why.contains("cannot read what it must fit in with"),
        "{why}"
    );
}
