//! Where the metrics of sessions are. MetalLB with FRR has them on a port of their own, that of its
//! FRR exporter; with FRR-K8s that is another port, and names begin otherwise. Scrapes and
//! dashboards know them there.
//!
//! They are there and nowhere else: who reads both ports, as MetalLB's monitors do, would count
//! each session twice.
//!
//! FRR-K8s' own program has a third port, where it says how it gets on with the API. So do we, by
//! its names.

use std::net::Ipv6Addr;
use std::time::Duration;

use kube::Client;
use metallb_kit::metrics::{Endpoint, Metrics};
use metallb_kit::shutdown::CancellationToken;

use crate::args::Args;
use crate::bgp::Backend;

/// Where the metrics of sessions are, and what their names begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exporter {
    /// The port, where it is one of its own.
    pub(crate) port: Option<u16>,
    pub(crate) prefix: &'static str,
}

impl Exporter {
    pub(crate) fn of(args: &Args, backend: Backend) -> Self {
        let port = args.frr_metrics_port.or_else(|| match backend {
            Backend::Native => None,
            Backend::Frr => Some(FRR),
            // An FRR-K8s that somebody else runs has its own exporter there.
            Backend::FrrK8s if args.has_frrk8s_namespace() => None,
            Backend::FrrK8s => Some(FRR_K8S),
        });
        let port = port.filter(|port| *port != 0 && *port != args.port);
        let prefix = match (port, backend) {
            (Some(_), Backend::FrrK8s) => "frrk8s",
            _ => "metallb",
        };
        Self { port, prefix }
    }
}

/// Where FRR-K8s' own program has its metrics, if they are to be there.
pub(crate) fn of_frr_k8s(args: &Args, backend: Backend) -> Option<u16> {
    let is_ours = backend == Backend::FrrK8s && !args.has_frrk8s_namespace();
    let port = is_ours.then_some(args.frrk8s_metrics_port);
    port.filter(|port| *port != 0 && *port != args.port)
}

/// Serves them, as soon as the port is free: while a cluster changes over, the exporter before us
/// may still have it, and that is no reason not to announce.
pub(crate) fn serve(
    port: u16,
    metrics: Metrics,
    like: Endpoint,
    client: Client,
    end: CancellationToken,
) {
    let endpoint = Endpoint {
        addr: (Ipv6Addr::UNSPECIFIED, port).into(),
        ..like
    };
    tokio::spawn(async move {
        let mut was_told = false;
        loop {
            let (metrics, endpoint) = (metrics.clone(), endpoint.clone());
            let (client, end) = (client.clone(), end.clone());
            match metallb_kit::metrics::serve(metrics, endpoint, client, end).await {
                Ok(_) => return,
                Err(error) if !was_told => {
                    was_told = true;
                    tracing::warn!(
                        op = "startup", port, %error,
                        "cannot serve metrics on this port yet, will be tried again"
                    );
                }
                Err(_) => {}
            }
            tokio::time::sleep(AGAIN).await;
        }
    });
}

const FRR: u16 = 9121;
const FRR_K8S: u16 = 9141;
const AGAIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use metallb_kit::tls::TlsOptions;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_port_and_the_names_are_those_of_the_backend() {
        for (backend, line, port, prefix) in [
            (Backend::Native, "speaker", None, "metallb"),
            (Backend::Frr, "speaker", Some(9121), "metallb"),
            (Backend::FrrK8s, "speaker", Some(9141), "frrk8s"),
            (
                Backend::FrrK8s,
                "speaker --frrk8s-namespace=frr",
                None,
                "metallb",
            ),
            (
                Backend::FrrK8s,
                "speaker --frr-metrics-port=7573",
                Some(7573),
                "frrk8s",
            ),
            (
                Backend::FrrK8s,
                "speaker --frr-metrics-port=0",
                None,
                "metallb",
            ),
            (
                Backend::Frr,
                "speaker --frr-metrics-port=0",
                None,
                "metallb",
            ),
            (Backend::Frr, "speaker --port=9121", None, "metallb"),
        ] {
            let args = Args::parse_from(line.split_whitespace());
            let expected = Exporter { port, prefix };
            assert_eq!(
                Exporter::of(&args, backend),
                expected,
                "{backend:?}: {line}"
            );
        }
    }

    #[test]
    fn frr_k8ss_own_port_is_answered_where_it_would_be() {
        for (backend, line, port) in [
            (Backend::Native, "speaker", None),
            (Backend::Frr, "speaker", None),
            (Backend::FrrK8s, "speaker", Some(9140)),
            (Backend::FrrK8s, "speaker --frrk8s-namespace=frr", None),
            (
                Backend::FrrK8s,
                "speaker --frrk8s-metrics-port=7572",
                Some(7572),
            ),
            (Backend::FrrK8s, "speaker --frrk8s-metrics-port=0", None),
        ] {
            let args = Args::parse_from(line.split_whitespace());
            assert_eq!(of_frr_k8s(&args, backend), port, "{backend:?}: {line}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_that_is_taken_is_waited_for() {
        let other = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = other.local_addr().unwrap().port();
        let nobody = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let like = Endpoint {
            addr: (Ipv6Addr::LOCALHOST, 0).into(),
            cert_dir: None,
            tls: TlsOptions::parse("", "", "").unwrap(),
        };
        let end = CancellationToken::new();
        let client = Client::try_from(nobody).unwrap();
        serve(port, Metrics::new(), like, client, end.clone());
        // It has tried, and waits.
        tokio::time::sleep(AGAIN / 2).await;
        drop(other);
        assert!(TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await.is_ok());
        tokio::time::sleep(AGAIN).await;
        let connected = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await;
        assert!(connected.is_ok(), "{connected:?}");
        end.cancel();
    }
}
