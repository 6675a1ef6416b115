//! An ARP answer beside a plain echo; fails past the bar.

use std::process::ExitCode;

use metallb_benches::arp_echo;

fn main() -> anyhow::Result<ExitCode> {
    let ratio = arp_echo::run()?;
    println!("{ratio}");
    Ok(if ratio.holds() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
