//! `cargo xtask bundle`: what the Operator Lifecycle Manager installs from.
//!
//! `bundle/` in the repository is there to be read and judged: like `config/operator.yaml` it
//! names the image that `cargo xtask image` makes. What is published names images by digest and
//! goes elsewhere.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use metallb_tests::{Terminal, olm::Olm};

use crate::{generated, workspace};

/// What `cargo xtask bundle` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct BundleArgs {
    /// Write nothing; fail when the files are not what would be written, or when the Operator
    /// Framework's validators find fault with them.
    #[arg(long, conflicts_with = "output")]
    check: bool,
    /// The version of the bundle [default: the workspace's].
    #[arg(long)]
    version: Option<String>,
    /// The version that it takes the place of; all others before it are skipped.
    #[arg(long)]
    replaces: Option<String>,
    /// The image of operator, controller and speaker, as REFERENCE@sha256:….
    #[arg(long, requires = "output")]
    image: Option<String>,
    /// Where the image of the bundle will be, as the catalogue names it.
    #[arg(long, requires = "output")]
    bundle_image: Option<String>,
    /// Write a bundle to publish into this folder, instead of bundle/.
    #[arg(long, requires = "image")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &BundleArgs) -> Result<()> {
    if let Some(image) = &args.image {
        ensure!(
            image.contains("@sha256:"),
            "--image is {image:?}: what is published names its image by digest, as \
             REFERENCE@sha256:…; `cargo xtask image` prints the digest"
        );
    }
    let folder = match &args.output {
        Some(folder) => std::path::absolute(folder)?,
        None => Path::new("bundle").to_owned(),
    };
    let mut print = vec!["--bin", "operator", "--", "bundle"];
    for (flag, value) in [
        ("--version", &args.version),
        ("--replaces", &args.replaces),
        ("--image", &args.image),
        ("--bundle-image", &args.bundle_image),
    ] {
        if let Some(value) = value {
            print.extend([flag, value]);
        }
    }
    let mut wanted = generated::files(&folder, &print)?;
    if args.output.is_none() {
        generated::nothing_else(&folder, &mut wanted)?;
    }
    generated::settle(&wanted, args.check, "cargo xtask bundle")?;
    if args.check || args.output.is_some() {
        let olm = Olm::build(&mut Terminal::start())?;
        print!("{}", olm.judge(&workspace::root().join(&folder))?);
    }
    Ok(())
}
