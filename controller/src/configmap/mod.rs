//! `controller convert-configmap`: what the ConfigMap of MetalLB before 0.13 becomes as objects, as
//! upstream's `configmaptocrs` has it.

mod legacy;
mod names;
mod objects;
mod yaml;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context as _, Result};
use metallb_crds::names::DEFAULT_NAMESPACE;

use self::legacy::Source;

/// Turn the ConfigMap of MetalLB before 0.13 into objects.
#[derive(clap::Args, Debug)]
pub(crate) struct ConvertConfigMap {
    /// The file to convert, from /var/input unless it has a folder; `-` reads standard input.
    #[arg(long, default_value = "./config.yaml")]
    source: PathBuf,
    /// The file has only what is in the ConfigMap's data.
    #[arg(long)]
    only_data: bool,
    /// Write to standard output instead of /var/input/resources.yaml.
    #[arg(long)]
    stdout: bool,
}

impl ConvertConfigMap {
    /// Converts; what is done meanwhile is told on standard error.
    ///
    /// # Errors
    /// The file cannot be read, is no such ConfigMap, or says what MetalLB could not do.
    pub(crate) fn run(&self) -> Result<()> {
        let text = self.read()?;
        let (text, warnings) = converted(&text, self.only_data)?;
        for warning in warnings {
            eprintln!("{warning}");
        }
        if self.stdout {
            io::stdout().write_all(text.as_bytes())?;
            return Ok(());
        }
        let path = Path::new(FOLDER).join("resources.yaml");
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn read(&self) -> Result<String> {
        let mut text = String::new();
        if self.source.as_os_str() == "-" {
            io::stdin().read_to_string(&mut text)?;
            return Ok(text);
        }
        let path = Path::new(FOLDER).join(&self.source);
        fs::read_to_string(&path).with_context(|| format!("failed to open file {}", path.display()))
    }
}

/// The objects as YAML, and what whoever applies them should know.
fn converted(text: &str, only_data: bool) -> Result<(String, Vec<String>)> {
    let (data, namespace) = if only_data {
        (text.to_owned(), None)
    } else {
        let Source { config, namespace } = Source::read(text)?;
        (config, namespace)
    };
    let namespace = namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let mut config = legacy::read(&data)?;
    let mut warnings = names::make_valid(&mut config)?;
    warnings.extend(config.unannounced());
    let objects = objects::make(&config, namespace)?;
    objects::check(&objects)?;
    Ok((yaml::stream(&objects), warnings))
}

/// Where the container of upstream's tool has its input.
const FOLDER: &str = "/var/input";

#[cfg(test)]
mod tests;
