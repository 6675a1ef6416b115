//! What the operator is told by its environment, with upstream's names; and what of it a `MetalLB`
//! object says otherwise.

mod image;

use metallb_crds::v1beta1::{MetalLBSpec, MonitorType};
use metallb_kit::tls::{self, TlsOptions};
use thiserror::Error;

use crate::platform::Platform;

/// The environment, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where the operator, the `MetalLB` object and all operands live.
    pub(crate) namespace: String,
    pub(crate) images: Images,
    pub(crate) ports: Ports,
    /// Where an FRR-K8s that somebody else runs is found, unless the object says.
    pub(crate) frr_k8s_namespace: Option<String>,
    /// On OpenShift: the cluster's network operator runs an FRR-K8s, which is to be used unless the
    /// object says otherwise.
    pub(crate) frr_k8s_from_cno: bool,
    /// Which monitors there are to be.
    pub(crate) monitors: MonitorType,
    /// Whether there are to be network policies.
    pub(crate) network_policies: bool,
    /// How operands serve TLS.
    pub(crate) tls: Tls,
    /// Where metrics of the operator are served, if at all.
    pub(crate) metrics: Option<u16>,
    /// What the cluster is; found out, not told.
    pub(crate) platform: Platform,
    /// The Service that the API server is to ask about `MetalLB` objects; none where somebody else
    /// tells it whom to ask.
    pub(crate) webhook_service: Option<String>,
    /// Where OLM wants to be told whether it may upgrade.
    pub(crate) operator_condition: Option<String>,
    /// What was asked for and has no effect yet, as lines for the log.
    pub(crate) without_effect: Vec<String>,
}

/// The images of the operands; usually one and the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Images {
    pub(crate) controller: String,
    pub(crate) speaker: String,
}

/// The ports that operands listen on, on the node's own addresses in case of the speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// HTTPS, `/metrics`.
    pub(crate) metrics: u16,
    /// HTTP, `/healthz` and `/readyz`.
    pub(crate) probes: u16,
    /// Heartbeats between speakers.
    pub(crate) memberlist: u16,
    /// HTTPS, `/metrics` of BGP sessions with the backend frr; 0 for the same port as all others.
    pub(crate) frr_metrics: u16,
    /// The same with frr-k8s.
    pub(crate) frr_k8s_metrics: u16,
    /// HTTPS, the `/metrics` that FRR-K8s' own program has with frr-k8s; 0 for none.
    pub(crate) frr_k8s_own_metrics: u16,
    /// BGP, where routers may connect to speakers.
    pub(crate) bgp: Option<u16>,
}

/// What operands are told of TLS, as they are told; an empty text leaves it to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) min_version: String,
    pub(crate) cipher_suites: String,
    pub(crate) curve_preferences: String,
}

/// Why the environment cannot be used.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    #[error("environment variable {0} is not set: {1}")]
    Missing(&'static str, &'static str),
    #[error("environment variable {name} is {value:?}: it must be a port, 1 to 65535")]
    Port { name: &'static str, value: String },
    #[error("environment variable {name} is {value:?}: it must be true or false")]
    Bool { name: &'static str, value: String },
    #[error("DEPLOY_PODMONITORS and DEPLOY_SERVICEMONITORS are both true: choose one")]
    BothMonitors,
    #[error("environment variables TLS_MIN_VERSION, TLS_CIPHER_SUITES, TLS_CURVE_PREFERENCES: {0}")]
    Tls(#[from] tls::Error),
}

impl Settings {
    /// With one image and no environment.
    pub(crate) fn new(namespace: &str, image: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            images: Images {
                controller: image.to_owned(),
                speaker: image.to_owned(),
            },
            ports: Ports::default(),
            frr_k8s_namespace: None,
            frr_k8s_from_cno: false,
            monitors: MonitorType::None,
            network_policies: true,
            tls: Tls::default(),
            metrics: None,
            platform: Platform::default(),
            webhook_service: None,
            operator_condition: None,
            without_effect: Vec::new(),
        }
    }

    /// With what `spec` says in the place of what the environment says.
    pub(crate) fn under(&self, spec: &MetalLBSpec) -> Self {
        let mut settings = self.clone();
        let (controller, speaker) = (&spec.controller_config, &spec.speaker_config);
        let images = &mut settings.images;
        for (image, named) in [
            (
                &mut images.controller,
                controller.as_ref().and_then(|it| it.pods.image.as_ref()),
            ),
            (
                &mut images.speaker,
                speaker.as_ref().and_then(|it| it.pods.image.as_ref()),
            ),
        ] {
            *image = image::chosen(image, named, spec.image_registry.as_deref());
        }
        let memberlist = speaker.as_ref().and_then(|it| it.memberlist.as_ref());
        if let Some(port) = memberlist.and_then(|it| it.bind_port) {
            settings.ports.memberlist = port;
        }
        if let Some(monitors) = spec.monitoring.as_ref().and_then(|it| it.type_) {
            settings.monitors = monitors;
        }
        if let Some(enabled) = spec.network_policies.as_ref().and_then(|it| it.enabled) {
            settings.network_policies = enabled;
        }
        settings
    }

    /// The BGP backend in effect: the chosen one or, without a choice, that of the platform.
    pub(crate) fn backend<'a>(&self, spec: &'a MetalLBSpec) -> &'a str {
        let chosen = spec.bgp_backend.as_deref().filter(|it| !it.is_empty());
        chosen.unwrap_or(match self.platform {
            Platform::Kubernetes => "frr",
            Platform::OpenShift if self.frr_k8s_from_cno => EXTERNAL,
            Platform::OpenShift => "frr-k8s",
        })
    }

    /// Whether speakers write for an FRR-K8s that somebody else runs.
    pub(crate) fn is_external(&self, spec: &MetalLBSpec) -> bool {
        self.backend(spec) == EXTERNAL
    }

    /// Parses what `variable` answers for each name; an empty value counts as not set.
    pub(crate) fn parse(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let required = |name, why| variable(name).ok_or(SettingsError::Missing(name, why));
        let port = |name: &'static str, default| match variable(name) {
            None => Ok(default),
            Some(value) => match value.parse() {
                Ok(port) if port != 0 => Ok(port),
                _ => Err(SettingsError::Port { name, value }),
            },
        };
        let port_or_none = |name, default| match variable(name).as_deref() {
            Some("0") => Ok(0),
            _ => port(name, default),
        };
        let switch = |name: &'static str| match variable(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(value) => Err(SettingsError::Bool {
                name,
                value: value.to_owned(),
            }),
        };

        let pod_monitors = switch("DEPLOY_PODMONITORS")?;
        let service_monitors = switch("DEPLOY_SERVICEMONITORS")?;
        if pod_monitors && service_monitors {
            return Err(SettingsError::BothMonitors);
        }
        let text = |name| variable(name).unwrap_or_default();
        let tls = Tls {
            min_version: text("TLS_MIN_VERSION"),
            cipher_suites: text("TLS_CIPHER_SUITES"),
            curve_preferences: text("TLS_CURVE_PREFERENCES"),
        };
        TlsOptions::parse(&tls.min_version, &tls.cipher_suites, &tls.curve_preferences)?;
        let frr_k8s_from_cno = switch("DEPLOY_FRRK8S_FROM_CNO")?;

        let mut without_effect = Vec::new();
        for name in OF_FRR {
            if variable(name).is_some() {
                without_effect.push(format!(
                    "environment variable {name} has no effect: no FRR is run beside the speakers"
                ));
            }
        }

        if variable("CNO_MIN_FRRK8S_VERSION").is_some() {
            without_effect.push(
                "environment variable CNO_MIN_FRRK8S_VERSION has no effect: what speakers write, \
                 every FRR-K8s reads"
                    .to_owned(),
            );
        }

        Ok(Self {
            namespace: required(
                "OPERATOR_NAMESPACE",
                "name the namespace the operator runs in",
            )?,
            images: Images {
                controller: required("CONTROLLER_IMAGE", "name the image of the controller")?,
                speaker: required("SPEAKER_IMAGE", "name the image of the speaker")?,
            },
            ports: Ports {
                metrics: port("METRICS_PORT", Ports::default().metrics)?,
                probes: port("OPERAND_LIVENESS_PORT", Ports::default().probes)?,
                memberlist: port("MEMBER_LIST_BIND_PORT", Ports::default().memberlist)?,
                frr_metrics: port_or_none("FRR_METRICS_PORT", Ports::default().frr_metrics)?,
                frr_k8s_metrics: port_or_none(
                    "FRRK8S_FRR_HTTPS_METRICS_PORT",
                    Ports::default().frr_k8s_metrics,
                )?,
                frr_k8s_own_metrics: port_or_none(
                    "FRRK8S_HTTPS_METRICS_PORT",
                    Ports::default().frr_k8s_own_metrics,
                )?,
                bgp: variable("BGP_LISTEN_PORT")
                    .map(|_| port("BGP_LISTEN_PORT", 0))
                    .transpose()?,
            },
            frr_k8s_namespace: variable("FRRK8S_EXTERNAL_NAMESPACE")
                .or_else(|| frr_k8s_from_cno.then(|| OF_CNO.to_owned())),
            frr_k8s_from_cno,
            monitors: match (service_monitors, pod_monitors) {
                (true, _) => MonitorType::ServiceMonitor,
                (_, true) => MonitorType::PodMonitor,
                _ => MonitorType::None,
            },
            network_policies: !switch("DISABLE_NETWORK_POLICIES")?,
            tls,
            metrics: None,
            platform: Platform::default(),
            webhook_service: None,
            operator_condition: variable("OPERATOR_CONDITION_NAME"),
            without_effect,
        })
    }
}

/// What upstream's operator is told of FRR and FRR-K8s.
const OF_FRR: [&str; 4] = [
    "FRR_IMAGE",
    "FRRK8S_IMAGE",
    "FRRK8S_METRICS_PORT",
    "FRRK8S_FRR_METRICS_PORT",
];

/// The backend that speaks no BGP itself.
const EXTERNAL: &str = "frr-k8s-external";
/// Where OpenShift's network operator runs FRR-K8s.
const OF_CNO: &str = "openshift-frr-k8s";

impl Default for Ports {
    fn default() -> Self {
        Self {
            metrics: 9120,
            probes: 17472,
            memberlist: 7946,
            frr_metrics: 9121,
            frr_k8s_metrics: 9141,
            frr_k8s_own_metrics: 9140,
            bgp: None,
        }
    }
}

#[cfg(test)]
mod tests;
