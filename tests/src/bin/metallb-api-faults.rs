//! The proxy before the API server as a program of its own, for tests; see
//! `metallb_tests::api_faults`.

use clap::Parser;
use metallb_tests::api_faults::{ProxyArgs, run};

/// Puts faults before an API server.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    proxy: ProxyArgs,
}

fn main() -> anyhow::Result<()> {
    run(&Arguments::parse().proxy)
}
