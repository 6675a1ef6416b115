//! The API server's own record of who changed what.

use std::fs;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::cluster::Cluster;

/// One request that was to change something, as the API server noted it when it had answered.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audited {
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// Who asked.
    pub user: User,
    /// With which program.
    #[serde(default)]
    pub user_agent: String,
    /// What was to be changed.
    #[serde(default)]
    pub object_ref: ObjectRef,
    /// How it ended.
    #[serde(default)]
    pub response_status: ResponseStatus,
    /// What was sent; only of the statuses of Services and BGP sessions.
    #[serde(default)]
    pub request_object: Value,
}

/// Whose certificate or token it was.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct User {
    /// Such as `system:serviceaccount:metallb-system:controller`.
    pub username: String,
    /// For a pod's token: `authentication.kubernetes.io/pod-name`.
    pub extra: std::collections::BTreeMap<String, Vec<String>>,
}

/// The object of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct ObjectRef {
    /// Such as `services`.
    pub resource: String,
    /// Such as `status`, or nothing.
    pub subresource: String,
    /// Its namespace, or nothing.
    pub namespace: String,
    /// Its name; nothing where the server chose it.
    pub name: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct ResponseStatus {
    /// The HTTP status.
    pub code: u16,
}

impl Audited {
    /// Whether the change was made.
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.response_status.code)
    }

    /// The pod that asked, if it was one.
    pub fn pod(&self) -> Option<&str> {
        let names = self
            .user
            .extra
            .get("authentication.kubernetes.io/pod-name")?;
        names.first().map(String::as_str)
    }
}

impl Cluster {
    /// What was asked to be changed since the start, in the order of the answers; of clusters with
    /// [`Options::audit`](crate::Options::audit).
    pub fn audit(&self) -> Result<Vec<Audited>> {
        let path = self.files.logs().join(LOG);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| {
                serde_json::from_str(line).with_context(|| format!("{} has {line}", path.display()))
            })
            .collect()
    }
}

/// What makes the API server keep the record.
pub(crate) fn flags(cluster: &Cluster) -> Result<Vec<String>> {
    let policy = cluster.files.root().join("audit-policy.yaml");
    fs::write(&policy, POLICY).with_context(|| format!("cannot write {}", policy.display()))?;
    Ok(vec![
        format!("--audit-policy-file={}", policy.display()),
        format!(
            "--audit-log-path={}",
            cluster.files.logs().join(LOG).display()
        ),
    ])
}

const LOG: &str = "audit.log";

/// Every change, and of the statuses of Services and BGP sessions also what was sent. The heartbeats of nodes and leaders
/// would be most of it and say nothing of who did what.
const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
  - level: None
    resources: [{group: coordination.k8s.io, resources: [leases]}]
    users: [system:apiserver]
  - level: None
    userGroups: [system:nodes]
  - level: Request
    verbs: [update, patch]
    resources:
      - {group: '', resources: [services/status]}
      - {group: metallb.io, resources: [bgpsessionstates/status]}
  - level: Metadata
    verbs: [create, update, patch, delete, deletecollection]
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_understood() {
        let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request",
            "auditID":"x","stage":"ResponseComplete","requestURI":"/…","verb":"update",
            "user":{"username":"system:serviceaccount:metallb-system:controller",
              "extra":{"authentication.kubernetes.io/pod-name":["controller-a"]}},
            "userAgent":"metallb-controller/0.1.0",
            "objectRef":{"resource":"services","namespace":"default","name":"web",
              "apiVersion":"v1","subresource":"status"},
            "responseStatus":{"metadata":{},"code":200},"requestObject":{"kind":"Service"}}"#;
        let audited: Audited = serde_json::from_str(line).unwrap();
        assert!(audited.succeeded());
        assert_eq!(audited.pod(), Some("controller-a"));
        assert_eq!(audited.object_ref.subresource, "status");
    }
}
