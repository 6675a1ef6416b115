//! MetalLB without an operator, for whoever applies manifests: the objects and names of upstream's
//! own manifests, so that those are replaced in place.
//!
//! What is applied is also what stays, but for fields that no manifest has: applying it a second
//! time changes nothing.

use std::collections::BTreeSet;

use clap::ValueEnum;
use metallb_admission::{CONVERT_PATH, CONVERTED, SERVICE};
use metallb_crds::v1beta1::{MetalLBSpec, MonitorType};
use serde_json::{Value, json};

use super::install::namespace_of_speakers;
use super::{Inputs, Webhooks, monitors, policies, render};
use crate::object::Object;
use crate::settings::Settings;

/// What the manifests depend on.
#[derive(Clone, Debug)]
pub(crate) struct Standalone<'a> {
    /// What to run, in an operator's words.
    pub(crate) spec: &'a MetalLBSpec,
    pub(crate) namespace: &'a str,
    /// The one image of controller and speaker.
    pub(crate) image: &'a str,
    pub(crate) version: &'a str,
}

/// A part that a kustomization can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The definitions.
    Crds,
    /// The namespace and what runs in it.
    Programs,
    /// What tells the Prometheus operator to scrape.
    Monitors,
    /// Who may reach the controller, and whom it may.
    NetworkPolicies,
}

/// The Role of speakers, which upstream gives to controllers as well.
pub(super) const SPEAKER_ROLE: &str = "pod-lister";
/// The Secret under which speakers seal their heartbeats.
pub(crate) const MEMBERLIST_SECRET: &str = "memberlist";

impl Standalone<'_> {
    /// The documents of one part, in the order in which to apply them.
    pub(crate) fn part(&self, part: Part) -> Vec<Value> {
        match part {
            Part::Crds => definitions(self.namespace),
            Part::Programs => {
                let programs = self.objects(MonitorType::None, render);
                let namespace = std::iter::once(namespace_of_speakers(self.namespace));
                namespace.chain(programs).collect()
            }
            Part::Monitors => self.objects(MonitorType::ServiceMonitor, monitors::render),
            Part::NetworkPolicies => self.objects(MonitorType::None, policies::standalone),
        }
    }

    /// What is rendered of what has a part of its own is not in the other ones.
    fn objects(
        &self,
        monitors: MonitorType,
        render: impl Fn(&Inputs<'_>) -> Vec<Object>,
    ) -> Vec<Value> {
        let mut settings = Settings::new(self.namespace, self.image).under(self.spec);
        settings.frr_k8s_namespace = Some("frr-k8s-system".to_owned());
        settings.monitors = monitors;
        settings.network_policies = false;
        let objects = render(&Inputs {
            spec: self.spec,
            settings: &settings,
            uid: None,
            api_server: &BTreeSet::new(),
            writes_for_frr_k8s: settings.is_external(self.spec),
            existing_memberlist_key: None,
            fresh_memberlist_key: [0; 16],
            password_secrets: &BTreeSet::new(),
            webhooks: Webhooks::Required,
            version: self.version,
        });
        objects.into_iter().map(|object| object.manifest).collect()
    }
}

/// All definitions but that of the operator's object. They say themselves that `BGPPeer` v1beta1 is
/// served, and who converts it: were the controller to write that, every `kubectl apply` would take
/// it back.
fn definitions(namespace: &str) -> Vec<Value> {
    let mut definitions = metallb_crds::all();
    definitions.retain(|crd| crd["metadata"]["name"] != "metallbs.metallb.io");
    let peers = definitions
        .iter_mut()
        .find(|crd| crd["metadata"]["name"] == CONVERTED)
        .expect("there is a definition of BGPPeers");
    peers["spec"]["conversion"] = json!({
        "strategy": "Webhook",
        "webhook": {
            "conversionReviewVersions": ["v1"],
            "clientConfig": {
                "service": {
                    "namespace": namespace,
                    "name": SERVICE,
                    "path": CONVERT_PATH,
                    "port": 443,
                },
            },
        },
    });
    for version in peers["spec"]["versions"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        version["served"] = true.into();
    }
    definitions
}

#[cfg(test)]
mod tests;
