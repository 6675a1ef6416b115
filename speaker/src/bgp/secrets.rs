//! The Secrets that BGPPeers name: fetched one by one, since the speaker may read no others.

use metallb_kit::words::in_words;
use std::collections::BTreeSet;
use std::time::Duration;

use futures::stream::{self, Stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::watch;

/// All of these Secrets that are there, at once when the names change, and again when one of them
/// does, within [`AGAIN`].
pub(crate) fn secrets(
    client: &Client,
    namespace: &str,
    names: watch::Receiver<BTreeSet<String>>,
) -> impl Stream<Item = Vec<Secret>> + use<> {
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    stream::unfold((api, names, None), |(api, mut names, before)| async move {
        loop {
            let wanted = names.borrow_and_update().clone();
            let mut found = Vec::new();
            for name in &wanted {
                match api.get_opt(name).await {
                    Ok(secret) => found.extend(secret),
                    Err(error) => tracing::warn!(
                        op = "getSecret",
                        name,
                        error = in_words(&error),
                        "cannot read the Secret that a BGPPeer names"
                    ),
                }
            }
            if before.as_ref() != Some(&found) {
                let next = (api, names, Some(found.clone()));
                return Some((found, next));
            }
            if wanted.is_empty() {
                names.changed().await.ok()?;
                continue;
            }
            let pause = if found.len() < wanted.len() {
                MISSING
            } else {
                AGAIN
            };
            // Whether in time or because of a change, they are looked at again.
            let changed = tokio::time::timeout(pause, names.changed()).await;
            if let Ok(Err(_)) = changed {
                return None;
            }
        }
    })
}

/// How soon a Secret is read that is made, or may be read, after the BGPPeer that names it.
const MISSING: Duration = Duration::from_secs(1);
/// How soon a changed password is noticed.
const AGAIN: Duration = Duration::from_secs(10);
