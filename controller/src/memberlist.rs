//! The Secret under which speakers seal their heartbeats, where nobody else makes it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt as _};

/// Creates the Secret unless it is there, with a random key, owned by the Deployment.
///
/// # Errors
/// The API server refuses; the Deployment is missing.
pub(crate) async fn ensure(
    client: Client,
    namespace: &str,
    name: &str,
    deployment: &str,
    key: [u8; 16],
) -> kube::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    if secrets.get_opt(name).await?.is_some() {
        return Ok(());
    }
    let deployments: Api<Deployment> = Api::namespaced(client, namespace);
    let owner = deployments.get(deployment).await?;
    match secrets
        .create(&PostParams::default(), &secret(name, &owner, key))
        .await
    {
        Ok(_) => {
            tracing::info!(secret = name, "created the memberlist secret");
            Ok(())
        }
        // The other replica was faster.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}

fn secret(name: &str, owner: &Deployment, key: [u8; 16]) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            owner_references: Some(vec![OwnerReference {
                api_version: "apps/v1".to_owned(),
                kind: "Deployment".to_owned(),
                name: owner.name_any(),
                uid: owner.uid().unwrap_or_default(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        // Upstream stores the key in base64 inside the Secret's own base64.
        data: Some(BTreeMap::from([(
            "secretkey".to_owned(),
            ByteString(unpadded_base64(key).into_bytes()),
        )])),
        ..Secret::default()
    }
}

fn unpadded_base64(key: [u8; 16]) -> String {
    // Kubernetes' byte strings are base64 in JSON, which saves a library.
    let json = serde_json::to_value(ByteString(key.to_vec())).expect("bytes are JSON as base64");
    json.as_str()
        .unwrap_or_default()
        .trim_end_matches('=')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_unpadded_base64_and_the_deployment_owns_it() {
        let owner = Deployment {
            metadata: ObjectMeta {
                name: Some("controller".to_owned()),
                uid: Some("u".to_owned()),
                ..ObjectMeta::default()
            },
            ..Deployment::default()
        };
        let secret = secret("metallb-memberlist", &owner, [0xff; 16]);
        let data = secret.data.unwrap();
        assert_eq!(data["secretkey"].0, b"/////////////////////w");
        let owners = secret.metadata.owner_references.unwrap();
        assert_eq!(
            (owners[0].name.as_str(), owners[0].uid.as_str()),
            ("controller", "u")
        );
    }
}
