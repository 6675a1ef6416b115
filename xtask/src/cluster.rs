//! `cargo xtask cluster`: the test cluster by hand.

use std::{io::Write as _, os::unix::process::CommandExt as _, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use metallb_tests::{
    Cluster, Family, Kubernetes, Name, Options, Place, Router, Terminal, api_faults,
    faults::{Cable, Target},
};

/// What `cargo xtask cluster` takes.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a cluster and wait until its nodes are Ready.
    Up(UpArgs),
    /// End a cluster and remove everything of it, also after a crash.
    Down(Named),
    /// Show the clusters of this machine.
    List,
    /// Print KUBECONFIG and the namespaces of nodes, client and routers, for a shell to eval.
    Env {
        /// The cluster.
        #[arg(default_value = "metallb")]
        name: Name,
    },
    /// Run kubectl as administrator.
    Kubectl {
        #[command(flatten)]
        named: Named,
        /// What kubectl takes.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run a command in a node, the client, a router, the control plane or the fabric.
    Exec {
        #[command(flatten)]
        named: Named,
        /// n1, n2, …, r1, …, client, cp or fabric.
        place: Place,
        /// The command; a shell when none is given.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Show a program's log, or the names of all programs.
    Logs {
        #[command(flatten)]
        named: Named,
        /// Such as kube-apiserver or n1/kubelet.
        program: Option<String>,
        /// Keep printing what is added.
        #[arg(long, short)]
        follow: bool,
    },
    /// Load an image archive (docker-archive or OCI layout) into every node.
    Load {
        #[command(flatten)]
        named: Named,
        /// The tar file.
        image: PathBuf,
    },
    /// Pull a cable: both ends lose carrier.
    Cut(Wire),
    /// Undo cut and isolate.
    Heal(Wire),
    /// Lose all frames of a cable while both ends keep their carrier.
    Isolate(Wire),
    /// Lose a share of the frames of a cable, each way.
    Lossy {
        #[command(flatten)]
        wire: Wire,
        /// 0 to 100; 0 ends it.
        percent: u8,
    },
    /// Stop a node, or each process of a program.
    Freeze(Which),
    /// Let it go on.
    Thaw(Which),
    /// End every process of a node at one instant.
    Kill {
        #[command(flatten)]
        named: Named,
        /// n1, n2, …
        node: Place,
    },
    /// Start a killed node again.
    Revive {
        #[command(flatten)]
        named: Named,
        /// n1, n2, …
        node: Place,
    },
    /// Put a proxy before the API server that answers 409, 410, 429, 500, cuts or stalls.
    ApiFaults {
        #[command(flatten)]
        named: Named,
        #[command(subcommand)]
        command: api_faults::Command,
    },
    /// The proxy itself.
    #[command(hide = true)]
    ApiProxy(api_faults::ProxyArgs),
}

#[derive(Debug, Args)]
struct UpArgs {
    #[command(flatten)]
    named: Named,
    /// How many nodes; with 0 there is the API server alone.
    #[arg(long, default_value_t = 3)]
    nodes: u8,
    /// Network cards per node; with 2, eth1 is on a service LAN of its own.
    #[arg(long, default_value_t = 1)]
    nics: u8,
    /// ipv4, ipv6 or dual.
    #[arg(long, default_value = "dual")]
    family: Family,
    /// BGP routers beside the nodes: frr, bird, gobgp, in any number.
    #[arg(long, value_delimiter = ',')]
    routers: Vec<Router>,
    /// 1.34 or newest.
    #[arg(long, default_value = "1.34")]
    kubernetes: Kubernetes,
    /// Write down who changed what, in audit.log beside the other logs.
    #[arg(long)]
    audit: bool,
}

#[derive(Debug, Args)]
struct Named {
    /// The cluster's name.
    #[arg(long, default_value = "metallb")]
    name: Name,
}

#[derive(Debug, Args)]
struct Wire {
    #[command(flatten)]
    named: Named,
    /// Whose cable: n1, client, r1, …, or n1/eth1 for the one into the service LAN.
    cable: Cable,
}

#[derive(Debug, Args)]
struct Which {
    #[command(flatten)]
    named: Named,
    /// A node such as n1, or a program such as kube-apiserver, speaker or n1/kubelet.
    target: Target,
}

/// Does what the command line says.
pub(crate) fn run(args: ClusterArgs) -> Result<()> {
    match args.verb {
        Verb::Up(args) => up(args),
        Verb::Down(Named { name }) => {
            Cluster::down(&name)?;
            eprintln!("nothing is left of cluster {name}");
            Ok(())
        }
        Verb::List => list(),
        Verb::Env { name } => env(&Cluster::open(&name)?),
        Verb::Kubectl { named, arguments } => replace(named.open()?.kubectl(&arguments)),
        Verb::Exec {
            named,
            place,
            command,
        } => {
            let shell = vec!["sh".to_owned()];
            let command = if command.is_empty() { &shell } else { &command };
            let cluster = named.open()?;
            ensure!(
                cluster.places().contains(&place),
                "cluster {} has no {place}",
                named.name
            );
            replace(cluster.exec(place, command))
        }
        Verb::Logs {
            named,
            program,
            follow,
        } => logs(&named.open()?, program.as_deref(), follow),
        Verb::Load { named, image } => named.open()?.load(&image),
        Verb::Cut(wire) => wire.named.open()?.cut(wire.cable),
        Verb::Heal(wire) => wire.named.open()?.heal(wire.cable),
        Verb::Isolate(wire) => wire.named.open()?.isolate(wire.cable),
        Verb::Lossy { wire, percent } => wire.named.open()?.lossy(wire.cable, percent),
        Verb::Freeze(Which { named, target }) => named.open()?.freeze(&target),
        Verb::Thaw(Which { named, target }) => named.open()?.thaw(&target),
        Verb::Kill { named, node } => named.open()?.kill(node),
        Verb::Revive { named, node } => named.open()?.revive(node),
        Verb::ApiFaults { named, command } => {
            let this = std::env::current_exe()?.display().to_string();
            let proxy = [this, "cluster".to_owned(), "api-proxy".to_owned()];
            println!("{}", command.run(&named.open()?, &proxy)?);
            Ok(())
        }
        Verb::ApiProxy(args) => api_faults::run(&args),
    }
}

fn up(args: UpArgs) -> Result<()> {
    let options = Options {
        name: args.named.name,
        nodes: args.nodes,
        nics: args.nics,
        family: args.family,
        routers: args.routers,
        kubernetes: args.kubernetes,
        audit: args.audit,
    };
    let cluster = Cluster::up(&options, &mut Terminal::start())?;
    let name = cluster.name();
    eprintln!("\nuse it:    eval \"$(cargo xtask cluster env {name})\"");
    eprintln!("           cargo xtask cluster kubectl --name {name} -- get nodes -o wide");
    eprintln!("remove it: cargo xtask cluster down --name {name}");
    Ok(())
}

fn list() -> Result<()> {
    println!(
        "{:<21}{:<7}{:<6}{:<8}{:<9}MEMORY",
        "NAME", "NODES", "NICS", "FAMILY", "STATE"
    );
    for cluster in Cluster::list() {
        let options = cluster.options();
        let state = match (
            cluster.complete(),
            cluster.process("kube-apiserver").is_ok(),
        ) {
            (true, true) => "running",
            (false, true) => "starting",
            (_, false) => "dead",
        };
        let family = options.family.to_string();
        let memory = cluster.memory()? / (1 << 20);
        println!(
            "{:<21}{:<7}{:<6}{family:<8}{state:<9}{memory} MiB",
            cluster.name().as_str(),
            options.nodes,
            options.nics,
        );
    }
    Ok(())
}

fn env(cluster: &Cluster) -> Result<()> {
    // Errors, not println's panic, where the reader wants but the first line.
    let mut out = std::io::stdout().lock();
    writeln!(out, "export KUBECONFIG={}", cluster.kubeconfig().display())?;
    for place in cluster.places() {
        let variable = place.to_string().to_uppercase();
        writeln!(out, "export NETNS_{variable}={}", cluster.netns(place))?;
    }
    Ok(())
}

fn logs(cluster: &Cluster, program: Option<&str>, follow: bool) -> Result<()> {
    let Some(program) = program else {
        for program in cluster.programs() {
            println!("{program}");
        }
        return Ok(());
    };
    let mut tail = Command::new("tail");
    tail.args(["--lines", "+1"]);
    if follow {
        tail.arg("--follow");
    }
    tail.arg(cluster.logs(program)?);
    replace(tail)
}

/// Becomes the command, so that its input, output, signals and exit code are the caller's.
fn replace(mut command: Command) -> Result<()> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {command:?}"))
}

impl Named {
    fn open(&self) -> Result<Cluster> {
        Cluster::open(&self.name)
    }
}
