//! The command line: upstream's flags, and commands that print manifests.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use metallb_crds::names::DEFAULT_NAMESPACE;
use metallb_kit::args::{LogLevel, go_bool};

use crate::bundle::Version;
use crate::render::{Part, WEBHOOK_SERVICE};
use crate::webhook::Source;

/// Turns the MetalLB object into a running MetalLB, and keeps it so.
#[derive(Debug, Parser)]
#[command(name = "operator", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What to do instead of running.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the manifest that installs the operator.
    Manifests {
        /// The image of operator, controller and speaker.
        #[arg(long, default_value = "metallb.io/metallb:dev")]
        image: String,
        /// Where to install it.
        #[arg(long, default_value = DEFAULT_NAMESPACE)]
        namespace: String,
    },
    /// Say what is wrong in files, without a cluster; all files of a configuration together.
    Check {
        /// Files, folders, or - for the standard input.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Print what a report of a bug needs, without secrets: objects, Events and logs.
    Collect {
        /// Where MetalLB is.
        #[arg(long, default_value = DEFAULT_NAMESPACE)]
        namespace: String,
    },
    /// Print manifests of MetalLB without an operator.
    Standalone {
        /// The file with a MetalLB object that says what to run [default: an empty one].
        #[arg(long, short)]
        file: Option<PathBuf>,
        /// As `bgpBackend` of that object.
        #[arg(long)]
        backend: Option<String>,
        /// What to print.
        #[arg(
            long,
            value_enum,
            value_delimiter = ',',
            default_value = "crds,programs"
        )]
        parts: Vec<Part>,
        /// The image of controller and speaker.
        #[arg(long, default_value = "metallb.io/metallb:dev")]
        image: String,
        /// Where to install it.
        #[arg(long, default_value = DEFAULT_NAMESPACE)]
        namespace: String,
    },
    /// Say what would be changed on the cluster, as a diff: ends with 1 if something would.
    Diff(DiffArgs),
    /// Print the configuration as a file that `operator restore` and `kubectl apply` take.
    Export {
        /// Where MetalLB is.
        #[arg(long, default_value = DEFAULT_NAMESPACE)]
        namespace: String,
        /// With passwords, and with the Secrets that the objects name.
        #[arg(long)]
        with_secrets: bool,
    },
    /// Check files as `check` does, and make the cluster's objects as they say.
    Restore {
        /// Files, folders, or - for the standard input.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Print the files of the OLM bundle and its catalogue, each after a line `--- PATH`.
    Bundle(BundleArgs),
    /// Print what a MetalLB object is turned into. The memberlist key is random.
    Render {
        /// The file with the object.
        #[arg(long, short)]
        file: PathBuf,
        /// The image of controller and speaker.
        #[arg(long, default_value = "metallb.io/metallb:dev")]
        image: String,
    },
}

/// What is compared.
#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// The file with a MetalLB object, or - for the standard input [default: the one there is].
    pub(crate) file: Option<PathBuf>,
    /// Where MetalLB is.
    #[arg(long, default_value = DEFAULT_NAMESPACE)]
    pub(crate) namespace: String,
    /// The image of controller and speaker [default: as the operator there has been told].
    #[arg(long)]
    pub(crate) image: Option<String>,
}

/// What a bundle is made for.
#[derive(Args, Debug)]
pub(crate) struct BundleArgs {
    /// The version of the bundle.
    #[arg(long, default_value = crate::VERSION)]
    pub(crate) version: Version,
    /// The version that it takes the place of.
    #[arg(long, value_name = "VERSION")]
    pub(crate) replaces: Option<Version>,
    /// The image of operator, controller and speaker; by its digest in what is published.
    #[arg(long, default_value = "metallb.io/metallb:dev")]
    pub(crate) image: String,
    /// Where the bundle's own image will be, for the catalogue.
    #[arg(long, default_value = "metallb.io/metallb-operator-bundle:dev")]
    pub(crate) bundle_image: String,
}

/// The flags of the operator proper.
#[derive(Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "upstream has that many switches"
)]
pub(crate) struct Flags {
    /// Where to serve metrics, as `:PORT` or `ADDRESS:PORT`; 0 serves none.
    #[arg(long, default_value = "0")]
    pub(crate) metrics_addr: String,
    /// Let one of several replicas act, chosen by a Lease.
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub(crate) enable_leader_election: bool,
    /// Port of /healthz and /readyz.
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// The least important messages that are still logged.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log_level: LogLevel,
    /// Take the certificate of the webhooks from --cert-dir, which somebody else fills and renews.
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub(crate) disable_cert_rotation: bool,
    /// Folder with tls.crt and tls.key of the webhooks; read again when they change.
    #[arg(long, default_value = "/tmp/k8s-webhook-server/serving-certs")]
    pub(crate) cert_dir: PathBuf,
    /// Service that the certificate of /convert is for.
    #[arg(long, default_value = WEBHOOK_SERVICE)]
    pub(crate) cert_service_name: String,
    /// Has no effect: the API server asks over HTTP/1.1 as well.
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub(crate) webhook_http2: bool,
    /// Webhooks of the configuration are served elsewhere; has no effect yet.
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value = "false", action = ArgAction::Set)]
    pub(crate) external_metallb_webhook_server: bool,
}

impl Flags {
    /// The flags that were given and have no effect yet.
    pub(crate) fn without_effect(&self) -> Vec<&'static str> {
        [
            (self.webhook_http2, "--webhook-http2"),
            (
                self.external_metallb_webhook_server,
                "--external-metallb-webhook-server",
            ),
        ]
        .into_iter()
        .filter_map(|(given, flag)| given.then_some(flag))
        .collect()
    }

    /// Where the certificate of the webhooks comes from.
    pub(crate) fn certificate(&self) -> Source {
        if self.disable_cert_rotation {
            return Source::Folder(self.cert_dir.clone());
        }
        Source::Ours {
            service: self.cert_service_name.clone(),
        }
    }

    /// Where metrics are served, if at all. Go takes `:PORT` for all addresses.
    pub(crate) fn metrics_endpoint(&self) -> Result<Option<std::net::SocketAddr>, String> {
        let text = match self.metrics_addr.as_str() {
            "" | "0" => return Ok(None),
            text if text.starts_with(':') => format!("[::]{text}"),
            text => text.to_owned(),
        };
        text.parse().map(Some).map_err(|_| {
            format!(
                "--metrics-addr is {:?}: it must be :PORT, ADDRESS:PORT or 0",
                self.metrics_addr
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Flags {
        Arguments::parse_from(std::iter::once("operator").chain(line.split_whitespace())).flags
    }

    #[test]
    fn upstreams_command_lines_are_taken() {
        let bundle = flags(
            "--enable-leader-election --disable-cert-rotation=true \
             --external-metallb-webhook-server",
        );
        assert!(bundle.enable_leader_election);
        assert_eq!(
            bundle.without_effect(),
            ["--external-metallb-webhook-server"]
        );
        let none = flags("--enable-leader-election=false --webhook-http2=false");
        assert!(!none.enable_leader_election);
        assert!(none.without_effect().is_empty());
    }

    #[test]
    fn metrics_are_off_unless_they_have_an_address() {
        let endpoint = |line: &str| flags(line).metrics_endpoint();
        assert_eq!(endpoint(""), Ok(None));
        assert_eq!(endpoint("--metrics-addr=0"), Ok(None));
        assert_eq!(
            endpoint("--metrics-addr=:8443"),
            Ok(Some("[::]:8443".parse().unwrap()))
        );
        assert_eq!(
            endpoint("--metrics-addr=127.0.0.1:8443"),
            Ok(Some("127.0.0.1:8443".parse().unwrap()))
        );
        assert!(
            endpoint("--metrics-addr=metrics")
                .unwrap_err()
                .contains("metrics")
        );
    }
}
