//! The documents of YAML files.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// One object, and the file that it is in.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) file: String,
    pub(crate) value: Value,
}

impl Document {
    fn text(&self, pointer: &str) -> &str {
        let text = self.value.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Whether it is of MetalLB's API.
    pub(crate) fn is_metallbs(&self) -> bool {
        self.text("/apiVersion").starts_with("metallb.io/")
    }

    /// Where it stands, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{}: {} {}", self.file, self.kind(), self.name())
    }
}

/// Reads files, the YAML files of folders, and the standard input for `-`. Lists are taken apart.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            documents.extend(parse("standard input", &text)?);
            continue;
        }
        for file in files(path)? {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(&file).with_context(|| name.clone())?;
            documents.extend(parse(&name, &text)?);
        }
    }
    Ok(documents)
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("cannot read {}", path.display());
    if !std::fs::metadata(path).with_context(context)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(context)? {
        let file = entry?.path();
        let extension = file.extension().and_then(|it| it.to_str());
        if matches!(extension, Some("yaml" | "yml" | "json")) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The objects in a text of one or more documents.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Document>> {
    let values: Vec<Value> =
        serde_saphyr::from_multiple(text).with_context(|| format!("{file} is not YAML"))?;
    let mut documents = Vec::new();
    for value in values {
        let items = value.get("items").and_then(Value::as_array).cloned();
        for value in items.unwrap_or_else(|| vec![value]) {
            let file = file.to_owned();
            documents.push(Document { file, value });
        }
    }
    Ok(documents)
}
