//! One run of a bench: which of its parts, and where the numbers go.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::table::Table;

/// What all benches take.
#[derive(Clone, Debug, clap::Args)]
pub struct Run {
    /// Where the raw numbers go.
    #[arg(long)]
    out: PathBuf,
    /// The commit that is measured, for the raw numbers.
    #[arg(long)]
    commit: String,
    /// Only these parts of the bench, with commas between them.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

impl Run {
    /// Whether this part is to be measured.
    pub fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// Measures, prints the table and writes the raw numbers, those too that there are when
    /// something fails. `parts` are all that there are.
    pub fn exit(&self, parts: &[&str], measure: impl FnOnce(&mut Table) -> Result<()>) -> ExitCode {
        crate::exit(self.missed(parts, measure))
    }

    /// How many bars were missed.
    fn missed(
        &self,
        parts: &[&str],
        measure: impl FnOnce(&mut Table) -> Result<()>,
    ) -> Result<usize> {
        for only in &self.only {
            let is_known = parts.contains(&only.as_str());
            ensure!(
                is_known,
                "--only {only}: there is no such part; there are {}",
                parts.join(", ")
            );
        }
        let mut table = Table::new(&self.commit);
        let measured = measure(&mut table);
        table.print();
        table.write(&self.out)?;
        measured?;
        Ok(table.missed())
    }
}
