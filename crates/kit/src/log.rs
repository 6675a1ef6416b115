//! Logs as upstream writes them: one JSON object per line on stdout with the keys `ts`, `level`,
//! `caller` and `msg`, then the event's own fields.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::LogLevel;
use crate::words::in_words;

/// Starts logging at `level`, for the whole process. Libraries that talk a lot (the Kubernetes
/// client, HTTP, TLS) are heard from `warn` on. A second call does nothing.
pub fn init(level: LogLevel) {
    let filter = Targets::new().with_default(filter_of(level));
    let ceiling = filter_of(level).min(LevelFilter::WARN);
    let filter = NOISY.iter().fold(filter, |filter, target| {
        filter.with_target(*target, ceiling)
    });
    // It says at error level, without details, what its caller then tells with them.
    let filter = filter.with_target("kube_client::client::builder", LevelFilter::OFF);
    // An error here says that a subscriber is set already.
    let _ = tracing_subscriber::registry()
        .with(JsonLines.with_filter(filter))
        .try_init();
}

/// Writes each event as a line of JSON.
#[derive(Debug)]
struct JsonLines;

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = line(event, jiff::Timestamp::now());
        // Nobody is left to tell when stdout is gone.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }
}

/// Collects the fields of an event in the order they were written.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl Fields {
    fn insert(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        self.rest.insert(name.to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.insert(field, format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.insert(field, value.into());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.insert(field, in_words(value).into());
    }
}

fn line(event: &Event<'_>, now: jiff::Timestamp) -> String {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let mut line = format!(
        r#"{{"ts":"{now:.3}","level":"{}","caller":{},"msg":{}"#,
        level_name(*event.metadata().level()),
        Value::from(caller(event.metadata())),
        Value::from(fields.message),
    );
    for (key, value) in fields.rest {
        let _ = write!(line, ",{}:{value}", Value::from(key));
    }
    line.push_str("}\n");
    line
}

/// `file.rs:12`, without the folders, as go-kit prints it.
fn caller(metadata: &Metadata<'_>) -> String {
    let file = metadata.file().unwrap_or("unknown");
    let file = file.rsplit('/').next().unwrap_or(file);
    format!("{file}:{}", metadata.line().unwrap_or(0))
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::All | LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::None => LevelFilter::OFF,
    }
}

/// Libraries whose info and debug output is about themselves.
const NOISY: [&str; 8] = [
    "kube",
    "kube_client",
    "kube_runtime",
    "hyper",
    "hyper_util",
    "rustls",
    "tower",
    "netlink",
];

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    struct Capture(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Capture {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0
                .lock()
                .unwrap()
                .push(line(event, jiff::Timestamp::UNIX_EPOCH));
        }
    }

    fn lines(logs: impl FnOnce()) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::registry().with(Capture(lines.clone()));
        tracing::subscriber::with_default(subscriber, logs);
        lines.lock().unwrap().clone()
    }

    #[test]
    fn a_line_has_upstreams_keys_and_the_fields() {
        let lines = lines(|| {
            let error = std::io::Error::other("no \"route\"");
            tracing::warn!(
                op = "assign",
                count = 3,
                error = &error as &dyn std::error::Error,
                "line\nbreak"
            );
        });
        let value: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(value["ts"], "1970-01-01T00:00:00.000Z");
        assert_eq!(value["level"], "warn");
        assert!(value["caller"].as_str().unwrap().starts_with("log.rs:"));
        assert_eq!(value["msg"], "line\nbreak");
        assert_eq!(value["op"], "assign");
        assert_eq!(value["count"], 3);
        assert_eq!(value["error"], "no \"route\"");
        assert_eq!(lines[0].matches('\n').count(), 1, "one event, one line");
    }
}
