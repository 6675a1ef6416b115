//! Where the API server is told which webhooks there are, and whom to trust there.
//!
//! In each of these objects some addresses name our Service; the `caBundle` beside those is ours to
//! set, and nothing else. What is to be changed is a pure function of the object as it was seen.

use k8s_openapi::ByteString;
use kube::ResourceExt as _;
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};

/// A Service, as a webhook's address names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One object that tells the API server of webhooks.
#[derive(Clone, Debug)]
pub enum Place {
    /// The `ValidatingWebhookConfiguration` of this name.
    Validating(&'static str),
    /// The conversion in a `CustomResourceDefinition`.
    Conversion {
        /// The definition's name.
        crd: &'static str,
        /// Whether to say there that we convert. Otherwise somebody else does, or nobody.
        register: Option<Registration>,
    },
}

/// What a `CustomResourceDefinition` should say of its conversion.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Where we convert.
    pub path: &'static str,
    /// The version that is served once we do, and not before.
    pub version: &'static str,
    /// Whether to take over from another Service.
    pub take_over: bool,
    /// A `ConversionReview` that gets an answer with status 200 from whoever can convert.
    pub probe: fn() -> Value,
}

/// What a definition lacks of its [`Registration`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// The conversion, to be merged in.
    Conversion(Value),
    /// The version is not served; to be patched in by JSON patch, provided that `/convert` answers.
    Version(Value),
}

impl Place {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Validating(name) => name,
            Self::Conversion { crd, .. } => crd,
        }
    }

    pub(super) fn resource(&self) -> ApiResource {
        let (group, kind, plural) = match self {
            Self::Validating(_) => (
                "admissionregistration.k8s.io",
                "ValidatingWebhookConfiguration",
                "validatingwebhookconfigurations",
            ),
            Self::Conversion { .. } => (
                "apiextensions.k8s.io",
                "CustomResourceDefinition",
                "customresourcedefinitions",
            ),
        };
        ApiResource {
            group: group.to_owned(),
            version: "v1".to_owned(),
            api_version: format!("{group}/v1"),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }

    /// The bundles beside addresses that name `service`, empty where there is none.
    pub(super) fn bundles(&self, object: &Value, service: &Service) -> Vec<Vec<u8>> {
        self.ours(object, service)
            .map(|(_, address)| bundle(address))
            .collect()
    }

    /// What to apply to put `bundle` beside all these addresses.
    pub(super) fn injection(&self, object: &Value, service: &Service, bundle: &[u8]) -> Value {
        let address = json!({ "caBundle": ByteString(bundle.to_vec()) });
        match self {
            Self::Validating(_) => {
                let webhooks = self
                    .ours(object, service)
                    .map(|(name, _)| json!({ "name": name, "clientConfig": address }));
                json!({ "webhooks": webhooks.collect::<Vec<_>>() })
            }
            Self::Conversion { .. } => {
                json!({ "spec": { "conversion": { "webhook": { "clientConfig": address } } } })
            }
        }
    }

    /// The addresses that name `service`, with the names of their webhooks.
    fn ours<'a>(
        &self,
        object: &'a Value,
        service: &'a Service,
    ) -> impl Iterator<Item = (&'a Value, &'a Value)> {
        let webhooks = match self {
            Self::Validating(_) => object["webhooks"].as_array().map(Vec::as_slice),
            Self::Conversion { .. } => object
                .pointer("/spec/conversion/webhook")
                .map(std::slice::from_ref),
        };
        webhooks
            .unwrap_or_default()
            .iter()
            .map(|webhook| (&webhook["name"], &webhook["clientConfig"]))
            .filter(|(_, address)| names(address, service))
    }
}

impl Registration {
    /// What `crd` lacks, when `bundle` is whom to trust.
    pub(super) fn lack(&self, crd: &Value, service: &Service, ours: &[u8]) -> Option<Lack> {
        let webhook = &crd["spec"]["conversion"]["webhook"];
        let address = &webhook["clientConfig"];
        let somebody = crd["spec"]["conversion"]["strategy"] == "Webhook";
        if !(somebody && names(address, service)) {
            let may = !somebody || self.take_over;
            return may.then(|| Lack::Conversion(self.conversion(service, ours)));
        }
        if address["service"]["path"] != self.path {
            return Some(Lack::Conversion(self.conversion(service, ours)));
        }
        // Our bundle comes first, by ourselves or another replica; the watch then tells of it.
        if bundle(address) != ours {
            return None;
        }
        let versions = crd["spec"]["versions"].as_array()?;
        let nth = versions.iter().position(|it| it["name"] == self.version)?;
        (versions[nth]["served"] == false).then(|| {
            let version = format!("/spec/versions/{nth}");
            Lack::Version(json!([
                { "op": "test", "path": format!("{version}/name"), "value": self.version },
                { "op": "replace", "path": format!("{version}/served"), "value": true },
            ]))
        })
    }

    fn conversion(&self, service: &Service, bundle: &[u8]) -> Value {
        json!({
            "strategy": "Webhook",
            "webhook": {
                "conversionReviewVersions": ["v1"],
                "clientConfig": {
                    "url": null,
                    "service": {
                        "namespace": service.namespace,
                        "name": service.name,
                        "path": self.path,
                        "port": 443,
                    },
                    "caBundle": ByteString(bundle.to_vec()),
                },
            },
        })
    }
}

/// A JSON patch after which `manager` owns nothing of `spec.versions` in `crd`, if it does now.
///
/// That list has one owner as a whole. It is whoever brings the definition: `kubectl apply
/// --server-side` of the same file must not meet a conflict with us.
pub(super) fn disowned(crd: &DynamicObject, manager: &str) -> Option<Value> {
    let mut entries = crd.managed_fields().to_vec();
    let mut owns = false;
    for entry in &mut entries {
        let ours = entry.manager.as_deref() == Some(manager);
        if let Some(fields) = entry.fields_v1.as_mut().filter(|_| ours)
            && let Some(spec) = fields.0["f:spec"].as_object_mut()
        {
            owns |= spec.remove("f:versions").is_some();
        }
    }
    owns.then(|| {
        json!([
            {
                "op": "test",
                "path": "/metadata/resourceVersion",
                "value": crd.resource_version(),
            },
            { "op": "replace", "path": "/metadata/managedFields", "value": entries },
        ])
    })
}

fn names(address: &Value, service: &Service) -> bool {
    let named = &address["service"];
    named["name"] == service.name.as_str() && named["namespace"] == service.namespace.as_str()
}

fn bundle(address: &Value) -> Vec<u8> {
    let bytes: Option<ByteString> = serde_json::from_value(address["caBundle"].clone()).ok();
    bytes.unwrap_or_default().0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Service {
            namespace: "metallb-system".to_owned(),
            name: "webhook".to_owned(),
        }
    }

    fn at(name: &str, bundle: &str) -> Value {
        json!({
            "service": { "namespace": "metallb-system", "name": name, "path": "/convert" },
            "caBundle": bundle,
        })
    }

    #[test]
    fn only_what_leads_to_us_is_touched() {
        let place = Place::Validating("all");
        let object = json!({ "webhooks": [
            { "name": "a.example.com", "clientConfig": at("webhook", "") },
            { "name": "b.example.com", "clientConfig": at("another", "Yg==") },
            { "name": "c.example.com", "clientConfig": { "url": "https://example.com" } },
            { "name": "d.example.com", "clientConfig": at("webhook", "Yg==") },
        ] });
        assert_eq!(
            place.bundles(&object, &service()),
            [b"".to_vec(), b"b".to_vec()]
        );
        let trust = json!({ "caBundle": "YWI=" });
        assert_eq!(
            place.injection(&object, &service(), b"ab"),
            json!({ "webhooks": [
                { "name": "a.example.com", "clientConfig": trust },
                { "name": "d.example.com", "clientConfig": trust },
            ] })
        );
    }

    fn registration(take_over: bool) -> Registration {
        Registration {
            path: "/convert",
            version: "v1",
            take_over,
            probe: || Value::Null,
        }
    }

    fn definition(conversion: &Value, served: bool) -> Value {
        json!({ "spec": { "conversion": conversion, "versions": [
            { "name": "v2", "served": true },
            { "name": "v1", "served": served },
        ] } })
    }

    #[test]
    fn a_definition_gets_its_conversion_and_then_its_version() {
        let place = Place::Conversion {
            crd: "things.example.com",
            register: None,
        };
        let registration = registration(false);
        let lack = |crd: &Value| registration.lack(crd, &service(), b"b");
        let plain = definition(&json!({ "strategy": "None" }), false);
        assert!(place.bundles(&plain, &service()).is_empty());
        let Some(Lack::Conversion(conversion)) = lack(&plain) else {
            panic!("it should be registered");
        };
        assert_eq!(lack(&definition(&Value::Null, false)), lack(&plain));

        let registered = definition(&conversion, false);
        assert_eq!(place.bundles(&registered, &service()), [b"b".to_vec()]);
        let Some(Lack::Version(patch)) = lack(&registered) else {
            panic!("it should be served");
        };
        assert_eq!(patch[0]["path"], "/spec/versions/1/name");
        assert_eq!(patch[1]["path"], "/spec/versions/1/served");
        assert_eq!(lack(&definition(&conversion, true)), None);

        let untrusted =
            json!({ "strategy": "Webhook", "webhook": { "clientConfig": at("webhook", "") } });
        assert_eq!(
            lack(&definition(&untrusted, false)),
            None,
            "whom to trust first"
        );
    }

    #[test]
    fn the_list_of_versions_stays_with_whoever_brought_it() {
        let entry = |manager: &str, fields: Value| {
            json!({
                "manager": manager, "operation": "Update", "apiVersion": "v1",
                "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": fields },
            })
        };
        let crd = |ours: Value| -> DynamicObject {
            serde_json::from_value(json!({ "metadata": {
                "name": "things.example.com",
                "resourceVersion": "7",
                "managedFields": [entry("kubectl", json!({ "f:versions": {} })), entry("us", ours)],
            } }))
            .unwrap()
        };
        let owned = crd(json!({ "f:versions": {}, "f:conversion": {} }));
        let patch = disowned(&owned, "us").expect("we own it");
        assert_eq!(patch[0]["value"], "7");
        let after = &patch[1]["value"];
        assert_eq!(after[0]["fieldsV1"]["f:spec"], json!({ "f:versions": {} }));
        assert_eq!(
            after[1]["fieldsV1"]["f:spec"],
            json!({ "f:conversion": {} })
        );
        assert_eq!(disowned(&crd(json!({ "f:conversion": {} })), "us"), None);
    }

    #[test]
    fn another_conversion_is_left_alone_or_taken_over() {
        let other =
            json!({ "strategy": "Webhook", "webhook": { "clientConfig": at("another", "Yg==") } });
        let other = definition(&other, true);
        assert_eq!(registration(false).lack(&other, &service(), b"b"), None);
        assert!(matches!(
            registration(true).lack(&other, &service(), b"b"),
            Some(Lack::Conversion(_))
        ));
    }
}
