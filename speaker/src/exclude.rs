//! The interfaces that never announce.

use std::path::Path;

use regex::RegexSet;
use serde::Deserialize;

/// Interfaces by the names that users excluded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exclude(RegexSet);

/// Why the list of excluded interfaces is unusable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read {0}: {1}")]
    Read(String, std::io::Error),
    #[error("cannot parse {0}: {1}")]
    Yaml(String, String),
    #[error("announcedInterfacesToExclude in {0}: {1}")]
    Regex(String, regex::Error),
}

impl Exclude {
    /// Reads the file of the ConfigMap `metallb-excludel2`. Without one, nothing is excluded.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let name = || path.display().to_string();
        match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::Read(name(), error)),
            Ok(text) => Self::parse(&text, name()),
        }
    }

    /// Whether the interface never announces.
    pub(crate) fn excludes(&self, name: &str) -> bool {
        self.0.is_match(name)
    }

    fn parse(text: &str, name: String) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let file: File = match serde_saphyr::from_str(text) {
            Ok(file) => file,
            Err(error) => return Err(Error::Yaml(name, error.to_string())),
        };
        RegexSet::new(file.announced_interfaces_to_exclude.unwrap_or_default())
            .map(Self)
            .map_err(|error| Error::Regex(name, error))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    announced_interfaces_to_exclude: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Exclude, String> {
        Exclude::parse(text, "file".into()).map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_matched_by_unanchored_expressions() {
        let exclude =
            parse("announcedInterfacesToExclude: [\"^docker.*\", \"^lo$\", \"cali\"]").unwrap();
        for (name, excluded) in [
            ("docker0", true),
            ("lo", true),
            ("lo0", false),
            ("xcali1", true),
            ("eth0", false),
        ] {
            assert_eq!(exclude.excludes(name), excluded, "{name}");
        }
    }

    #[test]
    fn no_file_and_no_list_exclude_nothing() {
        for text in ["", "\n", "announcedInterfacesToExclude:\n", "other: 1"] {
            assert!(!parse(text).unwrap().excludes("lo"), "{text:?}");
        }
        assert!(
            !Exclude::read(Path::new("/nonexistent"))
                .unwrap()
                .excludes("lo")
        );
    }

    #[test]
    fn a_bad_expression_says_which_file() {
        let error = parse("announcedInterfacesToExclude: [\"(\"]").unwrap_err();
        assert!(
            error.contains("file") && error.contains("announcedInterfacesToExclude"),
            "{error}"
        );
        assert!(parse("- a\n- b").unwrap_err().contains("cannot parse file"));
    }
}
