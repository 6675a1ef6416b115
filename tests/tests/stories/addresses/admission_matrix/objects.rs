//! Objects of the matrix on the API server: tried, or made and removed.

use anyhow::{Context as _, Result};
use metallb_tests::{
    Answer, Cluster, eventually,
    product::{NAMESPACE, newest_version},
};
use serde_json::{Value, json};

use crate::world::SOON;

/// One object and where it is.
pub(super) struct Object {
    kind: String,
    version: String,
    namespace: String,
    name: String,
    /// What is sent.
    pub(super) content: Value,
}

impl Object {
    pub(super) fn new(kind: &str, version: Option<&str>, name: &str, spec: &Value) -> Self {
        let version = version.unwrap_or_else(|| newest_version(kind));
        Self {
            kind: kind.to_owned(),
            version: version.to_owned(),
            namespace: NAMESPACE.to_owned(),
            name: name.to_owned(),
            content: json!({
                "apiVersion": format!("metallb.io/{version}"),
                "kind": kind,
                "metadata": { "name": name, "labels": { MARK: "" } },
                "spec": spec,
            }),
        }
    }

    pub(super) fn in_namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// The same object with another spec, and in another version of the API.
    pub(super) fn edited(&self, version: Option<&str>, spec: &Value) -> Self {
        Self::new(&self.kind, version, &self.name, spec)
    }

    /// Makes it; it then is what the API server made of it.
    pub(super) fn made(mut self, cluster: &Cluster) -> Result<Self> {
        let made = cluster.request("POST", &self.all(), Some(&self.content))?;
        self.content = made
            .object()
            .with_context(|| format!("{} beside cannot be made", self.kind))?;
        Ok(self)
    }

    /// What the API server would answer if it were to make it.
    pub(super) fn try_new(&self, cluster: &Cluster) -> Result<Answer> {
        cluster.request("POST", &(self.all() + DRY), Some(&self.content))
    }

    /// … if it were to take it for the one of its name.
    pub(super) fn try_edit(&self, cluster: &Cluster) -> Result<Answer> {
        self.put(cluster, DRY)
    }

    /// … if it were to delete it.
    pub(super) fn try_delete(&self, cluster: &Cluster) -> Result<Answer> {
        cluster.request("DELETE", &(self.path() + DRY), None)
    }

    /// As the API server has it, in one of its versions.
    pub(super) fn read(&self, cluster: &Cluster, version: &str) -> Result<Value> {
        cluster.get(&self.path().replace(&self.version, version))
    }

    /// Has the API server take it for the one of its name.
    pub(super) fn edit(&self, cluster: &Cluster) -> Result<Value> {
        self.put(cluster, "")?.object()
    }

    pub(super) fn delete(&self, cluster: &Cluster) -> Result<()> {
        let answer = cluster.request("DELETE", &self.path(), None)?;
        answer.object().map(drop)
    }

    fn put(&self, cluster: &Cluster, how: &str) -> Result<Answer> {
        // Controllers write statuses meanwhile.
        eventually("nobody else wrote it meanwhile", SOON, || {
            let mut content = self.content.clone();
            let seen = cluster.get(&self.path())?;
            content["metadata"]["resourceVersion"] = seen["metadata"]["resourceVersion"].clone();
            let answer = cluster.request("PUT", &(self.path() + how), Some(&content))?;
            Ok(if answer.status == 409 {
                Err(answer.body.to_string())
            } else {
                Ok(answer)
            })
        })
    }

    fn all(&self) -> String {
        all(&self.kind, &self.version, &self.namespace)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.all(), self.name)
    }
}

/// Deletes all objects of the matrix, also those of an earlier one.
pub(super) fn clear(cluster: &Cluster) -> Result<()> {
    // Users before what they use.
    for kind in [
        "BGPPeer",
        "BFDProfile",
        "BGPAdvertisement",
        "L2Advertisement",
        "IPAddressPool",
        "Community",
    ] {
        let all = Object::new(kind, None, "", &Value::Null).all();
        let path = format!("{all}?labelSelector={MARK}");
        cluster.request("DELETE", &path, None)?.object()?;
    }
    Ok(())
}

fn all(kind: &str, version: &str, namespace: &str) -> String {
    let resource = match kind {
        "Community" => "communities".to_owned(),
        _ => kind.to_lowercase() + "s",
    };
    format!("/apis/metallb.io/{version}/namespaces/{namespace}/{resource}")
}

const DRY: &str = "?dryRun=All";
/// A label of each of them.
const MARK: &str = "admission-matrix";
