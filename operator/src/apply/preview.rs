//! What applying an object would make of it, by the API server's own word: defaults and what others
//! have set are in it.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::Value;

use super::{Applier, Refused};
use crate::object::{Key, Object};
use crate::render::FIELD_MANAGER;

impl Applier {
    /// The object as it is, if there is one.
    pub(crate) async fn live(&self, key: &Key) -> Result<Option<Value>, Refused> {
        let live = self.whole(key).get_opt(&key.name).await?;
        Ok(live.map(|it| serde_json::to_value(it).unwrap_or_default()))
    }

    /// The object as it would be.
    pub(crate) async fn preview(&self, object: &Object) -> Result<Value, Refused> {
        let params = PatchParams::apply(FIELD_MANAGER).force().dry_run();
        let patch = Patch::Apply(&object.manifest);
        let api = self.whole(&object.key);
        let preview = api.patch(&object.key.name, &params, &patch).await?;
        Ok(serde_json::to_value(preview).unwrap_or_default())
    }

    fn whole(&self, key: &Key) -> Api<DynamicObject> {
        let resource = key.kind.api_resource();
        if key.kind.is_namespaced() {
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
        } else {
            Api::all_with(self.client.clone(), &resource)
        }
    }
}
