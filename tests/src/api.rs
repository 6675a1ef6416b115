//! Requests to the API server as administrator, as they are, with all that it answers. A kubectl
//! takes ten times as long to start, which matters to a loop that waits and to a long table.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{cluster::Cluster, process};

/// What the API server answered to one request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status: 2xx when it did what was asked.
    pub status: u16,
    /// What it warns of, as `kubectl` prints it.
    pub warnings: Vec<String>,
    /// The object, or a `Status` that says what is wrong.
    pub body: Value,
}

impl Answer {
    /// Whether it did what was asked.
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What is wrong; nothing where nothing is.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// The object; what is wrong is the error.
    pub fn object(self) -> Result<Value> {
        ensure!(self.is_ok(), "HTTP {}: {}", self.status, self.body);
        Ok(self.body)
    }

    /// Headers and body as curl prints them with `--include`.
    fn read(text: &str) -> Result<Self> {
        let (head, body) = text.split_once("\r\n\r\n").context("no end of headers")?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|number| number.parse().ok());
        // `warning: 299 - "text"`
        let warning = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let text = value.trim().strip_prefix("299 - \"")?.strip_suffix('"')?;
            name.eq_ignore_ascii_case("warning")
                .then(|| text.replace("\\\"", "\""))
        };
        Ok(Self {
            status: status.with_context(|| format!("no HTTP status in {head}"))?,
            warnings: lines.filter_map(warning).collect(),
            body: serde_json::from_str(body).with_context(|| format!("no JSON: {body}"))?,
        })
    }
}

impl Cluster {
    /// What the API server answers to a GET of `path`.
    pub fn get(&self, path: &str) -> Result<Value> {
        let text = self.get_text(path)?;
        serde_json::from_str(&text).with_context(|| format!("{path} is no JSON"))
    }

    /// What the API server answers to any request, a refusal too.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut curl = self.curl(path);
        curl.args(["--include", "--request", method]);
        let text = match body {
            None => process::run(&mut curl),
            Some(body) => {
                // Without Expect there is one answer, not a 100 before it.
                let headers = ["Content-Type: application/json", "Expect:"];
                curl.args(headers.iter().flat_map(|header| ["--header", *header]));
                curl.args(["--data-binary", "@-"]);
                process::feed(&mut curl, &body.to_string())
            }
        }?;
        Answer::read(&text).with_context(|| format!("{method} {path}"))
    }

    /// The body of the API server's answer to a GET.
    pub(crate) fn get_text(&self, path: &str) -> Result<String> {
        process::run(self.curl(path).arg("--fail-with-body"))
    }

    fn curl(&self, path: &str) -> Command {
        let pki = self.files.pki();
        let mut curl = Command::new("curl");
        // The API server gives up after a minute itself, such as where it deletes a thousand at once.
        curl.args(["--silent", "--show-error", "--max-time", "60"])
            .arg("--cacert")
            .arg(pki.join("ca.crt"))
            .arg("--cert")
            .arg(pki.join("admin.crt"))
            .arg("--key")
            .arg(pki.join("admin.key"))
            .arg(format!("https://127.0.0.1:{}{path}", self.state.api_port));
        curl
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_with_its_warnings() {
        let answer = Answer::read(
            "HTTP/2 403 \r\ncontent-type: application/json\r\nwarning: 299 - \"say \\\"no\\\"\"\r\n\
             Warning: 299 - \"twice\"\r\n\r\n{\"kind\":\"Status\",\"message\":\"denied\"}",
        );
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.message()), (403, "denied"));
        assert_eq!(answer.warnings, ["say \"no\"", "twice"]);
        assert!(!answer.is_ok());
        answer.object().unwrap_err();
        Answer::read("HTTP/2 200 \r\n\r\n<html>").unwrap_err();
    }
}
