//! Whether MetalLB's definitions are there. Who deletes one deletes all objects of that kind, and
//! the programs that read them cannot start anew.
//!
//! The operator does not put them back: they came with its manifest or by OLM, who go on owning
//! them, and making definitions is a right over the whole cluster. It says what is missing.

use std::collections::BTreeSet;
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
    let mut missing = Vec::new();
    for version in ["v1beta1", "v1beta2"] {
        let wanted = wanted(version);
        let served = client
            .list_api_group_resources(&format!("metallb.io/{version}"))
            .await;
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

/// The kinds whose newest version this is.
fn wanted(version: &str) -> Vec<String> {
    let all = metallb_crds::all().into_iter().filter(|it| {
        let mut versions = it["spec"]["versions"].as_array().into_iter().flatten();
        versions.any(|it| it["name"] == version && it["storage"] == true)
    });
    all.filter_map(|it| Some(it["spec"]["names"]["plural"].as_str()?.to_owned()))
        .collect()
}

/// Soon enough for somebody who looks for the reason, and next to nothing for the API server.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// While something is missing somebody is at it, and waits.
const MENDING: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_wanted_in_its_newest_version() {
        let (old, new) = (wanted("v1beta1"), wanted("v1beta2"));
        assert!(old.contains(&"ipaddresspools".to_owned()));
        assert_eq!(new, ["bgppeers"]);
        assert_eq!(old.len() + new.len(), metallb_crds::all().len());
    }
}
