//! What the operator is told by its environment, with upstream's names.

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
    /// BGP, where routers may connect to speakers.
    pub(crate) bgp: Option<u16>,
}

/// Why the environment cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum SettingsError {
    #[error("environment variable {0} is not set: {1}")]
    Missing(&'static str, &'static str),
    #[error("environment variable {name} is {value:?}: it must be a port, 1 to 65535")]
    Port { name: &'static str, value: String },
    #[error("environment variable {name} is {value:?}: it must be true or false")]
    Bool { name: &'static str, value: String },
    #[error("DEPLOY_PODMONITORS and DEPLOY_SERVICEMONITORS are both true: choose one")]
    BothMonitors,
}

impl Settings {
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
        let mut without_effect = Vec::new();
        for (asked, name) in [
            (pod_monitors, "DEPLOY_PODMONITORS"),
            (service_monitors, "DEPLOY_SERVICEMONITORS"),
            (switch("DEPLOY_FRRK8S_FROM_CNO")?, "DEPLOY_FRRK8S_FROM_CNO"),
        ] {
            if asked {
                without_effect.push(format!("environment variable {name} has no effect yet"));
            }
        }

        for name in [
            "TLS_CIPHER_SUITES",
            "TLS_CURVE_PREFERENCES",
            "TLS_MIN_VERSION",
        ] {
            if variable(name).is_some() {
                without_effect.push(format!("environment variable {name} has no effect yet"));
            }
        }

        for name in OF_FRR {
            if variable(name).is_some() {
                without_effect.push(format!(
                    "environment variable {name} has no effect: no FRR is run beside the speakers"
                ));
            }
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
                bgp: variable("BGP_LISTEN_PORT")
                    .map(|_| port("BGP_LISTEN_PORT", 0))
                    .transpose()?,
            },
            frr_k8s_namespace: variable("FRRK8S_EXTERNAL_NAMESPACE"),
            platform: Platform::default(),
            webhook_service: None,
            operator_condition: variable("OPERATOR_CONDITION_NAME"),
            without_effect,
        })
    }
}

/// What upstream's operator is told of FRR and FRR-K8s.
const OF_FRR: [&str; 5] = [
    "FRR_IMAGE",
    "FRRK8S_IMAGE",
    "FRRK8S_METRICS_PORT",
    "FRRK8S_FRR_METRICS_PORT",
    "FRRK8S_HTTPS_METRICS_PORT",
];

impl Default for Ports {
    fn default() -> Self {
        Self {
            metrics: 9120,
            probes: 17472,
            memberlist: 7946,
            frr_metrics: 9121,
            frr_k8s_metrics: 9141,
            bgp: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::parse(|name| {
            variables
                .iter()
                .rfind(|(n, _)| *n == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    const REQUIRED: [(&str, &str); 3] = [
        ("OPERATOR_NAMESPACE", "metallb-system"),
        ("CONTROLLER_IMAGE", "metallb:dev"),
        ("SPEAKER_IMAGE", "metallb:dev"),
    ];

    fn parse_with(more: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        parse(&[&REQUIRED, more].concat())
    }

    #[test]
    fn the_required_three_are_enough() {
        let settings = parse(&REQUIRED).unwrap();
        assert_eq!(
            settings.ports,
            Ports {
                metrics: 9120,
                probes: 17472,
                memberlist: 7946,
                frr_metrics: 9121,
                frr_k8s_metrics: 9141,
                bgp: None,
            }
        );
        assert_eq!(settings.frr_k8s_namespace, None);
        assert!(settings.without_effect.is_empty());
    }

    #[test]
    fn each_required_one_is_missed_by_name() {
        for (name, _) in REQUIRED {
            let others: Vec<_> = REQUIRED.into_iter().filter(|(n, _)| *n != name).collect();
            let error = parse(&others).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("environment variable {name} is not set")),
                "{error}"
            );
            assert!(
                parse_with(&[(name, "")]).is_err(),
                "an empty {name} counts as not set"
            );
        }
    }

    #[test]
    fn what_is_said_of_frr_is_answered() {
        let settings = parse_with(&[
            ("FRR_IMAGE", "frr:10"),
            ("FRRK8S_EXTERNAL_NAMESPACE", "frr-k8s-system"),
        ]);
        let settings = settings.unwrap();
        let namespace = settings.frr_k8s_namespace.as_deref();
        assert_eq!(namespace, Some("frr-k8s-system"));
        let [line] = &settings.without_effect[..] else {
            panic!("{:?}", settings.without_effect);
        };
        assert!(line.starts_with("environment variable FRR_IMAGE has no effect: no FRR is run"));
    }

    #[test]
    fn ports_are_ports() {
        assert_eq!(
            parse_with(&[("METRICS_PORT", "29150")])
                .unwrap()
                .ports
                .metrics,
            29150
        );
        let off = parse_with(&[("FRR_METRICS_PORT", "0")]).unwrap();
        assert_eq!(off.ports.frr_metrics, 0, "there need not be one");
        let bgp = parse_with(&[("BGP_LISTEN_PORT", "179")]);
        assert_eq!(bgp.unwrap().ports.bgp, Some(179));
        assert!(parse_with(&[("BGP_LISTEN_PORT", "bgp")]).is_err());
        for bad in ["0", "65536", "-1", "http"] {
            let error = parse_with(&[("MEMBER_LIST_BIND_PORT", bad)])
                .unwrap_err()
                .to_string();
            assert_eq!(
                error,
                format!(
                    "environment variable MEMBER_LIST_BIND_PORT is {bad:?}: it must be a port, 1 to 65535"
                )
            );
        }
    }

    #[test]
    fn monitors_are_of_one_kind() {
        let both = [
            ("DEPLOY_PODMONITORS", "true"),
            ("DEPLOY_SERVICEMONITORS", "true"),
        ];
        assert_eq!(parse_with(&both), Err(SettingsError::BothMonitors));
        let one = parse_with(&both[..1]).unwrap();
        assert_eq!(
            one.without_effect,
            ["environment variable DEPLOY_PODMONITORS has no effect yet"]
        );
        assert!(parse_with(&[("DEPLOY_PODMONITORS", "yes")]).is_err());
    }
}
