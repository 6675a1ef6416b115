//! Building Kubernetes: one Go program, and what runs beside it.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{go::Module, images, progress::Progress, release::Release};

/// The directory that holds `kube`, `pause`, `agnhost` and the images; built if it is not there.
pub(crate) fn ensure_built(release: &Release, progress: &mut dyn Progress) -> Result<PathBuf> {
    module(release).ensure_built(images::pack, progress)
}

fn module(release: &Release) -> Module {
    let version = release.version;
    let mut numbers = version.split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    let package = "k8s.io/component-base/version";
    let flags = format!(
        "-s -w -X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    );
    Module {
        what: format!("Kubernetes {version}"),
        cache: "kube",
        sources: Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/kube"),
        modules: release.modules,
        files: &["main.go", "forward.go", "push.go", "pause/main.go"],
        go: release.go,
        flags: vec!["-ldflags".to_owned(), flags],
        programs: release.programs,
        format: FORMAT,
    }
}

/// Changes when the images are packed otherwise.
const FORMAT: &str = "2";
