//! The lines of the matrix, as they are in the files beside this one: an object, and what the API
//! server makes of it.
//!
//! A line without `before` is told of a new object, and again of an edit that makes the kind's
//! good object this one, but where it is `only_new` or in another namespace. With `before` it is
//! told of an edit of that, or of its deletion where there is no `spec`. The objects `beside` are
//! there meanwhile, under the names `beside-0` and so on.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use metallb_tests::Answer;
use serde::Deserialize;
use serde_json::Value;

/// The lines about one kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) kind: String,
    /// The name of the webhook that is asked about it.
    pub(super) webhook: String,
    /// A spec that clashes with nothing in any line.
    pub(super) good: Value,
    pub(super) lines: Vec<Line>,
    /// Rows that no API server can show, with the reason.
    #[serde(default)]
    pub(super) unseen: BTreeMap<String, String>,
}

/// One object, and what becomes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// The line of docs/compatibility.md that it shows.
    pub(super) row: String,
    /// Of the API; the newest one where there is none.
    pub(super) version: Option<String>,
    pub(super) namespace: Option<String>,
    #[serde(default)]
    pub(super) beside: Vec<Beside>,
    pub(super) before: Option<Value>,
    pub(super) spec: Option<Value>,
    #[serde(default)]
    pub(super) only_new: bool,
    pub(super) warning: Option<String>,
    pub(super) end: End,
}

/// An object that is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Beside {
    pub(super) kind: String,
    pub(super) version: Option<String>,
    pub(super) spec: Value,
}

/// Who refuses it, in which words.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum End {
    Taken,
    /// By the types and ranges in the definition.
    Schema(String),
    /// By a rule in the definition.
    Rule(String),
    Webhook(String),
}

impl Table {
    /// All of them.
    pub(super) fn read_all() -> Result<Vec<Self>> {
        FILES
            .iter()
            .map(|(name, text)| serde_saphyr::from_str(text).with_context(|| (*name).to_owned()))
            .collect()
    }

    /// Whether the answer to a request is what the line says.
    pub(super) fn judge(&self, line: &Line, answer: &Answer) -> Result<()> {
        let said = answer.message();
        let status = answer.status;
        match &line.end {
            End::Taken => ensure!(answer.is_ok(), "it is refused, HTTP {status}: {said}"),
            End::Schema(words) | End::Rule(words) => {
                ensure!(status == 422, "HTTP {status} from the definition: {said}");
                ensure!(said.contains(words), "{words:?} is not in: {said}");
            }
            End::Webhook(words) => {
                let denied = format!(
                    "admission webhook \"{}\" denied the request: ",
                    self.webhook
                );
                let reason = said.strip_prefix(&denied);
                let reason = reason.with_context(|| format!("not by the webhook: {said}"))?;
                ensure!(status == 403, "HTTP {status} from the webhook: {said}");
                ensure!(reason.contains(words), "{words:?} is not in: {reason}");
            }
        }
        if let Some(warning) = &line.warning {
            let warned = answer.warnings.iter().any(|said| said.contains(warning));
            ensure!(warned, "{warning:?} is not in {:?}", answer.warnings);
        }
        Ok(())
    }
}

const FILES: &[(&str, &str)] = &[
    ("pools.yaml", include_str!("pools.yaml")),
    ("peers.yaml", include_str!("peers.yaml")),
    (
        "bgp_advertisements.yaml",
        include_str!("bgp_advertisements.yaml"),
    ),
    (
        "l2_advertisements.yaml",
        include_str!("l2_advertisements.yaml"),
    ),
    ("communities.yaml", include_str!("communities.yaml")),
    ("bfd_profiles.yaml", include_str!("bfd_profiles.yaml")),
];
