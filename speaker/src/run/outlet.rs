//! Where users read what has become of decisions.

use kube::Client;
use metallb_crds::v1beta1::{ServiceBGPStatus, ServiceL2Status};
use metallb_kit::configuration_state::Reporter;
use metallb_kit::events::Events;
use tokio::sync::mpsc;

use crate::addresses::Command;
use crate::apply::{Apply, Publish};
use crate::args::Args;
use crate::bgp::frr_k8s::{self, Passwords};
use crate::bgp::{BgpApply, Engine};
use crate::index::Index;
use crate::metrics::AnnouncedMetric;
use crate::statuses::{self, Place, Statuses};

/// Where it is told what has become of decisions.
pub(super) struct Outlet {
    pub(super) client: Client,
    pub(super) events: Events,
    pub(super) place: Place,
}

impl Outlet {
    pub(super) fn statuses<K: statuses::Kind>(&self) -> Statuses<K> {
        Statuses::start(self.client.clone(), self.place.clone())
    }

    fn publish(&self) -> Publish {
        let events = self.events.clone();
        Box::new(move |about, kind, reason, message| {
            events.publish(about, kind, reason, message);
        })
    }

    pub(super) fn apply(
        &self,
        commands: mpsc::UnboundedSender<Command>,
        metric: AnnouncedMetric,
    ) -> Apply {
        let statuses = self.statuses::<ServiceL2Status>();
        Apply::new(
            self.place.node.clone(),
            commands,
            metric,
            self.publish(),
            Box::new(move |service, interfaces| {
                statuses.tell(service, interfaces.cloned());
            }),
        )
    }

    /// BGP by the FRR-K8s in that namespace.
    pub(super) fn frr_k8s(
        &self,
        namespace: &str,
        args: &Args,
        index: &mut Index,
        reporter: Reporter,
    ) -> Engine {
        let own_namespace = self.place.namespace.clone();
        // As upstream: in one namespace with us it can read the Secrets that we mean.
        let by_name = args.frrk8s_secret_passthrough || namespace == own_namespace;
        let passwords = if by_name {
            index.configuration.leave_secrets_to_others();
            Passwords::ByName
        } else {
            Passwords::Told
        };
        tracing::info!(
            op = "startup",
            namespace,
            "FRR-K8s speaks BGP for this node"
        );
        let place = frr_k8s::Place {
            namespace: namespace.to_owned(),
            node: self.place.node.clone(),
            own_namespace,
        };
        Engine::frr_k8s(frr_k8s::start(
            self.client.clone(),
            place,
            passwords,
            reporter,
        ))
    }

    pub(super) fn routers(&self, engine: Engine, metric: AnnouncedMetric) -> BgpApply {
        let statuses = self.statuses::<ServiceBGPStatus>();
        BgpApply::new(
            &self.place.node,
            engine,
            metric,
            self.publish(),
            Box::new(move |service, peers| {
                statuses.tell(service, Some(peers).filter(|it| !it.is_empty()));
            }),
        )
    }
}
