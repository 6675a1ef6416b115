//! The file with upstream's settings of memberlist, as far as heartbeats have such a thing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use metallb_membership::Settings;
use serde_json::Value;

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) settings: Settings,
    /// The names in it that mean nothing here.
    pub(crate) ignored: Vec<String>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read {0}: {1}")]
    Read(String, std::io::Error),
    #[error("{0} is no JSON object: {1}")]
    Json(String, serde_json::Error),
    #[error("{0}: {PROBE_INTERVAL} is {1}, and must be a text such as \"1s\"")]
    Type(String, Value),
    #[error("{0}: {PROBE_INTERVAL}: {1}")]
    Duration(String, metallb_config::DurationError),
    #[error(
        "{0}: {PROBE_INTERVAL} is {1:?}, and must be {LEAST:?} to {MOST:?}: a tenth of it is the \
         time between two heartbeats"
    )]
    Range(String, Duration),
}

/// Reads the file of the ConfigMap `metallb-memberlist-config`. Nothing without one.
pub(crate) fn read(path: &Path) -> Result<Option<Found>, Error> {
    let name = || path.display().to_string();
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Read(name(), error)),
        Ok(text) => parse(&text, &name()).map(Some),
    }
}

fn parse(text: &str, name: &str) -> Result<Found, Error> {
    let mut fields: BTreeMap<String, Value> =
        serde_json::from_str(text).map_err(|error| Error::Json(name.to_owned(), error))?;
    let settings = match fields.remove(PROBE_INTERVAL) {
        None => Settings::default(),
        Some(Value::String(text)) => {
            let interval = metallb_config::duration(&text)
                .map_err(|error| Error::Duration(name.to_owned(), error))?;
            if !(LEAST..=MOST).contains(&interval) {
                return Err(Error::Range(name.to_owned(), interval));
            }
            Settings::with_heartbeat(interval / 10)
        }
        Some(other) => return Err(Error::Type(name.to_owned(), other)),
    };
    Ok(Found {
        settings,
        ignored: fields.into_keys().collect(),
    })
}

/// How often memberlist asks a member whether it lives. Its usual second is our usual pace.
const PROBE_INTERVAL: &str = "ProbeInterval";
const LEAST: Duration = Duration::from_millis(200);
const MOST: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_memberlists_and_the_rest_is_named() {
        for (text, heartbeat, ignored) in [
            ("{}", 100, &[][..]),
            (r#"{"ProbeInterval": "1s"}"#, 100, &[]),
            (
                r#"{"SuspicionMult": 4, "ProbeInterval": "500ms", "GossipNodes": 3}"#,
                50,
                &["GossipNodes", "SuspicionMult"],
            ),
            (r#"{"ProbeInterval": "5s"}"#, 500, &[]),
        ] {
            let found = parse(text, "file").unwrap();
            assert_eq!(found.settings.heartbeat, Duration::from_millis(heartbeat));
            assert_eq!(found.ignored, ignored);
        }
    }

    #[test]
    fn what_makes_no_sense_says_why() {
        for (text, why) in [
            ("", "file is no JSON object: EOF"),
            ("[]", "file is no JSON object: invalid type"),
            (
                r#"{"ProbeInterval": 1000}"#,
                "file: ProbeInterval is 1000, and must be a text such as \"1s\"",
            ),
            (
                r#"{"ProbeInterval": "often"}"#,
                "file: ProbeInterval: time: invalid duration \"often\"",
            ),
            (
                r#"{"ProbeInterval": "-1s"}"#,
                "file: ProbeInterval: time: invalid duration \"-1s\"",
            ),
            (
                r#"{"ProbeInterval": "1ms"}"#,
                "file: ProbeInterval is 1ms, and must be 200ms to 30s",
            ),
        ] {
            let error = parse(text, "file").unwrap_err().to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn without_a_file_there_is_nothing_to_say() {
        assert!(read(Path::new("/does/not/exist")).unwrap().is_none());
    }
}
