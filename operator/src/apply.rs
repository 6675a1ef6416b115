//! Does what was decided. The only place that writes to the API server.

mod frr;
mod takeover;

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy,
};
use kube::{Client, ResourceExt as _};
use metallb_crds::frrk8s::FRRConfiguration;
use metallb_crds::names::{CONTROLLER_LEASE, WRITTEN_FROM_LABEL};
use metallb_crds::v1beta1::{IPAddressPool, MetalLB};
use metallb_kit::events::{About, EventType, Events};
use metallb_kit::watch::ObjectKey;
use metallb_kit::words::in_words;
use serde_json::{Value, json};
use thiserror::Error;

mod preview;

use crate::object::{Key, Kind, Object};
use crate::observed::{FINALIZER, Fingerprint, PlainObject};
use crate::olm::{self, Upgradeable};
use crate::predecessor::{LEFTOVERS, Leftovers};
use crate::render::{
    FIELD_MANAGER, MEMBERLIST_KEY, MEMBERLIST_SECRET, OPERATOR_DEPLOYMENT,
    STANDALONE_MEMBERLIST_SECRET,
};
use crate::report::Report;
use crate::rights::{self, Missing};

/// Holds the client.
#[derive(Clone)]
pub(crate) struct Applier {
    client: Client,
    namespace: String,
    events: Events,
}

/// Why a write did not come to pass.
#[derive(Debug, Error)]
#[error("{message}")]
pub(crate) struct Refused {
    pub(crate) message: String,
    /// The same request will be refused until somebody changes something.
    pub(crate) permanent: bool,
}

/// What came of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// It is gone or going.
    Yes,
    /// Somebody else made it; it was left alone.
    NotOurs,
}

impl Applier {
    pub(crate) fn new(client: Client, namespace: &str, events: Events) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            events,
        }
    }

    /// Server-side apply. What others set is overwritten where we want it otherwise, and kept
    /// where we want nothing, unless `takes_over` says that the object was not ours so far: what
    /// its former installer set and we do not want goes then.
    pub(crate) async fn apply(
        &self,
        object: &Object,
        takes_over: bool,
    ) -> Result<Fingerprint, Refused> {
        if takes_over && takeover::can_keep_anything(object.key.kind) {
            self.take_over(&object.key).await?;
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self
            .api(object.key.kind)
            .patch_metadata(&object.key.name, &params, &Patch::Apply(&object.manifest))
            .await?;
        Ok(Fingerprint::of(&applied.metadata))
    }

    async fn take_over(&self, key: &Key) -> Result<(), Refused> {
        let api = self.api(key.kind);
        let Some(seen) = api.get_metadata_opt(&key.name).await? else {
            return Ok(());
        };
        let api_version = key.kind.api_resource().api_version;
        if let Some(patch) = takeover::patch(&seen.metadata, &api_version) {
            api.patch_metadata(&key.name, &as_us(), &Patch::Merge(patch))
                .await?;
            tracing::info!(object = %key, "taken over from whoever installed it");
        }
        Ok(())
    }

    /// What MetalLB's own operator has left, that was made for the `MetalLB` object `uid`.
    pub(crate) async fn predecessors_leftovers(&self, uid: &str) -> Result<Leftovers, Refused> {
        let mut left = Leftovers::new();
        for leftover in &LEFTOVERS {
            let key = leftover.key();
            let seen = match self.api(key.kind).get_metadata_opt(&key.name).await {
                // Who may not look for what is not needed must not be kept from the rest.
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    tracing::warn!(object = %key, error = status.message, "cannot look for it");
                    None
                }
                seen => seen?,
            };
            if let Some(seen) = seen.filter(|seen| leftover.is(&seen.metadata, uid)) {
                left.insert(key, seen.uid().unwrap_or_default());
            }
        }
        Ok(left)
    }

    /// Deletes one of those.
    pub(crate) async fn delete_leftover(&self, key: &Key, uid: &str) -> Result<(), Refused> {
        let preconditions = Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        };
        self.delete_as(key, preconditions).await
    }

    /// Deletes the object with that `uid`, and no other of its name. A workload stays until its
    /// pods are gone.
    pub(crate) async fn delete(&self, key: &Key, uid: &str) -> Result<Deleted, Refused> {
        let api = self.api(key.kind);
        let Some(seen) = api.get_metadata_opt(&key.name).await? else {
            return Ok(Deleted::Yes);
        };
        if seen.uid().as_deref() != Some(uid) {
            return Ok(Deleted::Yes);
        }
        // The label alone proves nothing: it is copied with `kubectl get -o yaml`.
        let ours =
            |managed: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry| {
                managed.manager.as_deref() == Some(FIELD_MANAGER)
            };
        if !seen.managed_fields().iter().any(ours) {
            return Ok(Deleted::NotOurs);
        }
        let preconditions = Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: seen.resource_version(),
        };
        self.delete_as(key, preconditions).await?;
        Ok(Deleted::Yes)
    }

    async fn delete_as(&self, key: &Key, preconditions: Preconditions) -> Result<(), Refused> {
        let policy = if key.kind.is_workload() {
            PropagationPolicy::Foreground
        } else {
            PropagationPolicy::Background
        };
        let params = DeleteParams {
            propagation_policy: Some(policy),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        match self.api(key.kind).delete(&key.name, &params).await {
            Err(error) if is_gone_or_changed(&error) => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }

    /// The key in the memberlist Secret, and the state of the Secret. Where there is none, that of
    /// an installation without operator: its speakers must hear ours while they are replaced.
    pub(crate) async fn memberlist_key(
        &self,
    ) -> Result<Option<(Option<Vec<u8>>, Fingerprint)>, Refused> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut secret = api.get_opt(MEMBERLIST_SECRET).await?;
        if secret.is_none() {
            secret = api.get_opt(STANDALONE_MEMBERLIST_SECRET).await?;
        }
        let Some(secret) = secret else {
            return Ok(None);
        };
        let key = secret
            .data
            .unwrap_or_default()
            .remove(MEMBERLIST_KEY)
            .map(|bytes| bytes.0);
        let key = key.filter(|key| !key.is_empty());
        Ok(Some((key, Fingerprint::of(&secret.metadata))))
    }

    /// Adds or removes our finalizer, provided that `metallb` is still as it was seen.
    pub(crate) async fn set_finalizer(&self, metallb: &MetalLB, hold: bool) -> Result<(), Refused> {
        let mut finalizers = metallb.finalizers().to_vec();
        finalizers.retain(|finalizer| finalizer != FINALIZER);
        if hold {
            finalizers.push(FINALIZER.to_owned());
        }
        let patch = json!({ "metadata": {
            "resourceVersion": metallb.resource_version(),
            "finalizers": finalizers,
        } });
        let key = ObjectKey::of(metallb);
        match self
            .metallbs(&key)
            .patch(key.name(), &as_us(), &Patch::Merge(patch))
            .await
        {
            // The change that came in between is on its way to us, and is decided upon anew.
            Err(error) if is_gone_or_changed(&error) => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }

    /// Whether the namespace is being deleted, as far as that can be learnt.
    pub(crate) async fn namespace_is_going(&self) -> bool {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let own = ListParams::default().fields(&format!("metadata.name={}", self.namespace));
        match api.list_metadata(&own).await {
            Ok(list) => list
                .items
                .iter()
                .any(|n| n.metadata.deletion_timestamp.is_some()),
            Err(error) => {
                tracing::warn!(
                    error = in_words(&error),
                    "cannot see whether the namespace is being deleted"
                );
                false
            }
        }
    }

    /// Whether the operator's own Deployment is gone or going, and the operator with it for good.
    pub(crate) async fn operator_is_going(&self) -> bool {
        match self
            .api(Kind::Deployment)
            .get_metadata_opt(OPERATOR_DEPLOYMENT)
            .await
        {
            Ok(own) => own.is_none_or(|own| own.metadata.deletion_timestamp.is_some()),
            Err(error) => {
                tracing::warn!(
                    error = in_words(&error),
                    "cannot see whether the operator is being removed"
                );
                false
            }
        }
    }

    /// How many addresses Services have, as the pools say.
    pub(crate) async fn addresses_in_use(&self) -> Result<u64, Refused> {
        Ok(addresses_in_use(&self.client, &self.namespace).await?)
    }

    /// What the operator may not do and would have to.
    pub(crate) async fn missing_rights(&self) -> Result<Missing, Refused> {
        Ok(rights::missing(&self.client, &self.namespace).await?)
    }

    /// Tells OLM, in the object of this name.
    pub(crate) async fn tell_olm(&self, name: &str, what: &Upgradeable) -> Result<(), Refused> {
        Ok(olm::tell(&self.client, &self.namespace, name, what).await?)
    }

    /// Frees the next installation of waiting for the Lease of the last one's controller.
    pub(crate) async fn delete_controller_lease(&self) -> Result<(), Refused> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        match api.delete(CONTROLLER_LEASE, &DeleteParams::default()).await {
            Err(error) if is_gone_or_changed(&error) => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }

    /// What speakers of this installation have written for an FRR-K8s, with its uid.
    pub(crate) async fn frr_configurations(&self) -> Result<BTreeMap<ObjectKey, String>, Refused> {
        let api: Api<FRRConfiguration> = Api::all(self.client.clone());
        let ours = format!("{WRITTEN_FROM_LABEL}={}", self.namespace);
        let found = match api
            .list_metadata(&ListParams::default().labels(&ours))
            .await
        {
            // The definition has just gone, and all such objects with it.
            Err(error) if is_gone_or_changed(&error) => return Ok(BTreeMap::new()),
            found => found?,
        };
        let found = found.items.into_iter();
        Ok(found
            .map(|it| (ObjectKey::of(&it), it.uid().unwrap_or_default()))
            .collect())
    }

    /// Deletes one of those.
    pub(crate) async fn delete_frr_configuration(
        &self,
        key: &ObjectKey,
        uid: &str,
    ) -> Result<(), Refused> {
        let api: Api<FRRConfiguration> = Api::namespaced(self.client.clone(), key.namespace());
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match api.delete(key.name(), &params).await {
            Err(error) if is_gone_or_changed(&error) => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }

    /// Writes the status, and an Event for what has turned. False if the cluster's definition knows
    /// nothing but the conditions, which were written alone.
    pub(crate) async fn report(&self, metallb: &MetalLB, report: &Report) -> Result<bool, Refused> {
        let whole = serde_json::to_value(&report.status).unwrap_or_default();
        let written = match self.write_status(metallb, report, &whole).await {
            Err(refused) if refused.is_unknown_field() => {
                let known = json!({
                    "conditions": whole["conditions"],
                    "observedGeneration": whole["observedGeneration"],
                });
                self.write_status(metallb, report, &known).await?;
                false
            }
            result => {
                result?;
                true
            }
        };
        for turn in &report.turns {
            let event_type = if turn.is_warning {
                EventType::Warning
            } else {
                EventType::Normal
            };
            self.events.publish(
                About::of(metallb),
                event_type,
                turn.reason.clone(),
                &*turn.message,
            );
        }
        Ok(written)
    }

    async fn write_status(
        &self,
        metallb: &MetalLB,
        report: &Report,
        status: &Value,
    ) -> Result<(), Refused> {
        let patch = json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "MetalLB",
            "metadata": { "name": report.metallb.name(), "uid": metallb.uid() },
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.metallbs(&report.metallb);
        match api
            .patch_status(report.metallb.name(), &params, &Patch::Apply(patch))
            .await
        {
            Err(error) if is_gone_or_changed(&error) => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }

    fn metallbs(&self, key: &ObjectKey) -> Api<MetalLB> {
        Api::namespaced(self.client.clone(), key.namespace())
    }

    fn api(&self, kind: Kind) -> Api<PlainObject> {
        let resource = kind.api_resource();
        if kind.is_namespaced() {
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
        } else {
            Api::all_with(self.client.clone(), &resource)
        }
    }
}

impl Refused {
    /// The schema of the server lacks a field that we set: it is older than we are.
    fn is_unknown_field(&self) -> bool {
        self.message.contains("field not declared in schema")
    }
}

impl From<kube::Error> for Refused {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = &error else {
            return Self {
                message: in_words(&error),
                permanent: false,
            };
        };
        let mut refused = Self {
            message: status.message.clone(),
            // Not 403 or 404: rights and kinds that were just made take a moment to be known.
            permanent: matches!(status.code, 400 | 405 | 406 | 413 | 415 | 422),
        };
        refused.permanent |= status.code == 500 && refused.is_unknown_field();
        refused
    }
}

/// How many addresses Services have, as the pools in `namespace` say.
pub(crate) async fn addresses_in_use(client: &Client, namespace: &str) -> kube::Result<u64> {
    let api: Api<IPAddressPool> = Api::namespaced(client.clone(), namespace);
    let pools = match api.list(&ListParams::default()).await {
        // The definition is gone, and all pools with it; or we may not see, and must not keep
        // anything from being removed for that.
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => return Ok(0),
        pools => pools?,
    };
    let statuses = pools.items.into_iter().filter_map(|pool| pool.status);
    let counts = statuses.map(|it| it.assigned_ipv4.saturating_add(it.assigned_ipv6));
    Ok(counts.filter_map(|count| u64::try_from(count).ok()).sum())
}

/// A patch that is no apply.
fn as_us() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..<_>::default()
    }
}

/// The object went or changed under our hands; the watch tells us.
fn is_gone_or_changed(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409))
}

#[cfg(test)]
mod tests;
