//! The releases of Kubernetes that can be built, and what each is built with.

use crate::{go::Program, options::Kubernetes};

/// One release.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) version: &'static str,
    /// The module file in `cluster/kube`, its `.sum` beside it.
    pub(crate) modules: &'static str,
    /// The oldest Go that builds it.
    pub(crate) go: (u32, u32),
    /// What is built, one program after the other.
    pub(crate) programs: &'static [Program],
}

impl Kubernetes {
    pub(crate) fn release(self) -> &'static Release {
        match self {
            Self::V1_34 => &V1_34,
            Self::Newest => &NEWEST,
        }
    }
}

/// Runs on the machine's containerd, 1.6 or later.
static V1_34: Release = Release {
    version: "1.34.4",
    modules: "go.mod",
    go: (1, 24),
    programs: &[KUBE, PAUSE, WEB],
};

/// From 1.36 on the kubelet asks for containerd 2, so one is built with it.
static NEWEST: Release = Release {
    version: "1.37.2",
    modules: "newest.mod",
    go: (1, 26),
    programs: &[KUBE, CONTAINERD, PAUSE, WEB],
};

const KUBE: Program = Program {
    what: "kube-apiserver, kubelet and the rest, about 6 minutes the first time on 2 cores",
    packages: &["."],
};
const CONTAINERD: Program = Program {
    what: "containerd 2",
    packages: &[
        "github.com/containerd/containerd/v2/cmd/containerd",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        "github.com/containerd/containerd/v2/cmd/ctr",
    ],
};
const PAUSE: Program = Program {
    what: "the pause program",
    packages: &["./pause"],
};
const WEB: Program = Program {
    what: "agnhost, the web backend",
    packages: &["k8s.io/kubernetes/test/images/agnhost"],
};

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn the_module_files_have_these_versions() {
        for release in [&V1_34, &NEWEST] {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/kube");
            let text = fs::read_to_string(directory.join(release.modules)).unwrap();
            assert!(text.contains(&format!("k8s.io/kubernetes v{}\n", release.version)));
            let (major, minor) = release.go;
            assert!(text.contains(&format!("\ngo {major}.{minor}.")));
        }
    }
}
