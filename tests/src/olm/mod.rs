//! The Operator Lifecycle Manager, built from its Go modules: its programs, the image that they
//! run from, and its judgement on bundles.

mod install;
mod product;
mod subscription;

pub use install::NAMESPACE;
pub use product::{Publisher, Release, catalog_image};
pub use subscription::{runs, subscribe, succeeded};

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    go::{Module, Program},
    oci, process,
    progress::Progress,
};

/// What was built.
#[derive(Debug, Clone)]
pub struct Olm {
    folder: PathBuf,
}

impl Olm {
    /// Builds what is not there yet, which takes minutes the first time.
    pub fn build(progress: &mut dyn Progress) -> Result<Self> {
        let folder = module().ensure_built(finish, progress)?;
        Ok(Self { folder })
    }

    /// One of the programs.
    fn program(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.folder.join(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Has the validators of the Operator Framework judge a bundle's folder and the catalogue in
    /// it; gives what they say. Findings without a reason are an error.
    pub fn judge(&self, bundle: &Path) -> Result<String> {
        let said = process::run(Command::new(self.folder.join("validate")).arg(bundle))?;
        let mut opm = Command::new(self.folder.join("opm"));
        process::run(opm.arg("validate").arg(bundle.join("catalog")))
            .context("opm validate finds fault with the catalogue")?;
        Ok(said)
    }
}

fn module() -> Module {
    let flags = [
        "-tags=containers_image_openpgp,exclude_graphdriver_btrfs",
        "-ldflags=-s -w",
    ];
    Module {
        what: "the Operator Lifecycle Manager".to_owned(),
        cache: "olm",
        sources: Path::new(env!("CARGO_MANIFEST_DIR")).join("olm"),
        modules: "go.mod",
        files: &[
            "chart/main.go",
            "copy/main.go",
            "dns/main.go",
            "validate/main.go",
        ],
        go: (1, 24),
        flags: flags.map(str::to_owned).into(),
        programs: &[VALIDATORS, OLM, AROUND],
        format: FORMAT,
    }
}

/// The image and the manifests that name it.
fn finish(folder: &Path) -> Result<()> {
    let files = FILES
        .iter()
        .map(|(path, program)| Ok((*path, fs::read(folder.join(program))?)))
        .chain([Ok((TMP, Vec::new()))])
        .collect::<Result<Vec<_>>>()?;
    oci::pack(
        &oci::Image {
            reference: IMAGE,
            files: &files,
            user: Some(USER),
            ..oci::Image::default()
        },
        &folder.join(ARCHIVE),
    )?;
    let mut chart = Command::new(fs::canonicalize(folder)?.join("chart"));
    let manifests = process::run(chart.arg(IMAGE).current_dir(module().sources))?;
    fs::write(folder.join(MANIFESTS), manifests)?;
    Ok(())
}

/// Where programs are in the image of all of them, and what they are built as.
const FILES: [(&str, &str); 8] = [
    ("bin/olm", "olm"),
    ("bin/catalog", "catalog"),
    ("bin/package-server", "package-server"),
    ("bin/cpb", "cpb"),
    ("bin/opm", "opm"),
    ("bin/cp", "copy"),
    ("bin/dns", "dns"),
    ("bin/grpc_health_probe", "grpc-health-probe"),
];
/// The image of all of them.
const IMAGE: &str = "metallb.test/olm:1";
const ARCHIVE: &str = "olm.tar";
const MANIFESTS: &str = "olm.yaml";
/// Numeric, since the pods ask for somebody who is not root.
const USER: &str = "1001:1001";
/// Where anybody may write.
const TMP: &str = "tmp/";
/// Changes when the image or the manifests are made otherwise.
const FORMAT: &str = "1";

const VALIDATORS: Program = Program {
    what: "validators of bundles, about 2 minutes the first time on 2 cores",
    packages: &[
        "./validate",
        "github.com/operator-framework/operator-registry/cmd/opm",
    ],
};
const OLM: Program = Program {
    what: "olm, catalog and package-server, about 3 minutes",
    packages: &[
        "github.com/operator-framework/operator-lifecycle-manager/cmd/catalog",
        "github.com/operator-framework/operator-lifecycle-manager/cmd/olm",
        "github.com/operator-framework/operator-lifecycle-manager/cmd/package-server",
        "github.com/operator-framework/operator-lifecycle-manager/util/cpb",
    ],
};
const AROUND: Program = Program {
    what: "a name server and what it is installed with",
    packages: &[
        "./chart",
        "./copy",
        "./dns",
        "github.com/grpc-ecosystem/grpc-health-probe",
    ],
};
