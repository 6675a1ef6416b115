//! What is written into the places that name us: whom to trust, and that we convert.

use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use metallb_certs::Decision;
use serde_json::{Value, json};

use super::{FIELD_OWNER, ROUNDS, Shell};
use crate::webhook::place::{Lack, Place, Registration, Service, disowned};

impl Shell {
    /// Puts the bundle where it is missing.
    pub(super) async fn inject(
        &self,
        decision: &Decision,
        bundles: &[Vec<Vec<u8>>],
    ) -> Result<(), ()> {
        let Some(bundle) = &decision.bundle else {
            return Ok(());
        };
        let mut done = Ok(());
        let mut first = 0;
        for (nth, here) in bundles.iter().enumerate() {
            let range = first..first + here.len();
            first = range.end;
            if !decision.to_inject.iter().any(|it| range.contains(it)) {
                continue;
            }
            let (place, Some(seen)) = (&self.settings.places[nth], &self.seen[nth]) else {
                continue;
            };
            let mut patch = place.injection(&seen.data, &self.settings.service, bundle);
            patch["apiVersion"] = place.resource().api_version.into();
            patch["kind"] = place.resource().kind.into();
            // Who has changed it since may know better whom to trust.
            patch["metadata"] = json!({
                "name": place.name(),
                "resourceVersion": seen.resource_version(),
            });
            let params = PatchParams::apply(FIELD_OWNER).force();
            match self.patch(place, &params, &Patch::Apply(patch)).await {
                Ok(Some(_)) => tracing::info!(object = place.name(), "caBundle injected"),
                Ok(None) => {}
                Err(error) => {
                    self.failed("cannot inject the caBundle", &error);
                    done = Err(());
                }
            }
        }
        done
    }

    /// Says in the definitions that we convert, and once that works, has the version served.
    pub(super) async fn register(&self, decision: &Decision) -> Result<(), ()> {
        let Some(bundle) = &decision.bundle else {
            return Ok(());
        };
        for (place, seen) in self.settings.places.iter().zip(&self.seen) {
            let (
                Place::Conversion {
                    register: Some(registration),
                    ..
                },
                Some(crd),
            ) = (place, seen)
            else {
                continue;
            };
            let lack = registration.lack(&crd.data, &self.settings.service, bundle);
            let params = PatchParams {
                field_manager: Some(FIELD_OWNER.to_owned()),
                ..PatchParams::default()
            };
            let patched = match lack {
                None => continue,
                Some(Lack::Conversion(conversion)) => {
                    let patch = json!({
                        "metadata": { "resourceVersion": crd.resource_version() },
                        "spec": { "conversion": conversion },
                    });
                    tracing::info!(crd = place.name(), "registering the conversion");
                    self.patch(place, &params, &Patch::Merge(patch)).await
                }
                Some(Lack::Version(patch)) => {
                    self.converts(registration).await?;
                    let patched = self.patch(place, &params, &json_patch(patch)).await;
                    if let Ok(Some(crd)) = &patched {
                        tracing::info!(
                            crd = place.name(),
                            version = registration.version,
                            "served"
                        );
                        self.disown(place, crd.clone()).await;
                    }
                    patched
                }
            };
            if let Err(error) = patched {
                self.failed("cannot register the conversion", &error);
                return Err(());
            }
        }
        Ok(())
    }

    /// Leaves the list of versions to whoever brought it.
    async fn disown(&self, place: &Place, mut crd: DynamicObject) {
        for _ in 0..ROUNDS {
            let Some(patch) = disowned(&crd, FIELD_OWNER) else {
                return;
            };
            let params = PatchParams::default();
            match self.patch(place, &params, &json_patch(patch)).await {
                Ok(_) => return,
                Err(error) => {
                    self.failed("cannot leave the versions to their owner", &error);
                }
            }
            // As it is now.
            match self.patch(place, &params, &Patch::Merge(json!({}))).await {
                Ok(Some(now)) => crd = now,
                _ => return,
            }
        }
    }

    /// Whether the API server gets an answer from the Service. Where we may not ask, we take it
    /// that it does.
    async fn converts(&self, registration: &Registration) -> Result<(), ()> {
        let Service { namespace, name } = &self.settings.service;
        let uri = format!(
            "/api/v1/namespaces/{namespace}/services/https:{name}:443/proxy{}",
            registration.path
        );
        let body = (registration.probe)().to_string().into_bytes();
        let request = axum::http::Request::post(uri)
            .header("Content-Type", "application/json")
            .body(body)
            .map_err(|error| tracing::error!(%error, "not a path"))?;
        match self.client.request_text(request).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                tracing::info!(reason = status.message, "the conversion could not be tried");
                Ok(())
            }
            Err(error) => {
                tracing::info!(%error, "the conversion does not answer yet");
                Err(())
            }
        }
    }

    /// What came of it; nothing when the object has changed or gone, which the watch tells.
    async fn patch<P: serde::Serialize + std::fmt::Debug>(
        &self,
        place: &Place,
        params: &PatchParams,
        patch: &Patch<P>,
    ) -> kube::Result<Option<DynamicObject>> {
        match self.place(place).patch(place.name(), params, patch).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn place(&self, place: &Place) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &place.resource())
    }
}

fn json_patch(operations: Value) -> Patch<Value> {
    Patch::Json(serde_json::from_value(operations).expect("it is a JSON patch"))
}
