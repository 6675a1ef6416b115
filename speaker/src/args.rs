//! The speaker's flags and environment; names, defaults and meanings are upstream's.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Parser;
use metallb_kit::args::{LogLevel, go_bool};

/// Announces the addresses of Services of type `LoadBalancer` from this node.
#[derive(Parser, Clone, Debug)]
#[command(name = "speaker", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Namespace of the configuration and of the speakers [default: the pod's own]
    #[arg(long, env = "METALLB_NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// Name of this node
    #[arg(long, env = "METALLB_NODE_NAME")]
    pub(crate) node_name: Option<String>,

    /// Name of this pod
    #[arg(long, env = "METALLB_POD_NAME")]
    pub(crate) pod_name: Option<String>,

    /// Address for heartbeats between speakers; without it, dead nodes are not noticed fast
    #[arg(long, env = "METALLB_ML_BIND_ADDR", value_parser = address)]
    pub(crate) ml_bindaddr: Option<Given<IpAddr>>,

    /// Port for heartbeats between speakers, the same on all nodes
    #[arg(long, env = "METALLB_ML_BIND_PORT", value_parser = port)]
    pub(crate) ml_bindport: Option<Given<u16>>,

    /// Labels by which speakers find each other's pods
    #[arg(long, env = "METALLB_ML_LABELS")]
    pub(crate) ml_labels: Option<String>,

    /// Folder with the key `secretkey` that seals heartbeats
    #[arg(long, env = "METALLB_ML_SECRET_KEY_PATH")]
    pub(crate) ml_secret_key_path: Option<PathBuf>,

    /// Bear the delays of a wide area network: speakers are told dead later
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "false")]
    pub(crate) ml_wan_config: bool,

    /// Port of the HTTPS metrics endpoint; 0 turns it off
    #[arg(long, default_value_t = 9120)]
    pub(crate) port: u16,

    /// Port of the metrics of BGP sessions where MetalLB has one of their own; 0 leaves them on
    /// --port, by their `metallb_` names [default: 9121 with frr, 9141 with frr-k8s]
    #[arg(long)]
    pub(crate) frr_metrics_port: Option<u16>,

    /// Port of the metrics that FRR-K8s' own program has with frr-k8s; 0 turns it off
    #[arg(long, default_value_t = 9140)]
    pub(crate) frrk8s_metrics_port: u16,

    /// Folder with tls.crt and tls.key of the metrics endpoint [default: self-signed]
    #[arg(long)]
    pub(crate) metrics_cert_dir: Option<PathBuf>,

    /// Lowest TLS version
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "VersionTLS12|VersionTLS13"
    )]
    pub(crate) tls_min_version: String,

    /// TLS 1.2 cipher suites, separated by commas
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) tls_cipher_suites: String,

    /// TLS curves by number, separated by commas
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) tls_curve_preferences: String,

    /// Port on 127.0.0.1 of /healthz and /readyz
    #[arg(long, default_value_t = 17472)]
    pub(crate) health_probe_port: u16,

    /// Port on which routers may connect, which below 1024 takes a capability; 0 turns it off
    #[arg(long, env = "METALLB_BGP_LISTEN_PORT", default_value_t = 0)]
    pub(crate) bgp_listen_port: u16,

    /// How much is logged
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log_level: LogLevel,

    /// Only handle Services with this loadBalancerClass [default: those without one]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) lb_class: String,

    /// Announce also from nodes labelled node.kubernetes.io/exclude-from-external-load-balancers
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "false")]
    pub(crate) ignore_exclude_lb: bool,

    /// Deprecated, has no effect
    #[arg(long, env = "METALLB_HOST", hide_env_values = true)]
    pub(crate) host: Option<String>,

    /// Accepted; has no effect, as changes are told at once
    #[arg(long, env = "METALLB_BGP_DEBOUNCE_TIMEOUT")]
    pub(crate) bgp_debounce_timeout: Option<String>,

    /// Accepted; has no effect
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) pprof_bind_address: String,

    /// With METALLB_BGP_TYPE=frr-k8s: speak no BGP but write FRRConfigurations, for the FRR-K8s in
    /// this namespace
    #[arg(long, env = "FRRK8S_NAMESPACE")]
    pub(crate) frrk8s_namespace: Option<String>,

    /// Tell FRR-K8s the names of Secrets with passwords, which it then reads in its own namespace,
    /// instead of the passwords
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "false")]
    pub(crate) frrk8s_secret_passthrough: bool,
}

/// What it does instead of announcing.
#[derive(clap::Subcommand, Clone, Copy, Debug)]
pub(crate) enum Command {
    /// Print the BGP sessions of the speaker that runs on this node
    Bgp,
}

/// How speakers find and hear each other.
#[derive(Clone, Debug)]
pub(crate) struct Memberlist {
    pub(crate) bind: std::net::SocketAddr,
    pub(crate) labels: String,
}

/// Why the flags make no sense together.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    #[error("must specify --node-name or METALLB_NODE_NAME")]
    NodeName,
    #[error("METALLB_BGP_TYPE: unknown type {0:?}; use native, frr or frr-k8s")]
    BgpType(String),
    #[error("--frrk8s-secret-passthrough needs METALLB_BGP_TYPE=frr-k8s and --frrk8s-namespace")]
    SecretPassthrough,
}

/// A value that counts as absent when its text is empty, as an unset variable in a manifest is.
pub(crate) type Given<T> = Option<T>;

impl Args {
    /// The name of this node.
    pub(crate) fn node(&self) -> Result<&str, Error> {
        given(self.node_name.as_ref()).ok_or(Error::NodeName)
    }

    /// Nothing when heartbeats are off: upstream's rule is that both must be given.
    pub(crate) fn memberlist(&self) -> Option<Memberlist> {
        let labels = given(self.ml_labels.as_ref())?.to_owned();
        let port = self.ml_bindport.flatten().unwrap_or(DEFAULT_HEARTBEAT_PORT);
        Some(Memberlist {
            bind: (self.ml_bindaddr.flatten()?, port).into(),
            labels,
        })
    }

    /// The class of Services to handle.
    pub(crate) fn class(&self) -> Option<String> {
        Some(self.lb_class.clone()).filter(|class| !class.is_empty())
    }

    /// Somebody else runs an FRR-K8s there.
    pub(crate) fn has_frrk8s_namespace(&self) -> bool {
        given(self.frrk8s_namespace.as_ref()).is_some()
    }

    /// Where the FRR-K8s is that speaks BGP for us, if one does. `bgp_type` is `METALLB_BGP_TYPE`.
    pub(crate) fn frr_k8s(&self, bgp_type: &str) -> Option<&str> {
        given(self.frrk8s_namespace.as_ref()).filter(|_| bgp_type == "frr-k8s")
    }

    /// What was given but does nothing, with the reason. `variable` looks into the environment.
    pub(crate) fn without_effect(
        &self,
        bgp_type: &str,
        variable: impl Fn(&str) -> bool,
    ) -> Result<Vec<(&'static str, &'static str)>, Error> {
        if !["", "native", "frr", "frr-k8s"].contains(&bgp_type) {
            return Err(Error::BgpType(bgp_type.to_owned()));
        }
        let frrk8s_namespace = self.has_frrk8s_namespace();
        let external = self.frr_k8s(bgp_type).is_some();
        if self.frrk8s_secret_passthrough && !external {
            return Err(Error::SecretPassthrough);
        }
        let all = [
            (
                "--bgp-debounce-timeout",
                given(self.bgp_debounce_timeout.as_ref()).is_some(),
                "changes are told to routers at once",
            ),
            (
                "--frrk8s-namespace",
                frrk8s_namespace && !external,
                "without METALLB_BGP_TYPE=frr-k8s the speaker speaks BGP itself",
            ),
            ("FRR_CONFIG_FILE", variable("FRR_CONFIG_FILE"), NO_FRR),
            (
                "FRR_RELOADER_PID_FILE",
                variable("FRR_RELOADER_PID_FILE"),
                NO_FRR,
            ),
            (
                "FRR_LOGGING_LEVEL",
                variable("FRR_LOGGING_LEVEL"),
                "there is no FRR beside the speaker: --log-level says how much is logged",
            ),
            (
                "--pprof-bind-address",
                !self.pprof_bind_address.is_empty(),
                "profiles of Go only",
            ),
        ];
        Ok(all
            .into_iter()
            .filter(|(_, is, _)| *is)
            .map(|(name, _, why)| (name, why))
            .collect())
    }
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

fn address(text: &str) -> Result<Given<IpAddr>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| "want an IP address".to_owned())
}

fn port(text: &str) -> Result<Given<u16>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| "want a port number".to_owned())
}

const DEFAULT_HEARTBEAT_PORT: u16 = 7946;
const NO_FRR: &str =
    "there is no FRR beside the speaker: `speaker bgp` shows the sessions that it has";

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::try_parse_from(line.split_whitespace()).unwrap()
    }

    #[test]
    fn the_node_must_be_known() {
        assert_eq!(args("speaker").node(), Err(Error::NodeName));
        assert_eq!(args("speaker --node-name=").node(), Err(Error::NodeName));
        assert_eq!(args("speaker --node-name n1").node(), Ok("n1"));
    }

    #[test]
    fn heartbeats_need_labels_and_an_address() {
        for (line, bind) in [
            ("speaker", None),
            ("speaker --ml-bindaddr=10.0.0.1", None),
            ("speaker --ml-labels=app=metallb", None),
            ("speaker --ml-labels=app=metallb --ml-bindaddr=", None),
            (
                "speaker --ml-labels=a=b --ml-bindaddr=10.0.0.1 --ml-bindport=",
                Some("10.0.0.1:7946"),
            ),
            (
                "speaker --ml-labels=a=b --ml-bindaddr=fd00::1 --ml-bindport=1",
                Some("[fd00::1]:1"),
            ),
        ] {
            let found = args(line).memberlist().map(|it| it.bind.to_string());
            assert_eq!(found.as_deref(), bind, "{line}");
        }
    }

    #[test]
    fn bad_values_are_refused() {
        for line in [
            "speaker --ml-bindaddr=nowhere",
            "speaker --ml-bindport=70000",
            "speaker --port=x",
            "speaker --bgp-listen-port=bgp",
            "speaker --log-level=loud",
            "speaker --unknown",
        ] {
            assert!(
                Args::try_parse_from(line.split_whitespace()).is_err(),
                "{line}"
            );
        }
        let some = args("speaker --frrk8s-secret-passthrough --frrk8s-namespace=x");
        let names = |bgp_type| some.without_effect(bgp_type, |_| false);
        assert_eq!(names("quagga"), Err(Error::BgpType("quagga".into())));
        assert_eq!(names("native"), Err(Error::SecretPassthrough));
        assert_eq!(names("frr-k8s"), Ok(Vec::new()));
    }

    #[test]
    fn frr_k8s_speaks_bgp_where_a_namespace_of_it_is_given() {
        for (line, bgp_type, namespace) in [
            ("speaker --frrk8s-namespace=x", "frr-k8s", Some("x")),
            ("speaker --frrk8s-namespace=x", "frr", None),
            ("speaker --frrk8s-namespace=", "frr-k8s", None),
            ("speaker", "frr-k8s", None),
        ] {
            assert_eq!(args(line).frr_k8s(bgp_type), namespace, "{line} {bgp_type}");
        }
    }

    #[test]
    fn what_has_no_effect_is_named() {
        let names = |line, bgp_type| -> Vec<_> {
            let variable = |name: &str| bgp_type == "frr" && name.starts_with("FRR_");
            let found = args(line).without_effect(bgp_type, variable).unwrap();
            found.into_iter().map(|(name, _)| name).collect()
        };
        for (line, bgp_type, named) in [
            ("speaker", "", &[][..]),
            ("speaker", "native", &[]),
            (
                "speaker --bgp-debounce-timeout=3s",
                "native",
                &["--bgp-debounce-timeout"],
            ),
            (
                "speaker --frrk8s-namespace=x",
                "native",
                &["--frrk8s-namespace"],
            ),
            (
                "speaker",
                "frr",
                &[
                    "FRR_CONFIG_FILE",
                    "FRR_RELOADER_PID_FILE",
                    "FRR_LOGGING_LEVEL",
                ],
            ),
        ] {
            assert_eq!(names(line, bgp_type), named, "{line} {bgp_type}");
        }
    }
}
