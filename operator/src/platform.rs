//! What the cluster is.

use std::fmt;
use std::time::Duration;

use kube::Client;
use metallb_kit::words::in_words;

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
                    tracing::warn!(error = in_words(&error), "cannot see what the cluster is");
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

const ROUTES: &str = "route.openshift.io";
const AGAIN: Duration = Duration::from_secs(2);
