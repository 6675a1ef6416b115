//! What is around the manifests: the channels, the catalogue, and how images are made of them.

use serde_json::{Value, json};

use super::{Bundle, PACKAGE, csv, owned};

/// The channels that a version is in: what is not a release yet is for those who try it.
/// `alpha` is for those who come from upstream's package, which has no other.
fn channels(bundle: &Bundle) -> &'static [&'static str] {
    if bundle.version.is_release() {
        &["stable", "candidate", "alpha"]
    } else {
        &["candidate"]
    }
}

/// What a Subscription without a channel follows.
fn default_channel(bundle: &Bundle) -> &'static str {
    channels(bundle)[0]
}

/// `metadata/annotations.yaml`.
pub(super) fn annotations(bundle: &Bundle) -> Value {
    let annotations: serde_json::Map<_, _> = labels(bundle)
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect();
    json!({ "annotations": annotations })
}

/// The same facts as labels of the image, where registries look for them.
fn labels(bundle: &Bundle) -> Vec<(String, String)> {
    [
        ("mediatype.v1", "registry+v1"),
        ("manifests.v1", "manifests/"),
        ("metadata.v1", "metadata/"),
        ("package.v1", PACKAGE),
        ("channels.v1", &channels(bundle).join(",")),
        ("channel.default.v1", default_channel(bundle)),
    ]
    .map(|(key, value)| {
        let key = format!("operators.operatorframework.io.bundle.{key}");
        (key, value.to_owned())
    })
    .into()
}

/// For those who build images with a tool that reads this.
pub(super) fn bundle_dockerfile(bundle: &Bundle) -> String {
    let labels = labels(bundle);
    let labels = labels
        .iter()
        .map(|(key, value)| format!("LABEL {key}={value}\n"));
    format!(
        "# In this folder: docker build -f bundle.Dockerfile -t REFERENCE .\n\
         FROM scratch\n\n{}\nCOPY manifests /manifests/\nCOPY metadata /metadata/\n",
        labels.collect::<String>()
    )
}

pub(super) const CATALOG_DOCKERFILE: &str = "\
# In this folder: docker build -f catalog.Dockerfile -t REFERENCE .
FROM quay.io/operator-framework/opm:v1.61.0

LABEL operators.operatorframework.io.index.configs.v1=/configs

COPY catalog /configs
RUN [\"/bin/opm\", \"serve\", \"/configs\", \"--cache-dir=/tmp/cache\", \"--cache-only\"]
ENTRYPOINT [\"/bin/opm\"]
CMD [\"serve\", \"/configs\", \"--cache-dir=/tmp/cache\"]
";

/// A file-based catalogue with this one version. Every version before it can be left for it in one
/// step, so that no other has to be in there.
pub(super) fn catalog(bundle: &Bundle) -> Vec<Value> {
    let name = bundle.version.csv_name();
    let mut documents = vec![json!({
        "schema": "olm.package",
        "name": PACKAGE,
        "defaultChannel": default_channel(bundle),
        "description": csv::DESCRIPTION,
        "icon": {
            "base64data": k8s_openapi::ByteString(csv::ICON.as_bytes().to_vec()),
            "mediatype": "image/svg+xml",
        },
    })];
    for channel in channels(bundle) {
        let mut entry = json!({ "name": name, "skipRange": bundle.skip_range() });
        if let Some(replaced) = &bundle.replaces {
            entry["replaces"] = replaced.csv_name().into();
        }
        documents.push(json!({
            "schema": "olm.channel",
            "package": PACKAGE,
            "name": channel,
            "entries": [entry],
        }));
    }
    documents.push(json!({
        "schema": "olm.bundle",
        "package": PACKAGE,
        "name": name,
        "image": bundle.own_image,
        "properties": properties(bundle),
        "relatedImages": [
            { "name": "", "image": bundle.own_image },
            { "name": "metallb", "image": bundle.image },
        ],
    }));
    documents.iter_mut().for_each(Value::sort_all_objects);
    documents
}

/// What OLM resolves by, and what consoles show.
fn properties(bundle: &Bundle) -> Vec<Value> {
    let mut properties: Vec<Value> = owned::all()
        .iter()
        .map(|kind| {
            json!({ "type": "olm.gvk", "value": {
                "group": "metallb.io", "kind": kind["kind"], "version": kind["version"],
            } })
        })
        .collect();
    properties.push(json!({ "type": "olm.package", "value": {
        "packageName": PACKAGE, "version": bundle.version.0,
    } }));
    properties.push(json!({ "type": "olm.csv.metadata", "value": csv::metadata(bundle) }));
    properties
}
