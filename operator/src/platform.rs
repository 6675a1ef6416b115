//! What the cluster is, and what follows from that where the `MetalLB` object says nothing.

use std::fmt;
use std::time::Duration;

use kube::Client;
use metallb_crds::v1beta1::MetalLBSpec;

/// What the cluster is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Platform {
    #[default]
    Kubernetes,
    OpenShift,
}

impl Platform {
    /// Asks the API server until it answers; told by the API group of Routes, as upstream does.
    pub(crate) async fn detect(client: &Client) -> Self {
        loop {
            match client.list_api_groups().await {
                Ok(groups) => {
                    let is_openshift = groups.groups.iter().any(|it| it.name == ROUTES);
                    return if is_openshift {
                        Self::OpenShift
                    } else {
                        Self::Kubernetes
                    };
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot see what the cluster is");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kubernetes => "Kubernetes",
            Self::OpenShift => "OpenShift",
        })
    }
}

/// The BGP backend in effect: the chosen one or, without a choice, that of the platform.
pub(crate) fn backend(spec: &MetalLBSpec, platform: Platform) -> &str {
    let chosen = spec.bgp_backend.as_deref().filter(|it| !it.is_empty());
    chosen.unwrap_or(match platform {
        Platform::Kubernetes => "frr",
        Platform::OpenShift => "frr-k8s",
    })
}

const ROUTES: &str = "route.openshift.io";
const AGAIN: Duration = Duration::from_secs(2);
