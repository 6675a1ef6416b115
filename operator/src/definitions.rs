//! Whether MetalLB's definitions are there. Who deletes one deletes all objects of that kind, and
//! the programs that read them cannot start anew.
//!
//! The operator does not put them back: they came with its manifest or by OLM, who go on owning
//! them, and making definitions is a right over the whole cluster. It says what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use kube::{Client, Error};
use metallb_kit::words::in_words;

/// The names of those that are missing, at first and whenever that changes.
pub(crate) fn missing(client: &Client) -> BoxStream<'static, Vec<String>> {
    let client = client.clone();
    stream::unfold(None::<Vec<String>>, move |before| {
        let client = client.clone();
        async move {
            let mut pause = Duration::ZERO;
            loop {
                tokio::time::sleep(pause).await;
                let is_whole = before.as_ref().is_none_or(Vec::is_empty);
                pause = if is_whole { LOOK_AGAIN } else { MENDING };
                match look(&client).await {
                    Ok(now) if before.as_ref() != Some(&now) => {
                        return Some((now.clone(), Some(now)));
                    }
                    Ok(_) => {}
                    Err(error) => tracing::debug!(
                        error = in_words(&error),
                        "cannot see which definitions there are"
                    ),
                }
            }
        }
    })
    .boxed()
}

/// Who may talk to the API server at all may ask what it serves.
async fn look(client: &Client) -> kube::Result<Vec<String>> {
    let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for it in metallb_crds::resources() {
        wanted.entry(it.api_version).or_default().push(it.plural);
    }
    let mut missing = Vec::new();
    for (version, wanted) in wanted {
        let served = client.list_api_group_resources(&version).await;
        let served: BTreeSet<String> = match served {
            Ok(list) => list.resources.into_iter().map(|it| it.name).collect(),
            Err(Error::Api(status)) if status.code == 404 => BTreeSet::new(),
            Err(error) => return Err(error),
        };
        let gone = wanted.into_iter().filter(|it| !served.contains(it));
        missing.extend(gone.map(|it| format!("{it}.metallb.io")));
    }
    Ok(missing)
}

/// Soon enough for somebody who looks for the reason, and next to nothing for the API server.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// While something is missing somebody is at it, and waits.
const MENDING: Duration = Duration::from_secs(2);
