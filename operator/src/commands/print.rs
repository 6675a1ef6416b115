//! The commands that print manifests instead of running.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use metallb_crds::names::DEFAULT_NAMESPACE;
use metallb_crds::v1beta1::MetalLB;
use rand::random;

use crate::args::BundleArgs;
use crate::bundle::{self, Bundle, File};
use crate::render::{Inputs, Install, Part, Standalone, Webhooks, install, render};
use crate::settings::Settings;
use crate::{VERSION, yaml};

/// What installs the operator.
pub(crate) fn manifests(image: &str, namespace: &str) {
    let install = install(&Install {
        namespace,
        image,
        version: VERSION,
    });
    print!("{}", yaml::documents(&install));
}

/// MetalLB without an operator, as the `MetalLB` object in `file` and `backend` say.
pub(crate) fn standalone(
    file: Option<&Path>,
    backend: Option<&str>,
    parts: &[Part],
    (image, namespace): (&str, &str),
) -> anyhow::Result<()> {
    let mut spec = file.map(read).transpose()?.unwrap_or_default().spec;
    if let Some(backend) = backend {
        spec.bgp_backend = Some(backend.to_owned());
    }
    let standalone = Standalone {
        spec: &spec,
        namespace,
        image,
        version: VERSION,
    };
    for part in parts {
        print!("{}", yaml::documents(&standalone.part(*part)));
    }
    Ok(())
}

/// The `MetalLB` object in a file; `-` is the standard input.
pub(crate) fn read(file: &Path) -> anyhow::Result<MetalLB> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())?
    } else {
        std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?
    };
    serde_saphyr::from_str(&text)
        .with_context(|| format!("{} is not a MetalLB object", file.display()))
}

/// The OLM bundle, one file after the other.
pub(crate) fn bundle(args: &BundleArgs) {
    let bundle = Bundle {
        version: args.version.clone(),
        replaces: args.replaces.clone(),
        image: args.image.clone(),
        own_image: args.bundle_image.clone(),
    };
    for File { path, text } in bundle::files(&bundle) {
        print!("--- {path}\n{text}");
    }
}

/// What the `MetalLB` object in `file` is turned into.
pub(crate) fn operands(file: &Path, image: &str) -> anyhow::Result<()> {
    let metallb = read(file)?;
    let namespace = metallb.metadata.namespace.as_deref();
    let settings =
        Settings::new(namespace.unwrap_or(DEFAULT_NAMESPACE), image).under(&metallb.spec);
    let objects = render(&Inputs {
        spec: &metallb.spec,
        settings: &settings,
        uid: Some(metallb.metadata.uid.as_deref().unwrap_or_default()),
        api_server: &BTreeSet::new(),
        writes_for_frr_k8s: settings.is_external(&metallb.spec),
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
