//! Images without a container engine: files in one layer, as an OCI layout in a tar file, which
//! containerd, skopeo and podman read as it is.
//!
//! The same files give the same digest: order, times, owners and modes are fixed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    io::{Read, Write},
    path::Path,
};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder, write::GzEncoder};
use oci_spec::image::{
    ANNOTATION_REF_NAME, Arch, ConfigBuilder, Descriptor, DescriptorBuilder,
    ImageConfigurationBuilder, ImageIndexBuilder, ImageManifestBuilder, MediaType, Os,
    PlatformBuilder, RootFsBuilder, Sha256Digest,
};
use sha2::{Digest as _, Sha256};

/// What an image is made of.
#[derive(Debug, Default)]
pub struct Image<'a> {
    /// The reference that it answers to after an import.
    pub reference: &'a str,
    /// Programs by their paths; one that ends with a slash is a folder where anybody may write.
    pub files: &'a [(&'a str, Vec<u8>)],
    /// What runs unless the pod says otherwise.
    pub entrypoint: &'a [&'a str],
    /// Its arguments, unless the pod says otherwise.
    pub arguments: &'a [&'a str],
    /// Who runs it, as `uid:gid`; root when not given.
    pub user: Option<&'a str>,
    /// Labels of the image.
    pub labels: &'a [(&'a str, &'a str)],
}

/// Writes the image to `archive` and gives its manifest's digest, `sha256:…`.
pub fn pack(image: &Image<'_>, archive: &Path) -> Result<String> {
    let mut blobs = Blobs::default();
    let layer_tar = layer(image.files)?;
    let diff_id = digest(&layer_tar);
    let mut gzip: GzEncoder<Vec<u8>> = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::new(6));
    gzip.write_all(&layer_tar)?;
    let layer = blobs.add(MediaType::ImageLayerGzip, gzip.finish()?)?;

    // Maps come out of serde_json::Value sorted, so the digest does not follow a hash seed.
    let config = serde_json::to_vec(&serde_json::to_value(configuration(image, diff_id)?)?)?;
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
        .manifests(vec![named(&manifest, image.reference)?])
        .build()?;
    blobs.write(&serde_json::to_vec(&serde_json::to_value(index)?)?, archive)?;
    Ok(digest)
}

/// The files of an archive that [`pack`] wrote, by their paths.
pub fn unpack(archive: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let file = fs::File::open(archive)
        .with_context(|| format!("there is no image archive {}", archive.display()))?;
    let entries = files(file)?;
    let json = |name: &str| -> Result<serde_json::Value> {
        let bytes = entries
            .get(name)
            .with_context(|| format!("no {name} in it"))?;
        Ok(serde_json::from_slice(bytes)?)
    };
    let blob = |descriptor: &serde_json::Value| {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        format!("blobs/{}", digest.replace(':', "/"))
    };
    let index = json("index.json")?;
    let manifest = json(&blob(&index["manifests"][0]))?;
    let layer = entries
        .get(&blob(&manifest["layers"][0]))
        .context("no layer in it")?;
    files(flate2::read::GzDecoder::new(&layer[..]))
}

fn files(tar: impl Read) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let path = entry.path()?.display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            found.insert(path, bytes);
        }
    }
    Ok(found)
}

fn configuration(
    image: &Image<'_>,
    diff_id: String,
) -> Result<oci_spec::image::ImageConfiguration> {
    let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let labels = image
        .labels
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()));
    let mut config = ConfigBuilder::default()
        .entrypoint(texts(image.entrypoint))
        .cmd(texts(image.arguments))
        .working_dir("/")
        .labels(labels.collect::<HashMap<_, _>>());
    if let Some(user) = image.user {
        config = config.user(user);
    }
    Ok(ImageConfigurationBuilder::default()
        .architecture(ARCHITECTURE)
        .os(Os::Linux)
        .config(config.build()?)
        .rootfs(
            RootFsBuilder::default()
                .typ("layers")
                .diff_ids(vec![diff_id])
                .build()?,
        )
        .build()?)
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
                .architecture(ARCHITECTURE)
                .os(Os::Linux)
                .build()?,
        )
        .annotations(HashMap::from([
            ("io.containerd.image.name".to_owned(), reference.to_owned()),
            (ANNOTATION_REF_NAME.to_owned(), tag.to_owned()),
        ]))
        .build()?)
}

fn layer(files: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut folders = BTreeSet::new();
    for (name, bytes) in files {
        // Not every unpacker makes the folders that are not named.
        for (end, _) in name.match_indices('/') {
            if folders.insert(&name[..end]) {
                let mode = if end + 1 == name.len() { 0o1777 } else { 0o755 };
                append_folder(&mut tar, &name[..=end], mode)?;
            }
        }
        if !name.ends_with('/') {
            append(&mut tar, name, 0o755, bytes)?;
        }
    }
    Ok(tar.into_inner()?)
}

fn append_folder(tar: &mut tar::Builder<impl Write>, path: &str, mode: u32) -> Result<()> {
    let mut header = header(mode);
    header.set_entry_type(tar::EntryType::Directory);
    tar.append_data(&mut header, path, std::io::empty())?;
    Ok(())
}

fn header(mode: u32) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn append(tar: &mut tar::Builder<impl Write>, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let mut header = header(mode);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, path, bytes)?;
    Ok(())
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
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

#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Arch = Arch::ARM64;
#[cfg(not(target_arch = "aarch64"))]
const ARCHITECTURE: Arch = Arch::Amd64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Two packings of the same programs are the same bytes: nothing of time or order leaks in.
    #[test]
    fn packing_is_reproducible() {
        let image = Image {
            reference: "example.org/metallb:1",
            files: &[
                ("controller", b"one".to_vec()),
                ("bin/two", b"2".to_vec()),
                ("speaker", b"two".to_vec()),
                ("tmp/", Vec::new()),
            ],
            entrypoint: &["/controller"],
            arguments: &["--help"],
            user: Some("65534:65534"),
            labels: &[("a", "1"), ("b", "2"), ("c", "3")],
        };
        let directory = std::env::temp_dir().join(format!("metallb-oci-{}", std::process::id()));
        let archives = ["one.tar", "two.tar"].map(|name| directory.join(name));
        let digests = archives
            .each_ref()
            .map(|archive| pack(&image, archive).unwrap());
        let bytes = archives
            .each_ref()
            .map(|archive| fs::read(archive).unwrap());
        let files = unpack(&archives[0]).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(files["bin/two"], b"2");
        assert_eq!(files.len(), 3, "a folder is no file: {files:?}");
        assert_eq!(digests[0], digests[1]);
        assert_eq!(bytes[0], bytes[1]);
    }
}
