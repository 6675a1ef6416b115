//! The commands that print manifests instead of running.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use metallb_crds::names::DEFAULT_NAMESPACE;
use metallb_crds::v1beta1::MetalLB;
use rand::random;

use crate::platform::Platform;
use crate::render::{Inputs, Install, Webhooks, install, render};
use crate::settings::{Images, Ports};
use crate::{VERSION, frr_k8s, yaml};

/// What installs the operator.
pub(crate) fn manifests(image: &str, namespace: &str) {
    let install = install(&Install {
        namespace,
        image,
        version: VERSION,
    });
    print!("{}", yaml::documents(&install));
}

/// What the `MetalLB` object in `file` is turned into.
pub(crate) fn operands(file: &Path, image: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let metallb: MetalLB = serde_saphyr::from_str(&text)
        .with_context(|| format!("{} is not a MetalLB object", file.display()))?;
    let objects = render(&Inputs {
        spec: &metallb.spec,
        namespace: metallb
            .metadata
            .namespace
            .as_deref()
            .unwrap_or(DEFAULT_NAMESPACE),
        uid: metallb.metadata.uid.as_deref().unwrap_or_default(),
        images: &Images {
            controller: image.to_owned(),
            speaker: image.to_owned(),
        },
        ports: Ports::default(),
        platform: Platform::default(),
        frr_k8s_namespace: None,
        writes_for_frr_k8s: frr_k8s::is_external(&metallb.spec),
        existing_memberlist_key: None,
        fresh_memberlist_key: random(),
        password_secrets: &BTreeSet::new(),
        webhooks: Webhooks::Required,
        version: VERSION,
    });
    print!(
        "{}",
        yaml::documents(objects.iter().map(|object| &object.manifest))
    );
    Ok(())
}
