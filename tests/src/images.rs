//! The images that every node has from the start, packed by us as OCI layouts.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{cluster::Cluster, node, oci, place::Place, plan};

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
    oci::pack(
        &oci::Image {
            reference: image.reference,
            files: &[(image.program, fs::read(program)?)],
            entrypoint: &[&format!("/{}", image.program)],
            arguments: image.arguments,
            ..oci::Image::default()
        },
        archive,
    )
    .map(drop)
}
