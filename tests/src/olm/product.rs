//! Versions of the product in a cluster's registry: image, bundle, and the catalogue that offers
//! it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{Olm, TMP, USER};
use crate::{Cluster, oci, plan, process};

/// Publishes versions made of one image's programs.
#[derive(Debug)]
pub struct Publisher {
    olm: Olm,
    cluster: Cluster,
    /// The programs of the product's image.
    programs: BTreeMap<String, Vec<u8>>,
    /// Where files are put together.
    folder: PathBuf,
}

/// A version of the product.
#[derive(Debug, Clone, Copy)]
pub struct Release<'a> {
    /// Such as `0.2.0`.
    pub version: &'a str,
    /// The one that it takes the place of.
    pub replaces: Option<&'a str>,
    /// Whether its speaker ends as soon as it starts.
    pub is_broken: bool,
}

/// Where the catalogue is, for a `CatalogSource` that looks there again and again.
pub fn catalog_image() -> String {
    format!("{}/{CATALOG}", plan::REGISTRY)
}

impl Publisher {
    /// With the programs of an image's archive.
    pub fn new(olm: &Olm, cluster: &Cluster, image: &Path) -> Result<Self> {
        let programs = oci::unpack(image)?;
        let folder = cluster.directory().join("olm");
        fs::create_dir_all(&folder)?;
        let operator = folder.join("operator");
        let bytes = programs
            .get("operator")
            .context("the image has no operator")?;
        fs::write(&operator, bytes)?;
        fs::set_permissions(&operator, fs::Permissions::from_mode(0o755))?;
        Ok(Self {
            olm: olm.clone(),
            cluster: cluster.clone(),
            programs,
            folder,
        })
    }

    /// Pushes the version's image and bundle, and a catalogue that offers it, in the place of the
    /// one before. Gives the reference of the image.
    pub fn publish(&self, release: Release<'_>) -> Result<String> {
        let image = self.image(release)?;
        let bundle = self.bundle(release, &image)?;
        self.catalog(release, &image, &bundle)?;
        Ok(image)
    }

    fn image(&self, release: Release<'_>) -> Result<String> {
        let mut programs = self.programs.clone();
        if release.is_broken {
            // Without arguments that it understands it ends with an error.
            programs.insert("speaker".to_owned(), self.olm.program("copy")?);
        }
        let files: Vec<_> = programs
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.clone()))
            .collect();
        self.push(
            &format!("metallb:{}", release.version),
            &oci::Image {
                files: &files,
                user: Some("65534:65534"),
                labels: &[("org.opencontainers.image.version", release.version)],
                ..oci::Image::default()
            },
        )
    }

    fn bundle(&self, release: Release<'_>, image: &str) -> Result<String> {
        let printed = self.print(release, image, "not-known-yet")?;
        let files: Vec<_> = printed
            .iter()
            .filter(|(path, _)| path.starts_with("manifests/") || path.starts_with("metadata/"))
            .map(|(path, text)| (path.as_str(), text.clone().into_bytes()))
            .collect();
        self.push(
            &format!("metallb-bundle:{}", release.version),
            &oci::Image {
                files: &files,
                ..oci::Image::default()
            },
        )
    }

    fn catalog(&self, release: Release<'_>, image: &str, bundle: &str) -> Result<()> {
        let printed = self.print(release, image, bundle)?;
        let catalog = printed
            .get("catalog/metallb-operator.yaml")
            .context("the operator prints no catalogue")?;
        let files = [
            ("bin/opm", self.olm.program("opm")?),
            (
                "bin/grpc_health_probe",
                self.olm.program("grpc-health-probe")?,
            ),
            (
                "configs/metallb-operator.yaml",
                catalog.clone().into_bytes(),
            ),
            (TMP, Vec::new()),
        ];
        let serve = [
            "serve",
            "/configs",
            "--cache-dir=/tmp/cache",
            "--cache-enforce-integrity=false",
        ];
        let image = oci::Image {
            files: &files,
            entrypoint: &["/bin/opm"],
            arguments: &serve,
            user: Some(USER),
            labels: &[(
                "operators.operatorframework.io.index.configs.v1",
                "/configs",
            )],
            ..oci::Image::default()
        };
        self.push(CATALOG, &image).map(drop)
    }

    /// What the image's own operator prints, by path.
    fn print(
        &self,
        release: Release<'_>,
        image: &str,
        bundle: &str,
    ) -> Result<BTreeMap<String, String>> {
        let mut operator = Command::new(self.folder.join("operator"));
        operator.args(["bundle", "--version", release.version, "--image", image]);
        operator.args(["--bundle-image", bundle]);
        if let Some(replaced) = release.replaces {
            operator.args(["--replaces", replaced]);
        }
        let printed = process::run(&mut operator)?;
        let files = printed
            .strip_prefix("--- ")
            .unwrap_or_default()
            .split("\n--- ");
        let file = |file: &str| {
            let (path, text) = file.split_once('\n')?;
            Some((path.to_owned(), format!("{}\n", text.trim_end())))
        };
        Ok(files.filter_map(file).collect())
    }

    /// Gives the reference by digest.
    fn push(&self, name: &str, image: &oci::Image<'_>) -> Result<String> {
        let archive = self.folder.join("image.tar");
        let digest = oci::pack(image, &archive)?;
        self.cluster.push(&archive, name)?;
        let repository = name.split(':').next().unwrap_or(name);
        Ok(format!("{}/{repository}@{digest}", plan::REGISTRY))
    }
}

const CATALOG: &str = "metallb-catalog:latest";
