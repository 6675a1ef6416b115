//! What goes over the wire, against a server that is two closures long.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use tower_test::mock;

use super::*;

/// Answers every request with what `server` says; gives back what `ask` gave.
async fn against<T>(
    server: impl Fn(&Request<Body>) -> (u16, Value) + Send + 'static,
    ask: impl AsyncFnOnce(Applier) -> T,
) -> T {
    let (service, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let answers = tokio::spawn(async move {
        while let Some((request, send)) = handle.next_request().await {
            let (status, body) = server(&request);
            let response = Response::builder()
                .status(StatusCode::from_u16(status).expect("a status"))
                .body(Body::from(body.to_string().into_bytes()))
                .expect("a response");
            send.send_response(response);
        }
    });
    let client = Client::new(service, "default");
    let events = Events::start(client.clone(), "metallb-operator", None);
    let result = ask(Applier::new(client, "metallb-system", events)).await;
    answers.abort();
    result
}

fn refusal(code: u16, message: &str) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": "Refused", "message": message,
    });
    (code, status)
}

fn config_map() -> Object {
    Object::new(
        Kind::ConfigMap,
        "metallb-excludel2",
        json!({ "namespace": "metallb-system" }),
        json!({ "data": {} }),
    )
}

fn seen(manager: &str) -> Value {
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {
            "name": "speaker", "uid": "1", "resourceVersion": "7",
            "managedFields": [{ "manager": manager, "operation": "Apply" }],
        },
    })
}

#[tokio::test]
async fn objects_are_applied_by_the_server_with_force() {
    let applied = against(
        |request| {
            assert_eq!(request.method(), Method::PATCH);
            let uri = request.uri().to_string();
            assert!(
                uri.starts_with("/api/v1/namespaces/metallb-system/configmaps/metallb-excludel2?"),
                "{uri}"
            );
            assert!(uri.contains("force=true") && uri.contains("fieldManager=metallb-operator"));
            assert_eq!(
                request.headers()["content-type"],
                "application/apply-patch+yaml"
            );
            (200, seen("metallb-operator"))
        },
        async |applier| applier.apply(&config_map(), false).await,
    )
    .await;
    assert_eq!(
        applied.expect("it is taken"),
        Fingerprint::of_version("1", "7")
    );
}

#[tokio::test]
async fn what_somebody_else_installed_is_taken_over_before_it_is_applied() {
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen_by = asked.clone();
    against(
        move |request| {
            let kind = request.headers().get("content-type");
            let kind = kind.map_or("", |it| it.to_str().expect("text"));
            let line = format!("{} {kind}", request.method());
            seen_by.lock().expect("nobody panicked").push(line);
            let mut theirs = seen("kubectl-client-side-apply");
            theirs["metadata"]["managedFields"][0]["apiVersion"] = json!("v1");
            (200, theirs)
        },
        async |applier| applier.apply(&config_map(), true).await,
    )
    .await
    .expect("it is taken");
    assert_eq!(
        *asked.lock().expect("nobody panicked"),
        [
            "GET application/json",
            "PATCH application/merge-patch+json",
            "PATCH application/apply-patch+yaml",
        ]
    );
}

#[tokio::test]
async fn who_may_not_look_for_leftovers_goes_on_with_the_rest() {
    let found = against(
        |request| match request.uri().path() {
            path if path.ends_with("/daemonsets/frr-k8s") => {
                let mut frr = seen("manager");
                frr["metadata"]["name"] = json!("frr-k8s");
                frr["metadata"]["ownerReferences"] = json!([{
                    "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB",
                    "name": "metallb", "uid": "u",
                }]);
                (200, frr)
            }
            path if path.contains("/validatingwebhookconfigurations/") => refusal(403, "no"),
            _ => {
                let (code, mut none) = refusal(404, "not found");
                none["reason"] = json!("NotFound");
                (code, none)
            }
        },
        async |applier| applier.predecessors_leftovers("u").await,
    )
    .await
    .expect("it goes on");
    let frr = Key::new(Kind::DaemonSet, "frr-k8s");
    assert_eq!(found, [(frr, "1".to_owned())].into());
}

#[tokio::test]
async fn the_key_of_an_installation_without_operator_is_used() {
    let read = against(
        |request| {
            if request.uri().path().ends_with("/secrets/memberlist") {
                let secret = json!({
                    "apiVersion": "v1", "kind": "Secret",
                    "metadata": { "name": "memberlist", "uid": "1", "resourceVersion": "7" },
                    "data": { "secretkey": "a2V5" },
                });
                return (200, secret);
            }
            let (code, mut none) = refusal(404, "not found");
            none["reason"] = json!("NotFound");
            (code, none)
        },
        async |applier| applier.memberlist_key().await,
    )
    .await
    .expect("it is read");
    assert_eq!(read.and_then(|(key, _)| key).as_deref(), Some(&b"key"[..]));
}

#[tokio::test]
async fn refusals_are_told_apart() {
    for (code, message, permanent) in [
        (422, "spec is invalid", true),
        (
            500,
            "failed to create typed patch object: .spec.x: field not declared in schema",
            true,
        ),
        (500, "etcdserver: request timed out", false),
        (403, "forbidden", false),
        (404, "namespaces \"metallb-system\" not found", false),
        (409, "the object has been modified", false),
    ] {
        let refused = against(
            move |_| refusal(code, message),
            async |applier| applier.apply(&config_map(), false).await,
        )
        .await
        .expect_err("it is refused");
        assert_eq!(
            (refused.message.as_str(), refused.permanent),
            (message, permanent),
            "{code}"
        );
    }
}

#[tokio::test]
async fn only_what_we_applied_is_deleted() {
    let key = Key::new(Kind::DaemonSet, "speaker");
    let copy = against(
        |request| {
            assert_eq!(
                request.method(),
                Method::GET,
                "a copy is looked at and left alone"
            );
            (200, seen("kubectl-client-side-apply"))
        },
        async |applier| applier.delete(&key, "1").await,
    )
    .await;
    assert_eq!(copy.expect("no error"), Deleted::NotOurs);

    let ours = |request: &Request<Body>| {
        if request.method() == Method::GET {
            return (200, seen("metallb-operator"));
        }
        assert_eq!(request.method(), Method::DELETE);
        refusal(404, "not found")
    };
    let gone = against(ours, async |applier| applier.delete(&key, "1").await).await;
    assert_eq!(gone.expect("what is gone is deleted"), Deleted::Yes);

    let successor = |request: &Request<Body>| {
        assert_eq!(
            request.method(),
            Method::GET,
            "another object of that name is not touched"
        );
        (200, seen("metallb-operator"))
    };
    let other = against(successor, async |applier| applier.delete(&key, "0").await).await;
    assert_eq!(other.expect("no error"), Deleted::Yes);
}

#[tokio::test]
async fn an_empty_memberlist_key_is_none() {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "metallb-memberlist", "uid": "1", "resourceVersion": "7" },
        "data": { "secretkey": "" },
    });
    let read = against(
        move |_| (200, secret.clone()),
        async |applier| applier.memberlist_key().await,
    )
    .await;
    let (key, _) = read.expect("no error").expect("there is a Secret");
    assert_eq!(key, None);
}

#[tokio::test]
async fn what_speakers_wrote_is_found_in_all_namespaces_and_deleted_by_its_uid() {
    let item = json!({ "metadata": { "namespace": "frr", "name": "metallb-n1", "uid": "7" } });
    let list = json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
        "metadata": {}, "items": [item],
    });
    let objects = "/apis/frrk8s.metallb.io/v1beta1";
    let found = against(
        move |request| {
            let uri = request.uri().to_string();
            if *request.method() == Method::GET {
                let all = format!("{objects}/frrconfigurations?");
                let label = "metallb.io%2Fwritten-from%3Dmetallb-system";
                assert!(uri.starts_with(&all) && uri.contains(label), "{uri}");
                (200, list.clone())
            } else {
                assert_eq!(request.method(), Method::DELETE);
                let one = format!("{objects}/namespaces/frr/frrconfigurations/metallb-n1");
                assert!(uri.starts_with(&one), "{uri}");
                refusal(409, "it has another uid")
            }
        },
        async |applier| {
            let found = applier.frr_configurations().await.expect("a list");
            for (key, uid) in &found {
                let deleted = applier.delete_frr_configuration(key, uid).await;
                assert!(deleted.is_ok(), "somebody else's is left alone");
            }
            found
        },
    )
    .await;
    assert_eq!(
        found,
        [(ObjectKey::new("frr", "metallb-n1"), "7".to_owned())].into()
    );
    // The definition is gone, and all objects with it.
    let gone = against(
        |_| refusal(404, "the server could not find the requested resource"),
        async |applier| applier.frr_configurations().await,
    );
    assert!(gone.await.is_ok_and(|it| it.is_empty()));
}

/// The operator was upgraded and the definitions were not: what they know is written still.
#[tokio::test]
async fn a_definition_that_lacks_fields_gets_the_conditions() {
    let metallb: MetalLB = serde_json::from_value(json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB",
        "metadata": { "namespace": "metallb-system", "name": "metallb", "uid": "1" },
    }))
    .expect("a MetalLB");
    let status = json!({ "observedGeneration": 3, "platform": "Kubernetes" });
    let report = |status: &Value| Report {
        metallb: ObjectKey::of(&metallb),
        status: serde_json::from_value(status.clone()).expect("a status"),
        turns: Vec::new(),
    };
    let asked = AtomicUsize::new(0);
    let old = move |request: &Request<Body>| {
        assert!(request.uri().path().ends_with("/metallbs/metallb/status"));
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 => refusal(500, ".status.platform: field not declared in schema"),
            _ => (200, json!({ "metadata": {}, "spec": {} })),
        }
    };
    let known = against(old, async |applier| {
        applier.report(&metallb, &report(&status)).await
    });
    assert!(!known.await.expect("the rest is taken"));
    let new = |_: &Request<Body>| (200, json!({ "metadata": {}, "spec": {} }));
    let whole = against(new, async |applier| {
        applier.report(&metallb, &report(&status)).await
    });
    assert!(whole.await.expect("it is taken"));
}

#[tokio::test]
async fn addresses_in_use_are_those_of_all_pools() {
    let pool = |v4: i64, v6: i64| {
        json!({
            "metadata": { "name": "a" }, "spec": { "addresses": [] },
            "status": {
                "assignedIPv4": v4, "assignedIPv6": v6, "availableIPv4": 1, "availableIPv6": 1,
            },
        })
    };
    let new = json!({ "metadata": { "name": "new" }, "spec": { "addresses": [] } });
    let list = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPoolList",
        "metadata": {}, "items": [pool(2, 1), new, pool(0, 4)],
    });
    let count = |answer: (u16, Value)| {
        against(
            move |_| answer.clone(),
            async |applier| applier.addresses_in_use().await,
        )
    };
    assert_eq!(count((200, list)).await.expect("a list"), 7);
    // Whoever may not see them must not keep anything from being removed.
    for code in [403, 404] {
        assert_eq!(count(refusal(code, "no")).await.expect("none"), 0);
    }
    assert!(count(refusal(500, "etcd is away")).await.is_err());
}

#[tokio::test]
async fn missing_rights_are_asked_for_one_by_one_only_where_the_list_may_be_incomplete() {
    for incomplete in [false, true] {
        let server = move |request: &Request<Body>| {
            if request.uri().path().ends_with("selfsubjectrulesreviews") {
                let rules = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["get",
                    "list", "create", "patch", "update", "delete"] }]);
                let status = json!({
                    "resourceRules": rules, "nonResourceRules": [], "incomplete": incomplete,
                });
                return (201, json!({ "spec": {}, "status": status }));
            }
            (201, json!({ "spec": {}, "status": { "allowed": true } }))
        };
        let missing = against(server, async |applier| applier.missing_rights().await).await;
        let missing = missing.expect("an answer").needed;
        let has = |line: &str| missing.iter().any(|it| it == line);
        assert_eq!(has("watch metallbs.metallb.io"), !incomplete, "{missing:?}");
        let pods = "watch pods in namespace metallb-system";
        assert_eq!(has(pods), !incomplete, "{missing:?}");
    }
}
