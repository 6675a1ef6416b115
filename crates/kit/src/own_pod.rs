//! The pod that the program runs in.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Client};

/// The pod of this name as an owner, which takes along what it owns; nothing when there is none.
///
/// # Errors
/// The API server could not be asked. Needs the right to get the pod.
pub async fn owner(
    client: &Client,
    namespace: &str,
    pod: Option<&str>,
) -> kube::Result<Option<OwnerReference>> {
    let Some(name) = pod else {
        return Ok(None);
    };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod = pods.get_metadata_opt(name).await?;
    Ok(pod.map(|pod| OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: name.to_owned(),
        uid: pod.metadata.uid.unwrap_or_default(),
        ..OwnerReference::default()
    }))
}
