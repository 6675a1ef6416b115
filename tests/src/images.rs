//! The images that every node has from the start, packed by us as OCI layouts.

use std::{
    fs::{self, File},
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{cluster::Cluster, node, place::Place, plan};

/// The image of every pod's sandbox.
pub(crate) const PAUSE: &str = "metallb.test/pause:1";
/// `agnhost`, the usual backend of end-to-end tests; without arguments it is `netexec`, which
/// answers `/hostname`, `/clientip` and `/echo` over HTTP on port 8080 and the same over UDP on
/// port 8081.
pub const WEB: &str = "metallb.test/web:1";

impl Cluster {
    /// Imports an image archive (docker-archive or OCI layout) into every node.
    pub fn load(&self, archive: &Path) -> Result<()> {
        let archive = fs::canonicalize(archive)
            .with_context(|| format!("there is no image archive {}", archive.display()))?;
        self.on_all_nodes(
            |cluster, node| node::import(cluster, node, &archive),
            |_| Ok(()),
        )
    }

    /// The archive of an image that every node has from the start: `web` or `pause`.
    pub fn image_archive(&self, name: &str) -> PathBuf {
        archive(&self.state.kube, name)
    }

    /// Pushes an image archive into the fabric's registry, from which every node can pull it as
    /// `192.0.2.2:5000/NAME`; the name includes the tag.
    pub fn push(&self, archive: &Path, name: &str) -> Result<()> {
        let registry = plan::first_address(Place::Fabric, self.options().family);
        let registry = SocketAddr::new(registry, plan::REGISTRY_PORT);
        let reference = format!("{registry}/{name}");
        let push = [archive.display().to_string(), reference];
        self.output(Place::Fabric, &self.kube_program("push", &push))
            .map(drop)
    }
}

/// Packs the images beside the programs that they hold.
pub(crate) fn pack(kube: &Path) -> Result<()> {
    for image in IMAGES {
        let program = kube.join(image.program);
        pack_one(&kube.join(image.archive), image, &program)
            .with_context(|| format!("cannot pack {}", image.reference))?;
    }
    Ok(())
}

/// The archive of the image that is called `metallb.test/NAME:1`.
pub(crate) fn archive(kube: &Path, name: &str) -> PathBuf {
    kube.join(format!("{name}.tar"))
}

/// The packed images.
pub(crate) fn archives(kube: &Path) -> Vec<PathBuf> {
    IMAGES
        .iter()
        .map(|image| kube.join(image.archive))
        .collect()
}

struct Image {
    reference: &'static str,
    archive: &'static str,
    /// The one file in it, at its root.
    program: &'static str,
    arguments: &'static [&'static str],
}

const IMAGES: [&Image; 2] = [
    &Image {
        reference: PAUSE,
        archive: "pause.tar",
        program: "pause",
        arguments: &[],
    },
    &Image {
        reference: WEB,
        archive: "web.tar",
        program: "agnhost",
        arguments: &["netexec", "--http-port=8080", "--udp-port=8081"],
    },
];

fn pack_one(archive: &Path, image: &Image, program: &Path) -> Result<()> {
    let mut layer = tar::Builder::new(Vec::new());
    let content = fs::read(program)?;
    append(&mut layer, image.program, &content, 0o755)?;
    let layer = layer.into_inner()?;

    let mut out = tar::Builder::new(File::create(archive)?);
    append(
        &mut out,
        "oci-layout",
        br#"{"imageLayoutVersion":"1.0.0"}"#,
        0o644,
    )?;
    let config = json!({
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": {"Entrypoint": [format!("/{}", image.program)], "Cmd": image.arguments},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    });
    let config = blob(&mut out, "config.v1+json", config.to_string().as_bytes())?;
    let layer = blob(&mut out, "layer.v1.tar", &layer)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
    });
    let mut manifest = blob(
        &mut out,
        "manifest.v1+json",
        manifest.to_string().as_bytes(),
    )?;
    manifest["annotations"] = json!({"io.containerd.image.name": image.reference});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    append(&mut out, "index.json", index.to_string().as_bytes(), 0o644)?;
    out.into_inner()?.flush()?;
    Ok(())
}

/// Adds a blob and gives its descriptor.
fn blob(out: &mut tar::Builder<File>, kind: &str, content: &[u8]) -> Result<Value> {
    let digest = digest(content);
    append(
        out,
        &format!("blobs/{}", digest.replace(':', "/")),
        content,
        0o644,
    )?;
    let media_type = format!("application/vnd.oci.image.{kind}");
    Ok(json!({"mediaType": media_type, "digest": digest, "size": content.len()}))
}

fn append<W: std::io::Write>(
    out: &mut tar::Builder<W>,
    path: &str,
    content: &[u8],
    mode: u32,
) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    out.append_data(&mut header, path, content)?;
    Ok(())
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(content)))
}

/// The digits of a digest.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |digits, byte| {
        digits + &format!("{byte:02x}")
    })
}

#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: &str = "arm64";
#[cfg(not(target_arch = "aarch64"))]
const ARCHITECTURE: &str = "amd64";
