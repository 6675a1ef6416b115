//! The chart's README: what `values.yaml` says of each value, as a table.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

/// One value that a user sets.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    path: String,
    default: String,
    what: String,
}

/// The README of the chart in a folder.
pub(super) fn readme(chart: &Path) -> Result<String> {
    let path = chart.join("values.yaml");
    let values =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut text = ABOVE.to_owned();
    for Row {
        path,
        default,
        what,
    } in rows(&values)
    {
        let default = match default.as_str() {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        writeln!(text, "| `{path}` | {default} | {what} |")?;
    }
    Ok(text)
}

/// The values of a file, in its order. A comment belongs to the key below it, and to the keys in
/// that one as far as they have none.
fn rows(values: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    // The keys around, each with its indentation and what is said of it.
    let mut around: Vec<(usize, String, String)> = Vec::new();
    let mut comment = Vec::new();
    // The indentation of the entries of the list at hand.
    let mut list = None;
    for line in values.lines() {
        let text = line.trim_start();
        let indentation = line.len() - text.len();
        if let Some(words) = text.strip_prefix('#') {
            comment.push(words.trim());
            continue;
        }
        let Some((key, default)) = text.split_once(':') else {
            // A blank line ends what is said of the file.
            comment.clear();
            continue;
        };
        // Entries of a list are part of its default.
        if text.starts_with('-') {
            list = Some(indentation);
        }
        if list.is_some_and(|list| list <= indentation) {
            continue;
        }
        list = None;
        around.retain(|(outer, ..)| *outer < indentation);
        let said = std::mem::take(&mut comment).join(" ");
        let inherited = around.last().map_or("", |(.., said)| said);
        let what = if said.is_empty() { inherited } else { &said }.to_owned();
        around.push((indentation, key.to_owned(), said.clone()));
        let path: Vec<_> = around.iter().map(|(_, key, _)| key.as_str()).collect();
        rows.push(Row {
            path: path.join("."),
            default: default.trim().to_owned(),
            what,
        });
    }
    leaves(rows)
}

/// Without those that only hold others.
fn leaves(rows: Vec<Row>) -> Vec<Row> {
    let paths: Vec<_> = rows.iter().map(|row| format!("{}.", row.path)).collect();
    rows.into_iter()
        .enumerate()
        .filter(|(nth, _)| {
            let next = paths.get(nth + 1);
            next.is_none_or(|next| !next.starts_with(&paths[*nth]))
        })
        .map(|(_, row)| row)
        .collect()
}

const ABOVE: &str = "\
<!-- Made by `cargo xtask manifests` of values.yaml. -->

# Chart of MetalLB

Names, labels and values are those of MetalLB's own chart, so a release of that is upgraded in place; \
what differs is in [docs/compatibility.md](../../docs/compatibility.md). How to install, upgrade and \
remove it is in [docs/install.md](../../docs/install.md).

| value | default | what it does |
|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_paths_defaults_and_what_is_said_of_them() {
        let values = "# Of the file.\n\nname: \"\"\n# All of it\nouter:\n  # A switch,\n  # said in two lines\n  enabled: true\n  none:\n";
        let row = |path: &str, default: &str, what: &str| Row {
            path: path.to_owned(),
            default: default.to_owned(),
            what: what.to_owned(),
        };
        let expected = [
            row("name", "\"\"", ""),
            row("outer.enabled", "true", "A switch, said in two lines"),
            row("outer.none", "", "All of it"),
        ];
        assert_eq!(rows(values), expected);
    }
}
