//! Looks how far the FRR-K8s of MetalLB's own operator has given way, and has it end on a node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch};
use metallb_crds::names::NODE_LABEL;
use metallb_crds::v1beta1::BGPSessionState;

use super::{Applier, Refused, as_us, is_gone_or_changed};
use crate::predecessor::FRR_K8S;
use crate::predecessor::frr::{Frr, Session, Speaker, session_name, without};

impl Applier {
    /// How far it is; nothing if it is gone. A speaker of ours has this image.
    pub(crate) async fn frr(&self, image: &str) -> Result<Option<Frr>, Refused> {
        let daemon_sets: Api<DaemonSet> = Api::namespaced(self.client.clone(), &self.namespace);
        let Some(daemon_set) = daemon_sets.get_opt(FRR_K8S).await? else {
            return Ok(None);
        };
        let spec = daemon_set.spec.as_ref();
        let labels = spec.and_then(|it| it.selector.match_labels.as_ref());
        let labels = labels.into_iter().flatten();
        let selector: Vec<_> = labels
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let nodes = self.pods(&selector.join(",")).await?;
        let speakers = self.pods("app=metallb,component=speaker").await?;
        let speakers = speakers.iter().filter_map(|pod| {
            let node = node_of(pod)?.to_owned();
            Some((node, speaker(pod, image)))
        });
        let mut frr = Frr {
            seen_at: Instant::now(),
            daemon_set,
            nodes: nodes
                .iter()
                .filter_map(node_of)
                .map(str::to_owned)
                .collect(),
            speakers: speakers.collect(),
            sessions: BTreeMap::new(),
        };
        let nodes = frr.nodes_that_count(Timestamp::now());
        if !nodes.is_empty() {
            frr.sessions = self.sessions(&nodes).await?;
        }
        Ok(Some(frr))
    }

    /// Has it end on one more node.
    pub(crate) async fn end_frr(
        &self,
        frr: &Frr,
        node: &str,
        awaited: &BTreeSet<String>,
    ) -> Result<(), Refused> {
        let patch = without(&frr.daemon_set, node, awaited);
        let api: Api<DaemonSet> = Api::namespaced(self.client.clone(), &self.namespace);
        match api.patch(FRR_K8S, &as_us(), &Patch::Merge(patch)).await {
            Err(error) if is_gone_or_changed(&error) => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }

    async fn pods(&self, selector: &str) -> Result<Vec<Pod>, Refused> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let pods = api.list(&ListParams::default().labels(selector)).await?;
        Ok(pods.items)
    }

    async fn sessions(
        &self,
        nodes: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Session>, Refused> {
        let api: Api<BGPSessionState> = Api::namespaced(self.client.clone(), &self.namespace);
        let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
        let ours = format!("{NODE_LABEL} in ({})", nodes.join(","));
        let sessions = api.list(&ListParams::default().labels(&ours)).await?;
        let sessions = sessions.items.into_iter().filter_map(|it| {
            let status = it.status?;
            let name = session_name(&status.node?, &status.bgp_peer?);
            let session = Session {
                established: status.bgp_status.as_deref() == Some("Established"),
                held: status.held_by.is_some(),
                peer: status.peer.unwrap_or_default(),
            };
            Some((name, session))
        });
        Ok(sessions.collect())
    }
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn speaker(pod: &Pod, image: &str) -> Speaker {
    let containers = pod.spec.iter().flat_map(|it| &it.containers);
    let mut images = containers.filter_map(|it| it.image.as_deref());
    let is_ours = images.all(|it| it == image) && pod.metadata.deletion_timestamp.is_none();
    let conditions = pod
        .status
        .iter()
        .flat_map(|it| it.conditions.iter().flatten());
    let mut ready = conditions.filter(|it| it.type_ == "Ready" && it.status == "True");
    let since = ready.next().and_then(|it| it.last_transition_time.as_ref());
    match since {
        Some(since) if is_ours => Speaker::ReadySince(since.0),
        _ => Speaker::NotReady,
    }
}
