//! `cargo xtask demo`: the main job, on a cluster that it makes or on the user's own.
//!
//! One object in, one address answering. It prints what it does as it does it, so that reading
//! along is a first lesson in using the product.

mod bgp;
mod failover;
mod olm;

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, Result};
use metallb_tests::{Cluster, Kubectl, Name, Options, Router, Terminal, eventually, product};

use crate::{image, steps::Steps};

/// What `cargo xtask demo` takes.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct DemoArgs {
    /// Leave the cluster running and say how to use and remove it.
    #[arg(long)]
    keep: bool,
    /// Then cut the cable of the node that announces, and draw who answers meanwhile.
    #[arg(long, conflicts_with = "context")]
    failover: bool,
    /// Then announce an address to a real router, and show what it makes of it.
    #[arg(long, conflicts_with = "context")]
    bgp: bool,
    /// Install through the Operator Lifecycle Manager, and upgrade while the client keeps fetching.
    #[arg(long, conflicts_with_all = ["context", "failover", "bgp"])]
    olm: bool,
    /// Use this context of your kubeconfig instead of making a cluster.
    #[arg(long, requires_all = ["image", "addresses"])]
    context: Option<String>,
    /// The image in a registry that your cluster's nodes can pull from.
    #[arg(long, requires = "context")]
    image: Option<String>,
    /// Addresses on your nodes' network that nothing else uses, such as 192.168.1.240-192.168.1.250.
    #[arg(long, requires = "context")]
    addresses: Option<String>,
    /// The web server's image, agnhost, where your cluster's nodes can pull it from.
    #[arg(long, requires = "context", default_value = AGNHOST)]
    web: String,
}

pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    match (&args.context, &args.image, &args.addresses) {
        (Some(context), Some(image), Some(addresses)) => {
            on_your_cluster(context, image, addresses, &args.web)
        }
        _ => on_the_embedded_cluster(args),
    }
}

fn on_the_embedded_cluster(args: &DemoArgs) -> Result<()> {
    let mut steps = Steps::start();
    let image = image::build(&image::ImageArgs::default(), &mut steps)?;
    let options = Options {
        name: NAME.parse()?,
        routers: args.bgp.then_some(Router::Frr).into_iter().collect(),
        ..Options::default()
    };
    let cluster = steps.time(
        "starting Kubernetes: three nodes, a client, one segment",
        || Cluster::up(&options, &mut Terminal::start()),
    )?;

    let shown = if args.olm {
        olm::show(&cluster, &image, &mut steps)
    } else {
        show(&cluster, &image, &mut steps)
    };
    let shown = shown.and_then(|addresses| {
        let first = addresses.first().filter(|_| args.failover);
        first.map_or(Ok(()), |first| failover::show(&cluster, *first))?;
        if args.bgp {
            bgp::show(&cluster)
        } else {
            Ok(())
        }
    });
    if let Err(error) = &shown {
        eprintln!("\nthe demo failed; what Kubernetes says:");
        let _ = cluster
            .admin()
            .command(&["get", "pods", "--all-namespaces"])
            .status();
        eprintln!("{error:#}\n");
    }
    steps.print_summary();
    if args.keep {
        how_to_go_on(cluster.name());
    } else {
        Cluster::down(cluster.name())?;
        println!("\nthe cluster is removed; `cargo xtask demo --keep` leaves it to you");
    }
    shown
}

/// The whole path, from an empty cluster to the page; gives the Service's addresses.
fn show(cluster: &Cluster, image: &image::Image, steps: &mut Steps) -> Result<Vec<IpAddr>> {
    let kubectl = cluster.admin();
    steps.time("loading the image onto the nodes", || {
        cluster.load(&image.archive)
    })?;
    let samples = Installation {
        image: product::IMAGE,
        changed: None,
    };
    install(&kubectl, &samples, steps)?;

    let addresses = steps.time("waiting for the Service's addresses", || {
        product::assigned(&kubectl, "web", 2)
    })?;
    for address in &addresses {
        println!("    the Service got {address}");
    }
    steps.time(
        "fetching the page from the client, over IPv4 and IPv6",
        || {
            for address in &addresses {
                let page = product::page(cluster, *address)?;
                println!("    client$ curl {}   ->  {}", url(*address), page.trim());
            }
            Ok(())
        },
    )?;
    steps.time("asking the segment who answers", || {
        for address in &addresses {
            let answer = cluster.answer(*address)?.context("nobody answers")?;
            let protocol = if address.is_ipv4() { "ARP" } else { "NDP" };
            let node = answer
                .place
                .map_or_else(|| "a stranger".to_owned(), |place| place.to_string());
            println!("    {protocol}: {address} is at {} ({node})", answer.mac);
        }
        Ok(())
    })?;
    println!("\nresident memory:");
    for (node, program, bytes) in product::memory(cluster)? {
        println!("    {:>5.1} MiB  {program:<12} on {node}", mebibytes(bytes));
    }
    println!();
    let _ = kubectl
        .command(&["get", "metallb,ipaddresspool,svc", "-A"])
        .status();
    println!();
    Ok(addresses)
}

/// What differs between the embedded cluster and the user's own.
struct Installation<'a> {
    image: &'a str,
    /// The pool's addresses and the web server's image, unless they are the samples' own.
    changed: Option<(&'a str, &'a str)>,
}

/// The operator, then the objects one after the other, as a user would apply them.
fn install(kubectl: &Kubectl, what: &Installation<'_>, steps: &mut Steps) -> Result<()> {
    steps.time(
        "installing the operator: kubectl apply -f config/operator.yaml",
        || product::install_operator(kubectl, what.image),
    )?;
    for object in ["metallb", "pool", "l2advertisement", "web"] {
        let mut yaml = product::demo_object(object)?;
        match (object, what.changed) {
            ("pool", Some((addresses, _))) => yaml = product::with_addresses(&yaml, addresses)?,
            ("web", Some((_, web))) => yaml = product::with_web_image(&yaml, web),
            _ => {}
        }
        steps.time(
            &format!("applying config/samples/demo/{object}.yaml"),
            || {
                for line in yaml.lines().filter(|line| !line.starts_with('#')) {
                    println!("    | {line}");
                }
                kubectl.apply(&yaml)
            },
        )?;
    }
    steps.time("waiting until the operator reports Available", || {
        product::available(kubectl)
    })
}

fn on_your_cluster(context: &str, image: &str, addresses: &str, web: &str) -> Result<()> {
    let mut steps = Steps::start();
    let kubectl = Kubectl::context(context);
    let nodes = kubectl.output(&["get", "nodes"]).with_context(|| {
        format!("context {context:?} does not answer; `kubectl config get-contexts` lists yours")
    })?;
    println!("{nodes}");
    install(
        &kubectl,
        &Installation {
            image,
            changed: Some((addresses, web)),
        },
        &mut steps,
    )?;
    let address = eventually("the Service has an address", Duration::from_mins(1), || {
        Ok(product::addresses(&kubectl, "web")?
            .first()
            .copied()
            .ok_or("none yet"))
    })?;
    println!("\nthe Service got {address}; from a machine on the nodes' network:");
    println!("    curl {}", url(address));
    println!("to remove it all again:");
    for object in ["web", "l2advertisement", "pool", "metallb"] {
        println!("    kubectl --context {context} delete -f config/samples/demo/{object}.yaml");
    }
    println!("    kubectl --context {context} delete -f config/operator.yaml");
    steps.print_summary();
    Ok(())
}

fn how_to_go_on(name: &Name) {
    println!(
        "
the cluster stays. Try:
    eval \"$(cargo xtask cluster env {name})\"     # KUBECONFIG and the names of the places
    cargo xtask cluster kubectl --name {name} -- get metallb,ipaddresspool,svc -A
    cargo xtask cluster kubectl --name {name} -- describe service web
    cargo xtask cluster exec --name {name} client -- curl -s http://ADDRESS/hostname
    cargo xtask cluster cut --name {name} n1       # pull a cable; `heal` puts it back
and in the end:
    cargo xtask cluster down --name {name}"
    );
}

fn url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("http://{v4}/hostname"),
        IpAddr::V6(v6) => format!("http://[{v6}]/hostname"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Kubernetes' own image for end-to-end tests; it answers `/hostname`.
const AGNHOST: &str = "registry.k8s.io/e2e-test-images/agnhost:2.53";
/// The demo's cluster.
const NAME: &str = "demo";
