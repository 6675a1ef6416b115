//! `cargo xtask image`: the three static programs in one OCI image.
//!
//! The same sources give the same digest: file order, times, owners and modes are fixed, and the
//! compiler is told to forget the paths of the machine. What comes out is an OCI layout in a tar
//! file, which containerd, skopeo and podman read as it is.

use std::{
    collections::HashMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use flate2::{Compression, GzBuilder, write::GzEncoder};
use oci_spec::image::{
    ANNOTATION_REF_NAME, Arch, ConfigBuilder, Descriptor, DescriptorBuilder,
    ImageConfigurationBuilder, ImageIndexBuilder, ImageManifestBuilder, MediaType, Os,
    PlatformBuilder, RootFsBuilder, Sha256Digest,
};
use sha2::{Digest as _, Sha256};

use metallb_tests::product;

use crate::{steps::Steps, workspace};

/// What `cargo xtask image` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct ImageArgs {
    /// The reference that the image answers to after an import.
    #[arg(long, default_value = product::IMAGE)]
    pub(crate) reference: String,
    /// Build as for a release: smaller, with minutes of link-time optimisation.
    #[arg(long)]
    pub(crate) release: bool,
    /// Where to write the archive [default: target/image/metallb.tar].
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
}

impl Default for ImageArgs {
    fn default() -> Self {
        Self {
            reference: product::IMAGE.to_owned(),
            release: false,
            output: None,
        }
    }
}

/// An image on disk.
#[derive(Debug)]
pub(crate) struct Image {
    /// The OCI layout, as a tar file.
    pub(crate) archive: PathBuf,
    /// The manifest's digest, `sha256:…`.
    pub(crate) digest: String,
    /// Bytes that the programs take when unpacked.
    pub(crate) unpacked: u64,
}

/// Builds the programs and the image around them.
pub(crate) fn build(args: &ImageArgs, steps: &mut Steps) -> Result<Image> {
    let profile = if args.release { "release" } else { "image" };
    let programs = steps.time(
        &format!("building the three static programs (profile {profile}, minutes when cold)"),
        || compile(profile),
    )?;
    let archive = args
        .output
        .clone()
        .unwrap_or_else(|| workspace::target().join("image/metallb.tar"));
    steps.time("packing the image", || {
        pack(&programs, &args.reference, &archive)
    })
}

/// The static binaries, by the name they have in the image.
fn compile(profile: &str) -> Result<Vec<(String, PathBuf)>> {
    let root = workspace::root();
    let cargo_home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    // Without --target, crt-static would reach proc-macros and break them (they are loaded
    // dynamically). A static program finds no getrandom symbol at run time, so rand is told to
    // make the system call. A fixed address saves the relocated pages of a static-pie.
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        "-Crelocation-model=static".to_owned(),
        "--cfg=getrandom_backend=\"linux_getrandom\"".to_owned(),
        format!("--remap-path-prefix={cargo_home}=/cargo"),
        format!("--remap-path-prefix={}=/metallb", root.display()),
    ];
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(&root)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--profile",
            profile,
            "--target",
            TARGET,
        ])
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    for program in PROGRAMS {
        cargo.args(["--package", &format!("metallb-{program}")]);
    }
    let status = cargo.status().context("cannot run cargo")?;
    ensure!(
        status.success(),
        "cargo build of the programs ended with {status}"
    );

    let directory = workspace::target().join(TARGET).join(profile);
    Ok(PROGRAMS
        .iter()
        .map(|name| ((*name).to_owned(), directory.join(name)))
        .collect())
}

/// Writes the OCI layout with one layer that holds `programs`.
fn pack(programs: &[(String, PathBuf)], reference: &str, archive: &Path) -> Result<Image> {
    let (layer_tar, unpacked) = layer(programs)?;
    let diff_id = digest(&layer_tar);
    let mut blobs = Blobs::default();

    let mut gzip: GzEncoder<Vec<u8>> = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::new(6));
    gzip.write_all(&layer_tar)?;
    let layer = blobs.add(MediaType::ImageLayerGzip, gzip.finish()?)?;

    let config = ImageConfigurationBuilder::default()
        .architecture(Arch::Amd64)
        .os(Os::Linux)
        .config(
            ConfigBuilder::default()
                // Numeric, so that runAsNonRoot can be checked; the speaker's pod asks for root,
                // since only root gets NET_RAW into its effective set.
                .user("65534:65534")
                .working_dir("/")
                .labels(HashMap::from([
                    (
                        "org.opencontainers.image.title".to_owned(),
                        "metallb".to_owned(),
                    ),
                    (
                        "org.opencontainers.image.licenses".to_owned(),
                        "Apache-2.0".to_owned(),
                    ),
                    (
                        "org.opencontainers.image.version".to_owned(),
                        VERSION.to_owned(),
                    ),
                ]))
                .build()?,
        )
        .rootfs(
            RootFsBuilder::default()
                .typ("layers")
                .diff_ids(vec![diff_id])
                .build()?,
        )
        .build()?;
    // Maps come out of serde_json::Value sorted, so the digest does not follow a hash seed.
    let config = serde_json::to_vec(&serde_json::to_value(config)?)?;
    let config = blobs.add(MediaType::ImageConfig, config)?;

    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(vec![layer])
        .build()?;
    let manifest = blobs.add(MediaType::ImageManifest, serde_json::to_vec(&manifest)?)?;
    let digest = manifest.digest().to_string();

    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests(vec![named(&manifest, reference)?])
        .build()?;
    blobs.write(&serde_json::to_vec(&serde_json::to_value(index)?)?, archive)?;
    Ok(Image {
        archive: archive.to_owned(),
        digest,
        unpacked,
    })
}

/// The manifest's descriptor with the names by which containerd and others file it.
fn named(manifest: &Descriptor, reference: &str) -> Result<Descriptor> {
    let tag = reference.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    Ok(DescriptorBuilder::default()
        .media_type(manifest.media_type().clone())
        .digest(manifest.digest().clone())
        .size(manifest.size())
        .platform(
            PlatformBuilder::default()
                .architecture(Arch::Amd64)
                .os(Os::Linux)
                .build()?,
        )
        .annotations(HashMap::from([
            ("io.containerd.image.name".to_owned(), reference.to_owned()),
            (ANNOTATION_REF_NAME.to_owned(), tag.to_owned()),
        ]))
        .build()?)
}

/// The uncompressed layer, and the bytes of the programs in it.
fn layer(programs: &[(String, PathBuf)]) -> Result<(Vec<u8>, u64)> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut unpacked = 0;
    for (name, path) in programs {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        unpacked += bytes.len() as u64;
        append(&mut tar, name, 0o755, &bytes)?;
    }
    Ok((tar.into_inner()?, unpacked))
}

fn append(
    tar: &mut tar::Builder<impl std::io::Write>,
    path: &str,
    mode: u32,
    bytes: &[u8],
) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, path, bytes)?;
    Ok(())
}

fn digest(bytes: &[u8]) -> String {
    let hex = Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |hex, b| hex + &format!("{b:02x}"));
    format!("sha256:{hex}")
}

/// The content-addressed files of the layout, in the order in which they were added.
#[derive(Default)]
struct Blobs(Vec<(String, Vec<u8>)>);

impl Blobs {
    fn add(&mut self, media_type: MediaType, bytes: Vec<u8>) -> Result<Descriptor> {
        let digest = digest(&bytes);
        let hex = digest.trim_start_matches("sha256:").to_owned();
        let descriptor =
            Descriptor::new(media_type, bytes.len() as u64, hex.parse::<Sha256Digest>()?);
        self.0.push((hex, bytes));
        Ok(descriptor)
    }

    fn write(&self, index: &[u8], archive: &Path) -> Result<()> {
        if let Some(parent) = archive.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = fs::File::create(archive)
            .with_context(|| format!("cannot write {}", archive.display()))?;
        let mut tar = tar::Builder::new(file);
        append(
            &mut tar,
            "oci-layout",
            0o644,
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        append(&mut tar, "index.json", 0o644, index)?;
        for (hex, bytes) in &self.0 {
            append(&mut tar, &format!("blobs/sha256/{hex}"), 0o644, bytes)?;
        }
        tar.into_inner()?.flush()?;
        Ok(())
    }
}

const PROGRAMS: [&str; 3] = ["controller", "operator", "speaker"];
const TARGET: &str = "x86_64-unknown-linux-gnu";
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use super::*;

    /// Two packings of the same programs are the same bytes: nothing of time or order leaks in.
    #[test]
    fn packing_is_reproducible() {
        let directory = workspace::scratch("image-test");
        let program = directory.join("controller");
        fs::write(&program, b"program").unwrap();
        let programs = vec![("controller".to_owned(), program)];
        let archives = ["one.tar", "two.tar"].map(|name| directory.join(name));
        let digests = archives.each_ref().map(|archive| {
            pack(&programs, "example.org/metallb:1", archive)
                .unwrap()
                .digest
        });
        assert_eq!(digests[0], digests[1]);
        assert_eq!(
            fs::read(&archives[0]).unwrap(),
            fs::read(&archives[1]).unwrap()
        );
    }
}
