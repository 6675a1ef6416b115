//! The keeper before an API server that has one Secret and some places.

use std::sync::{Arc, Mutex};

use super::*;
use crate::mock::{self, Asked};
use crate::ready::Ready;
use crate::webhook::Registration;

/// What the API server has.
#[derive(Default)]
struct Server {
    secret: Option<Value>,
    version: u32,
    /// A write that another replica makes right before ours.
    quicker: Option<Value>,
    may_not_create: bool,
    convert: u16,
    patches: Vec<(String, Value)>,
}

impl Server {
    fn answer(&mut self, asked: Asked) -> (u16, String) {
        let line = asked.line;
        if line.contains("/proxy/convert") {
            return match self.convert {
                200 => (200, "{}".to_owned()),
                code => mock::status(code),
            };
        }
        if !line.contains("/secrets") {
            self.patches.push((line, asked.body));
            let object = json!({ "apiVersion": "v1", "kind": "Any", "metadata": { "name": "x" } });
            return (200, object.to_string());
        }
        if line.starts_with("GET") {
            return match &self.secret {
                Some(secret) => (200, secret.to_string()),
                None => mock::status(404),
            };
        }
        if let Some(quicker) = self.quicker.take() {
            self.write(&quicker);
        }
        if line.starts_with("POST") {
            if self.may_not_create {
                return mock::status(403);
            }
            if self.secret.is_some() {
                return mock::status(409);
            }
        } else {
            let seen = &asked.body["metadata"]["resourceVersion"];
            match &self.secret {
                None => return mock::status(404),
                Some(secret) if secret["metadata"]["resourceVersion"] != *seen => {
                    return mock::status(409);
                }
                Some(_) => {}
            }
        }
        let data = asked.body["data"].clone();
        self.write(&data);
        (200, self.secret.clone().unwrap().to_string())
    }

    fn write(&mut self, data: &Value) {
        self.version += 1;
        self.secret = Some(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "cert", "resourceVersion": self.version.to_string() },
            "data": data,
        }));
    }
}

fn shell(server: Server, places: Vec<Place>) -> (Shell, Arc<Mutex<Server>>, Ready) {
    let server = Arc::new(Mutex::new(server));
    let answering = server.clone();
    let (client, _) = mock::api(move |asked| answering.lock().unwrap().answer(asked));
    let ready = Ready::new();
    let shell = Shell {
        secrets: Api::namespaced(client.clone(), "metallb-system"),
        keeper: Keeper::new("webhook.metallb-system.svc"),
        seen: vec![None; places.len()],
        expiry: IntGaugeVec::new(Opts::new("expiry", "expiry"), &["certificate"]).unwrap(),
        client,
        certificate: Certificate::pending(),
        ready: ready.condition("webhook certificate"),
        settings: Settings {
            service: Service {
                namespace: "metallb-system".to_owned(),
                name: "webhook".to_owned(),
            },
            secret: "cert".to_owned(),
            places,
        },
    };
    (shell, server, ready)
}

fn made(data: &Value) -> Stored {
    let secret = json!({ "metadata": {}, "data": data });
    stored(Some(&serde_json::from_value(secret).unwrap()))
}

/// What another replica would have written.
fn of_another() -> Value {
    let mut keeper = Keeper::new("webhook.metallb-system.svc");
    let now = Timestamp::now();
    let renewal = keeper.decide(now, &Stored::default(), &[]).renewal.unwrap();
    let made = renewal.make(now, keeper.dns_name()).unwrap();
    let texts = made.texts();
    texts
        .into_iter()
        .map(|(key, text)| (key.to_owned(), json!(ByteString(text.to_vec()))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The object of a place as a watch shows it.
fn seen(data: &Value) -> DynamicObject {
    let mut object = json!({ "metadata": { "name": "x", "resourceVersion": "7" } });
    object
        .as_object_mut()
        .unwrap()
        .extend(data.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_made_and_served() {
    let (mut shell, server, ready) = shell(Server::default(), Vec::new());
    assert_eq!(ready.missing(), ["webhook certificate"]);
    let wait = shell.look().await;
    assert!(wait > Duration::from_hours(11), "{wait:?}");
    assert!(ready.missing().is_empty());
    let secret = server.lock().unwrap().secret.clone().unwrap();
    assert!(!made(&secret["data"]).tls_key.is_empty());
    let expiry = shell.expiry.with_label_values(&["server"]).get();
    assert!(expiry > Timestamp::now().as_second() + 364 * 86400);
}

#[tokio::test]
async fn of_two_replicas_the_slower_takes_what_the_quicker_made() {
    for (secret, what) in [(None, "no Secret"), (Some(json!({})), "an empty one")] {
        let mut at_first = Server {
            quicker: Some(of_another()),
            ..Server::default()
        };
        if let Some(data) = secret {
            at_first.write(&data);
        }
        let quicker = at_first.quicker.clone().unwrap();
        let (mut shell, server, ready) = shell(at_first, Vec::new());
        shell.look().await;
        assert!(ready.missing().is_empty(), "{what}");
        let left = server.lock().unwrap().secret.clone().unwrap();
        assert_eq!(left["data"], quicker, "{what}");
    }
}

#[tokio::test]
async fn who_may_not_create_the_secret_waits_for_it() {
    let at_first = Server {
        may_not_create: true,
        ..Server::default()
    };
    let (mut shell, server, ready) = shell(at_first, Vec::new());
    assert_eq!(shell.look().await, RETRY);
    assert!(!ready.missing().is_empty());
    server.lock().unwrap().write(&json!({}));
    shell.look().await;
    assert!(ready.missing().is_empty());
}

#[tokio::test]
async fn the_bundle_is_put_beside_our_addresses_as_they_were_seen() {
    let (mut shell, server, _) = shell(Server::default(), vec![Place::Validating("all")]);
    let address = json!({ "service": { "namespace": "metallb-system", "name": "webhook" } });
    let webhooks = json!([{ "name": "pools.example.com", "clientConfig": address }]);
    shell.seen[0] = Some(seen(&json!({ "webhooks": webhooks })));
    shell.look().await;
    let server = server.lock().unwrap();
    let (line, body) = server.patches.last().unwrap();
    assert!(
        line.starts_with(
            "PATCH /apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/all?"
        ),
        "{line}"
    );
    assert!(
        line.contains("fieldManager=MetalLB") && line.contains("force=true"),
        "{line}"
    );
    assert_eq!(body["metadata"]["resourceVersion"], "7");
    let secret = server.secret.clone().unwrap();
    assert_eq!(
        body["webhooks"][0]["clientConfig"]["caBundle"],
        secret["data"]["ca.crt"]
    );
}

#[tokio::test]
async fn a_version_is_served_once_the_conversion_answers() {
    let place = Place::Conversion {
        crd: "things.example.com",
        register: Some(Registration {
            path: "/convert",
            version: "v1",
            take_over: false,
            probe: || json!({}),
        }),
    };
    let at_first = Server {
        convert: 503,
        ..Server::default()
    };
    let (mut shell, server, _) = shell(at_first, vec![place]);
    let versions = json!([{ "name": "v1", "served": false }]);
    let mut crd = json!({ "spec": { "versions": versions } });
    shell.seen[0] = Some(seen(&crd));
    shell.look().await;
    let (_, registered) = server.lock().unwrap().patches.pop().unwrap();
    assert_eq!(registered["metadata"]["resourceVersion"], "7");
    crd["spec"]["conversion"] = registered["spec"]["conversion"].clone();
    assert_eq!(crd["spec"]["conversion"]["strategy"], "Webhook");

    server.lock().unwrap().patches.clear();
    shell.seen[0] = Some(seen(&crd));
    assert_eq!(shell.look().await, RETRY);
    assert_eq!(
        server.lock().unwrap().patches.len(),
        0,
        "nobody answers there yet"
    );
    server.lock().unwrap().convert = 200;
    shell.look().await;
    let (_, patch) = server.lock().unwrap().patches.pop().unwrap();
    assert_eq!(patch[1]["path"], "/spec/versions/0/served");
}
