//! The OLM bundle and its catalogue: the same Deployment, rights and definitions that the install
//! manifest has, in the words of the Operator Lifecycle Manager.

mod csv;
mod examples;
mod owned;
mod package;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use serde_json::Value;

use crate::render::Install;
use crate::yaml;

/// What a bundle is made for.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    pub(crate) version: Version,
    /// The version that this one takes the place of; all others before it are skipped.
    pub(crate) replaces: Option<Version>,
    /// The one image of operator, controller and speaker.
    pub(crate) image: String,
    /// Where the bundle itself will be, for the catalogue.
    pub(crate) own_image: String,
}

/// A semantic version without build metadata, which no name of an object can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version(String);

/// A file by its path in the bundle's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Everything in the bundle's folder.
pub(crate) fn files(bundle: &Bundle) -> Vec<File> {
    let mut files = vec![yaml_file(
        "manifests/metallb-operator.clusterserviceversion.yaml",
        csv::csv(bundle),
    )];
    for definition in definitions() {
        let path = format!("manifests/{}", metallb_crds::file_name(&definition));
        files.push(yaml_file(&path, definition));
    }
    files.push(yaml_file(
        "manifests/metallb-operator-webhook-service_v1_service.yaml",
        webhook_service(bundle),
    ));
    files.push(yaml_file(
        "metadata/annotations.yaml",
        package::annotations(bundle),
    ));
    files.push(File {
        path: "bundle.Dockerfile".to_owned(),
        text: package::bundle_dockerfile(bundle),
    });
    files.push(File {
        path: "catalog/metallb-operator.yaml".to_owned(),
        text: yaml::documents(&package::catalog(bundle)),
    });
    files.push(File {
        path: "catalog.Dockerfile".to_owned(),
        text: package::CATALOG_DOCKERFILE.to_owned(),
    });
    files
}

/// Without the rules that OLM v1 takes for unsafe where they come to definitions that are there:
/// those of upstream's releases. The webhooks have the same rules.
fn definitions() -> Vec<Value> {
    metallb_crds::without_rules()
}

/// OLM puts it into the namespace that it installs into.
fn webhook_service(bundle: &Bundle) -> Value {
    let mut service = install(bundle).webhook_service().manifest;
    if let Some(metadata) = service["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    service
}

fn install(bundle: &Bundle) -> Install<'_> {
    Install {
        namespace: metallb_crds::names::DEFAULT_NAMESPACE,
        image: &bundle.image,
        version: &bundle.version.0,
    }
}

fn yaml_file(path: &str, mut document: Value) -> File {
    // Whether maps keep their order depends on what else is in the build.
    document.sort_all_objects();
    File {
        path: path.to_owned(),
        text: yaml::documents([&document]),
    }
}

impl Version {
    /// Such as `metallb-operator.v1.2.3`.
    fn csv_name(&self) -> String {
        format!("{PACKAGE}.v{}", self.0)
    }

    fn is_release(&self) -> bool {
        !self.0.contains('-')
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (numbers, pre) = match text.split_once('-') {
            Some((numbers, pre)) => (numbers, Some(pre)),
            None => (text, None),
        };
        let is_number = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && (part == "0" || !part.starts_with('0'))
        };
        let is_word = |part: &str| {
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            !part.is_empty() && part.bytes().all(known) && (!digits || is_number(part))
        };
        let parts: Vec<&str> = numbers.split('.').collect();
        if parts.len() == 3
            && parts.into_iter().all(is_number)
            && pre.is_none_or(|pre| pre.split('.').all(is_word))
        {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{text:?} is not a version: write MAJOR.MINOR.PATCH, such as 1.2.3 or 1.2.3-rc.1"
        ))
    }
}

/// The name of the package in catalogues, as upstream's.
const PACKAGE: &str = "metallb-operator";
