//! The command line: upstream's flags and environment.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::Parser;
use metallb_kit::args::LogLevel;

use crate::configmap::ConvertConfigMap;
use crate::webhook::Flags;

/// Gives Services of type `LoadBalancer` their addresses.
#[derive(Parser, Debug)]
#[command(name = "controller", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// HTTPS port of /metrics; 0 turns it off.
    #[arg(long, default_value_t = 9120)]
    pub(crate) port: u16,
    /// Namespace of the configuration; default: that of the pod.
    #[arg(long, env = "METALLB_NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Name of the memberlist Secret to create if it is missing.
    #[arg(long, env = "METALLB_ML_SECRET_NAME", default_value = "")]
    pub(crate) ml_secret_name: String,
    /// Name of the controller's own Deployment, which then owns that Secret.
    #[arg(long, env = "METALLB_DEPLOYMENT", default_value = "")]
    pub(crate) deployment: String,
    /// How much to log.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log_level: LogLevel,
    /// Port of /healthz and /readyz.
    #[arg(long, default_value_t = 17472)]
    pub(crate) health_probe_port: u16,
    /// Serve only Services of this loadBalancerClass; without it, those that name none.
    #[arg(long, default_value = "")]
    pub(crate) lb_class: String,
    /// Name of the pod, used in the Lease.
    #[arg(long, env = "METALLB_POD_NAME", default_value = "")]
    pub(crate) pod_name: String,
    /// Lowest TLS version of /metrics: `VersionTLS12` or `VersionTLS13` (default).
    #[arg(long, default_value = "")]
    pub(crate) tls_min_version: String,
    /// TLS 1.2 cipher suites of /metrics, separated by commas.
    #[arg(long, default_value = "")]
    pub(crate) tls_cipher_suites: String,
    /// Curves of /metrics by their IANA numbers, separated by commas.
    #[arg(long, default_value = "")]
    pub(crate) tls_curve_preferences: String,
    /// Folder with tls.crt and tls.key for /metrics; default: a self-signed certificate.
    #[arg(long)]
    pub(crate) metrics_cert_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) webhooks: Flags,
    #[command(flatten)]
    pub(crate) ineffective: Ineffective,
}

/// What it does instead of giving out addresses.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Turn the `ConfigMap` of MetalLB before 0.13 into objects.
    ConvertConfigmap(ConvertConfigMap),
}

/// Flags that are taken and do nothing yet.
#[derive(clap::Args, Debug)]
pub(crate) struct Ineffective {
    /// Has no effect: there is no profiler.
    #[arg(long, default_value = "")]
    pprof_bind_address: String,
}

impl Args {
    /// Where /metrics is served, in both families where the node has both.
    pub(crate) fn metrics_addr(&self) -> SocketAddr {
        (Ipv6Addr::UNSPECIFIED, self.port).into()
    }

    /// Where the probes are served.
    pub(crate) fn probes_addr(&self) -> SocketAddr {
        (Ipv6Addr::UNSPECIFIED, self.health_probe_port).into()
    }
}

impl Ineffective {
    /// The flags that were given a value that asks for something.
    pub(crate) fn given(&self) -> impl Iterator<Item = &'static str> {
        [("--pprof-bind-address", !self.pprof_bind_address.is_empty())]
            .into_iter()
            .filter_map(|(name, given)| given.then_some(name))
    }
}
