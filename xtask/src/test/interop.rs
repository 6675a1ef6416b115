//! What was just seen to work with which routers, in the form that docs/bgp.md has it.

use std::env;

use anyhow::{Result, ensure};
use metallb_tests::interop::{COLUMNS, table};
use metallb_tests::routers::ROOT;

use super::stage::Stages;

/// Prints the table, with the cells of stories that were not told or failed saying so.
pub(super) fn print(stages: &Stages) -> Result<()> {
    let seen = |story: &str| match stages.told(story) {
        Some(true) => "yes",
        Some(false) => "FAILED",
        None => "not told",
    };
    println!("\n{}", table(|row| seen(row.story)));
    for (router, name, documented) in COLUMNS {
        let installed = router.version()?;
        println!("{name} is {installed}");
        ensure!(
            installed.starts_with(documented) || env::var_os(ROOT).is_some(),
            "{name} {installed} is installed, but docs/bgp.md tells of {documented}: change metallb_tests::interop::COLUMNS"
        );
    }
    Ok(())
}
