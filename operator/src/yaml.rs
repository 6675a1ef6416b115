//! Manifests as YAML.

use serde_json::Value;

/// The documents, each with its `---` in front.
pub(crate) fn documents<'a>(documents: impl IntoIterator<Item = &'a Value>) -> String {
    let mut text = String::new();
    for document in documents {
        let document = serde_saphyr::to_string(document).expect("JSON can be written as YAML");
        text.push_str("---\n");
        text.push_str(&document);
        if !document.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}
