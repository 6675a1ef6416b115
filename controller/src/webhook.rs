//! Admission and conversion: what the API server asks before it stores an object of ours.
//!
//! What is answered is decided in `metallb-admission`. Here is what that looks at: the objects as
//! the API server has them at that moment, since a watch may lag behind what the user did a moment
//! ago.

mod read;

use std::fmt::Debug;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgAction, ValueEnum};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use kube::core::conversion::ConversionReview;
use kube::{Client, Resource};
use metallb_admission::{
    CONFIGURATION, CONVERT_PATH, CONVERTED, PORT, SECRET, SERVICE, Verdict, WEBHOOKS, Webhook,
    convert_review, review as verdict_on,
};
use metallb_config::{Kind, Labels, Objects};
use metallb_crds::{v1beta1, v1beta2};
use metallb_kit::args::go_bool;
use metallb_kit::metrics::Metrics;
use metallb_kit::metrics::prometheus::{IntCounterVec, Opts};
use metallb_kit::ready::Ready;
use metallb_kit::shutdown::CancellationToken;
use metallb_kit::tls::{Certificate, TlsOptions};
use metallb_kit::webhook::{Place, Registration, Served, Service, Settings, Webhooks, keep};
use metallb_kit::words::in_words;
use serde::de::DeserializeOwned;

/// The flags that are about webhooks.
#[derive(clap::Args, Debug)]
pub(crate) struct Flags {
    /// Whether webhooks are served, and whether anything else is done.
    #[arg(long, value_enum, default_value_t)]
    webhook_mode: WebhookMode,
    /// Take the certificate from --cert-dir, which somebody else fills and renews, who also sees to
    /// it that the API server trusts it.
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    disable_cert_rotation: bool,
    /// Folder with tls.crt and tls.key of the webhooks, read again when they change; only with
    /// --disable-cert-rotation.
    #[arg(long, default_value = "/tmp/k8s-webhook-server/serving-certs")]
    cert_dir: PathBuf,
    /// Service that the API server calls the webhooks by.
    #[arg(long, default_value = SERVICE)]
    cert_service_name: String,
    /// Secret with the certificates, which are made and renewed in it.
    #[arg(long, default_value = SECRET)]
    webhook_secret: String,
    /// Have `BGPPeer` v1beta1 served, converted here; false where an operator sees to that.
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", action = ArgAction::Set)]
    register_conversion: bool,
    /// Has no effect: the API server asks over HTTP/1.1 as well.
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    webhook_http2: bool,
}

/// `--webhook-mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum WebhookMode {
    /// Beside everything else.
    #[default]
    Enabled,
    /// Not at all.
    Disabled,
    /// And nothing else: no addresses are given out.
    #[value(name = "onlywebhook")]
    OnlyWebhook,
}

impl Flags {
    /// Whether nothing but webhooks is wanted.
    pub(crate) fn only_webhooks(&self) -> bool {
        self.webhook_mode == WebhookMode::OnlyWebhook
    }

    /// The flags that were given a value and have no effect yet.
    pub(crate) fn ineffective(&self) -> impl Iterator<Item = &'static str> {
        [("--webhook-http2", self.webhook_http2)]
            .into_iter()
            .filter_map(|(name, given)| given.then_some(name))
    }

    /// Serves the webhooks in the background until `shutdown`, if they are wanted. It takes a
    /// moment until there is a certificate; `ready` says so.
    ///
    /// # Errors
    /// There is no usable certificate in the folder, or the port is taken.
    pub(crate) async fn serve(
        &self,
        client: &Client,
        namespace: &str,
        tls: &TlsOptions,
        shell: (&Ready, &Metrics, &CancellationToken),
    ) -> anyhow::Result<Option<Served>> {
        if self.webhook_mode == WebhookMode::Disabled {
            return Ok(None);
        }
        let (ready, metrics, shutdown) = shell;
        let certificate = if self.disable_cert_rotation {
            Certificate::watch(&self.cert_dir, shutdown.clone())?
        } else {
            let settings = self.certificates(namespace);
            let condition = ready.condition("webhook certificate");
            keep(client, settings, metrics, condition, shutdown.clone())
        };
        let admission = Admission {
            client: client.clone(),
            namespace: namespace.to_owned(),
            denials: metrics.add(IntCounterVec::new(
                Opts::new(DENIALS.0, DENIALS.1),
                &["webhook"],
            )),
        };
        let addr: SocketAddr = (Ipv6Addr::UNSPECIFIED, PORT).into();
        let served = admission
            .webhooks(metrics)
            .serve(addr, &certificate, tls, shutdown.clone())
            .await
            .with_context(|| format!("cannot serve webhooks on port {PORT}"))?;
        tracing::info!(port = PORT, "serving webhooks");
        Ok(Some(served))
    }

    /// Whose certificates they are, and where the API server is told of them.
    fn certificates(&self, namespace: &str) -> Settings {
        let mut places = vec![Place::Validating(CONFIGURATION)];
        if self.register_conversion {
            places.push(Place::Conversion {
                crd: CONVERTED,
                register: Some(Registration {
                    path: CONVERT_PATH,
                    version: "v1beta1",
                    // Who converts already may go on.
                    take_over: false,
                    probe: metallb_admission::probe,
                }),
            });
        }
        Settings {
            service: Service {
                namespace: namespace.to_owned(),
                name: self.cert_service_name.clone(),
            },
            secret: self.webhook_secret.clone(),
            places,
        }
    }
}

/// What answers.
#[derive(Clone)]
struct Admission {
    client: Client,
    /// Where the objects have to be.
    namespace: String,
    denials: IntCounterVec,
}

/// The objects that a webhook looks at.
#[derive(Debug, Default)]
struct Existing {
    pools: Vec<v1beta1::IPAddressPool>,
    l2_advertisements: Vec<v1beta1::L2Advertisement>,
    bgp_advertisements: Vec<v1beta1::BGPAdvertisement>,
    bgp_peers: Vec<v1beta2::BGPPeer>,
    bfd_profiles: Vec<v1beta1::BFDProfile>,
    communities: Vec<v1beta1::Community>,
    nodes: Vec<Labels>,
}

impl Admission {
    fn webhooks(self, metrics: &Metrics) -> Webhooks {
        let all = Webhooks::new(metrics).at(CONVERT_PATH, async |review: ConversionReview| {
            convert_review(review)
        });
        WEBHOOKS.iter().fold(all, |all, webhook| {
            let this = self.clone();
            all.at(webhook.path, move |review| {
                let this = this.clone();
                async move { this.answer(webhook, review).await }
            })
        })
    }

    async fn answer(
        &self,
        webhook: &'static Webhook,
        review: AdmissionReview<DynamicObject>,
    ) -> AdmissionReview<DynamicObject> {
        let request: AdmissionRequest<DynamicObject> = match review.try_into() {
            Ok(request) => request,
            Err(error) => return AdmissionResponse::invalid(error).into_review(),
        };
        let existing = match self.existing(webhook).await {
            Ok(existing) => existing,
            Err(error) => {
                let why = format!("cannot read what it must fit in with: {}", in_words(&error));
                tracing::warn!(webhook = webhook.name, "{why}");
                return AdmissionResponse::from(&request).deny(why).into_review();
            }
        };
        let nodes: Vec<_> = existing.nodes.iter().collect();
        let objects = Objects {
            pools: &existing.pools,
            l2_advertisements: &existing.l2_advertisements,
            bgp_advertisements: &existing.bgp_advertisements,
            bgp_peers: &existing.bgp_peers,
            bfd_profiles: &existing.bfd_profiles,
            communities: &existing.communities,
            nodes: &nodes,
            ..Objects::default()
        };
        let verdict = verdict_on(webhook, &request, &objects, &self.namespace);
        if matches!(verdict, Verdict::Deny(_)) {
            self.denials.with_label_values(&[webhook.name]).inc();
        }
        verdict.answer(&request)
    }

    async fn existing(&self, webhook: &Webhook) -> kube::Result<Existing> {
        let mut existing = Existing::default();
        for kind in webhook.reads {
            match kind {
                Kind::IPAddressPool => existing.pools = self.list().await?,
                Kind::L2Advertisement => existing.l2_advertisements = self.list().await?,
                Kind::BGPAdvertisement => existing.bgp_advertisements = self.list().await?,
                Kind::BGPPeer => existing.bgp_peers = self.list().await?,
                Kind::BFDProfile => existing.bfd_profiles = self.list().await?,
                Kind::Community => existing.communities = self.list().await?,
            }
        }
        if webhook.reads_nodes {
            let nodes: Api<Node> = Api::all(self.client.clone());
            let all = ListParams::default();
            let nodes = read::patiently(|| nodes.list_metadata(&all)).await?;
            let labels = nodes.into_iter().map(|node| node.metadata.labels);
            existing.nodes = labels.map(Option::unwrap_or_default).collect();
        }
        Ok(existing)
    }

    async fn list<K>(&self) -> kube::Result<Vec<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        let all = ListParams::default();
        Ok(read::patiently(|| api.list(&all)).await?.items)
    }
}

/// Name and help of the metric.
const DENIALS: (&str, &str) = (
    "metallb_webhook_denials_total",
    "Number of objects that a webhook has refused.",
);

#[cfg(test)]
mod tests;
