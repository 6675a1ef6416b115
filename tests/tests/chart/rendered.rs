//! The two renderings.

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{Helm, helm, product::path};
use serde_json::{Value, json};

pub(crate) type Objects = Vec<Value>;

/// Where all of it is installed; not the usual namespace, so that one sees where it is fixed.
pub(crate) const NAMESPACE: &str = "load-balancer";

/// What the chart makes of values, as the release `test`.
pub(crate) fn chart(values: &Value) -> Objects {
    try_chart(values).unwrap_or_else(|error| panic!("{values}: {error:#}"))
}

pub(crate) fn try_chart(values: &Value) -> Result<Objects> {
    static HELM: OnceLock<Helm> = OnceLock::new();
    let helm = HELM.get_or_init(|| helm().expect("helm"));
    let chart = path("charts/metallb");
    let chart = chart.to_str().context("a path in UTF-8")?;
    let arguments = ["template", "test", chart, "-n", NAMESPACE, "-f", "-"];
    let kubernetes = ["--kube-version", "1.34.4"];
    let text = helm.output(&[&arguments[..], &kubernetes].concat(), &values.to_string())?;
    documents(&text)
}

/// What the operator's renderer makes of the spec of a `MetalLB` object, where no operator runs.
pub(crate) fn renderer(spec: &Value, parts: &str) -> Objects {
    try_renderer(spec, parts).unwrap_or_else(|error| panic!("{spec}: {error:#}"))
}

/// Tests run side by side, each with a file of its own.
static FILES: AtomicU32 = AtomicU32::new(0);

fn try_renderer(spec: &Value, parts: &str) -> Result<Objects> {
    let object = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB",
        "metadata": { "name": "metallb" }, "spec": spec,
    });
    let nth = FILES.fetch_add(1, Ordering::Relaxed);
    let file = env::temp_dir().join(format!("metallb-chart-{}-{nth}.yaml", std::process::id()));
    fs::write(&file, object.to_string())?;
    let image = format!("metallb.io/metallb:{}", env!("CARGO_PKG_VERSION"));
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "metallb-operator", "--"])
        .args(["standalone", "--parts", parts, "--namespace", NAMESPACE])
        .args(["--image", &image, "--file"])
        .arg(&file)
        .current_dir(path(""))
        .output();
    fs::remove_file(&file)?;
    let output = output?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "operator standalone: {said}");
    documents(&String::from_utf8(output.stdout)?)
}

fn documents(text: &str) -> Result<Objects> {
    let documents = serde_saphyr::from_multiple::<Value>(text).context("it is no YAML")?;
    Ok(documents.into_iter().filter(|it| !it.is_null()).collect())
}
