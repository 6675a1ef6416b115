//! What the API server asks the operator, in every replica, whoever leads, and for as long as an
//! operator runs, since it has to be answered when no MetalLB does.
//!
//! `/convert`: `BGPPeers` of either version, which were stored before and have to be readable. And
//! whether a `MetalLB` object may be as it is.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use anyhow::Context as _;
use kube::Client;
use kube::api::{Api, ListParams};
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};
use kube::core::conversion::ConversionReview;
use metallb_admission::{
    Around, CONVERT_PATH, CONVERTED, METALLB_PATH, METALLB_WEBHOOK, OPERATOR_CONFIGURATION, PORT,
    Verdict, convert_review, probe, review_metallb,
};
use metallb_crds::names::METALLB_NAME;
use metallb_crds::v1beta1::MetalLB;
use metallb_kit::metrics::Metrics;
use metallb_kit::metrics::prometheus::{IntCounterVec, Opts};
use metallb_kit::ready::Ready;
use metallb_kit::shutdown::CancellationToken;
use metallb_kit::tls::{Certificate, TlsOptions};
use metallb_kit::webhook::{Place, Registration, Served, Service, Settings, Webhooks, keep};
use metallb_kit::words::in_words;

use crate::apply::addresses_in_use;
use crate::render::OPERATOR_SECRET;
use crate::settings;

/// Where the certificate comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// We keep it ourselves, for the Service of this name.
    Ours {
        /// The Service.
        service: String,
    },
    /// Somebody else fills this folder, and tells the API server whom to trust.
    Folder(PathBuf),
}

impl Source {
    /// The Service that we have to have asked; none where somebody else sees to that.
    pub(crate) fn service(&self) -> Option<String> {
        match self {
            Self::Ours { service } => Some(service.clone()),
            Self::Folder(_) => None,
        }
    }
}

/// Serves in the background until `shutdown`.
///
/// # Errors
/// There is no usable certificate in the folder, or the port is taken.
pub(crate) async fn serve(
    source: Source,
    client: &Client,
    settings: &settings::Settings,
    metrics: &Metrics,
    ready: &Ready,
    shutdown: &CancellationToken,
) -> anyhow::Result<Served> {
    let certificate = match source {
        Source::Folder(dir) => Certificate::watch(&dir, shutdown.clone())?,
        Source::Ours { service } => keep(
            client,
            Settings {
                service: Service {
                    namespace: settings.namespace.clone(),
                    name: service,
                },
                secret: OPERATOR_SECRET.to_owned(),
                places: vec![
                    Place::Validating(OPERATOR_CONFIGURATION),
                    Place::Conversion {
                        crd: CONVERTED,
                        register: Some(REGISTRATION),
                    },
                ],
            },
            metrics,
            ready.condition("webhook certificate"),
            shutdown.clone(),
        ),
    };
    let admission = Admission {
        client: client.clone(),
        namespace: settings.namespace.clone(),
        frr_k8s_namespace: settings.frr_k8s_namespace.clone(),
        denials: metrics.add(IntCounterVec::new(
            Opts::new(DENIALS.0, DENIALS.1),
            &["webhook"],
        )),
    };
    Webhooks::new(metrics)
        .at(METALLB_PATH, move |review| {
            let admission = admission.clone();
            async move { admission.answer(review).await }
        })
        .at(CONVERT_PATH, async |review: ConversionReview| {
            convert_review(review)
        })
        .serve(
            (Ipv6Addr::UNSPECIFIED, PORT).into(),
            &certificate,
            &TlsOptions::default(),
            shutdown.clone(),
        )
        .await
        .with_context(|| format!("cannot serve webhooks on port {PORT}"))
}

/// Upstream's operand converts as well; where an operator runs, it does.
const REGISTRATION: Registration = Registration {
    path: CONVERT_PATH,
    version: "v1beta1",
    take_over: true,
    probe,
};

/// What answers about `MetalLB` objects.
#[derive(Clone)]
struct Admission {
    client: Client,
    namespace: String,
    frr_k8s_namespace: Option<String>,
    denials: IntCounterVec,
}

impl Admission {
    async fn answer(
        &self,
        review: AdmissionReview<DynamicObject>,
    ) -> AdmissionReview<DynamicObject> {
        let request: AdmissionRequest<DynamicObject> = match review.try_into() {
            Ok(request) => request,
            Err(error) => return AdmissionResponse::invalid(error).into_review(),
        };
        let around = Around {
            namespace: &self.namespace,
            frr_k8s_namespace: self.frr_k8s_namespace.as_deref(),
            exists: self.exists().await,
            in_use: match request.operation {
                Operation::Delete => self.in_use().await,
                _ => 0,
            },
        };
        let verdict = review_metallb(&request, around);
        if matches!(verdict, Verdict::Deny(_)) {
            self.denials.with_label_values(&[METALLB_WEBHOOK]).inc();
        }
        verdict.answer(&request)
    }

    /// Whether there is the `MetalLB` object that we act on, as far as can be seen. No verdict
    /// depends on it, only what is said.
    async fn exists(&self) -> bool {
        let api: Api<MetalLB> = Api::namespaced(self.client.clone(), &self.namespace);
        let own = ListParams::default().fields(&format!("metadata.name={METALLB_NAME}"));
        let list = api.list_metadata(&own).await;
        list.is_ok_and(|list| !list.items.is_empty())
    }

    /// How many addresses are in use, as far as can be seen. Whoever cannot see it must not keep
    /// anything from being deleted; the operator looks again before it removes anything.
    async fn in_use(&self) -> u64 {
        let count = addresses_in_use(&self.client, &self.namespace).await;
        count.unwrap_or_else(|error| {
            tracing::warn!(
                error = in_words(&error),
                "cannot see how many addresses are in use"
            );
            0
        })
    }
}

/// Name and help of the metric; the controller has the same.
const DENIALS: (&str, &str) = (
    "metallb_webhook_denials_total",
    "Number of objects that a webhook has refused.",
);
