//! Which requests get a made-up answer, and what that answer says.

use std::fmt;

use hyper::Method;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One kind of wrong answer, and the requests that get it.
///
/// A field that is not given matches everything. Rules are tried in the order in which they were
/// set; the first that fits answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub struct Rule {
    /// The HTTP status to answer with, 400 to 599.
    ///
    /// 410 to a watch is given as the API server gives it: 200, then one ERROR event.
    #[arg(long, value_parser = clap::value_parser!(u16).range(400..600))]
    pub status: u16,
    /// Which requests.
    #[serde(flatten)]
    #[command(flatten)]
    pub of: Requests,
    /// How many in a hundred of the matching requests.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub percent: u8,
    /// After this many answers the rule rests.
    #[arg(long)]
    pub count: Option<u64>,
}

/// Requests by what their first lines say. A field that is not given matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, clap::Args)]
pub struct Requests {
    /// Only requests with this method, such as PUT.
    #[arg(long)]
    pub method: Option<String>,
    /// Only requests whose path with its query contains this text, such as `/status` or `watch=true`.
    #[arg(long)]
    pub path: Option<String>,
    /// Only clients whose User-Agent contains this text.
    #[arg(long)]
    pub user_agent: Option<String>,
}

impl Rule {
    /// Answers every request with `status`.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            of: Requests::default(),
            percent: 100,
            count: None,
        }
    }

    /// Narrows the rule to one method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.of.method = Some(method.to_owned());
        self
    }

    /// Narrows the rule to paths (with query) that contain `text`.
    #[must_use]
    pub fn path(mut self, text: &str) -> Self {
        self.of.path = Some(text.to_owned());
        self
    }

    /// Narrows the rule to clients whose User-Agent contains `text`.
    #[must_use]
    pub fn user_agent(mut self, text: &str) -> Self {
        self.of.user_agent = Some(text.to_owned());
        self
    }

    /// Lets the rule rest after `count` answers.
    #[must_use]
    pub fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Hits only `percent` in a hundred of the matching requests.
    #[must_use]
    pub fn percent(mut self, percent: u8) -> Self {
        self.percent = percent;
        self
    }
}

impl Requests {
    pub(crate) fn matches(&self, request: &Parts) -> bool {
        let holds = |wanted: &Option<String>, seen: &str| {
            wanted.as_deref().is_none_or(|text| seen.contains(text))
        };
        let path = request
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let agent = request
            .headers
            .get(USER_AGENT)
            .and_then(|agent| agent.to_str().ok());
        self.method
            .as_deref()
            .is_none_or(|m| m.eq_ignore_ascii_case(request.method.as_str()))
            && holds(&self.path, path)
            && holds(&self.user_agent, agent.unwrap_or_default())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        write!(f, "{}", self.of)?;
        if self.percent < 100 {
            write!(f, ", {} %", self.percent)?;
        }
        if let Some(count) = self.count {
            write!(f, ", at most {count}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = &self.method {
            write!(f, " to {method}")?;
        }
        if let Some(path) = &self.path {
            write!(f, " at {path}")?;
        }
        if let Some(agent) = &self.user_agent {
            write!(f, " from {agent}")?;
        }
        Ok(())
    }
}

/// A rule and what it has done so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The rule.
    pub rule: Rule,
    /// Requests that fitted it.
    pub matched: u64,
    /// Requests that it answered.
    pub answered: u64,
}

/// The rules in force, in the order in which they were set.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<Tally>);

impl Rules {
    pub(crate) fn set(&mut self, rule: Rule) {
        self.0.push(Tally {
            rule,
            matched: 0,
            answered: 0,
        });
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn tallies(&self) -> &[Tally] {
        &self.0
    }

    /// The made-up answer to `request`, if a rule has one for it.
    pub(crate) fn answer(&mut self, request: &Parts) -> Option<Response<String>> {
        for tally in &mut self.0 {
            let rested = tally
                .rule
                .count
                .is_some_and(|count| tally.answered >= count);
            if rested || !tally.rule.of.matches(request) {
                continue;
            }
            tally.matched += 1;
            if scatter(tally.matched) < u64::from(tally.rule.percent) {
                tally.answered += 1;
                return Some(fault(tally.rule.status, request));
            }
        }
        None
    }
}

/// What the API server would write when it refuses `request` with `status`.
fn fault(status: u16, request: &Parts) -> Response<String> {
    let body = status_object(status, request);
    let response = Response::builder().header(CONTENT_TYPE, "application/json");
    if status == 410 && is_watch(request) {
        let event = json!({ "type": "ERROR", "object": body });
        return response
            .body(format!("{event}\n"))
            .expect("no header is made from input");
    }
    let response = if status == 429 {
        response.header(RETRY_AFTER, "1")
    } else {
        response
    };
    response
        .status(StatusCode::from_u16(status).expect("a rule's status is within 400 to 599"))
        .body(body.to_string())
        .expect("no header is made from input")
}

pub(crate) fn is_watch(request: &Parts) -> bool {
    let on = |pair: &str| matches!(pair, "watch=true" | "watch=1" | "watch");
    request.method == Method::GET && request.uri.query().is_some_and(|q| q.split('&').any(on))
}

fn status_object(status: u16, request: &Parts) -> Value {
    let path = request.uri.path();
    let (reason, message) = match status {
        400 => ("BadRequest", "the request was refused by a test".to_owned()),
        401 => ("Unauthorized", "Unauthorized".to_owned()),
        403 => (
            "Forbidden",
            format!("{path} is forbidden: refused by a test"),
        ),
        404 => ("NotFound", format!("{path} not found")),
        409 => (
            "Conflict",
            format!(
                "Operation cannot be fulfilled on {path}: the object has been modified; please \
                 apply your changes to the latest version and try again"
            ),
        ),
        410 => ("Expired", "too old resource version: 1 (2)".to_owned()),
        429 => (
            "TooManyRequests",
            "too many requests, please try again later".to_owned(),
        ),
        500 => (
            "InternalError",
            "Internal error occurred: made up by a test".to_owned(),
        ),
        503 => (
            "ServiceUnavailable",
            "the server is currently unable to handle it".to_owned(),
        ),
        504 => (
            "Timeout",
            "request did not complete within the requested timeout".to_owned(),
        ),
        _ => ("Unknown", format!("answered {status} by a test")),
    };
    let details = match status {
        429 => json!({ "retryAfterSeconds": 1 }),
        500 => json!({ "causes": [{ "message": "made up by a test" }] }),
        _ => json!({}),
    };
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": status,
    })
}

/// A number below 100 for the `n`th request: spread like chance, and the same in each run.
fn scatter(n: u64) -> u64 {
    // The finaliser of SplitMix64.
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % 100
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn request(method: &str, path: &str) -> Parts {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(USER_AGENT, "speaker/0.1")
            .body(())
            .unwrap();
        request.into_parts().0
    }

    fn rules(rule: Rule) -> Rules {
        let mut rules = Rules::default();
        rules.set(rule);
        rules
    }

    #[test]
    fn a_rule_takes_only_what_it_names() {
        let rule = Rule::status(409)
            .method("put")
            .path("/status")
            .user_agent("speaker");
        let cases = [
            ("PUT", "/api/v1/namespaces/x/services/y/status", true),
            ("PATCH", "/api/v1/namespaces/x/services/y/status", false),
            ("PUT", "/api/v1/namespaces/x/services/y", false),
        ];
        for (method, path, expected) in cases {
            let answer = rules(rule.clone()).answer(&request(method, path));
            assert_eq!(answer.is_some(), expected, "{method} {path}");
        }
        let stranger = rule.user_agent("kubelet");
        assert!(
            rules(stranger)
                .answer(&request("PUT", "/api/v1/status"))
                .is_none()
        );
    }

    #[test]
    fn a_counted_rule_rests_and_the_next_one_gets_its_turn() {
        let mut rules = rules(Rule::status(500).count(2));
        rules.set(Rule::status(429).count(1));
        let seen: Vec<_> = (0..4)
            .map(|_| {
                rules
                    .answer(&request("GET", "/api"))
                    .map(|a| a.status().as_u16())
            })
            .collect();
        assert_eq!(seen, [Some(500), Some(500), Some(429), None]);
        assert_eq!(rules.tallies()[0].answered, 2);
    }

    #[test]
    fn percent_is_about_that_many() {
        let mut rules = rules(Rule::status(500).percent(30));
        let hits = (0..1000)
            .filter(|_| rules.answer(&request("GET", "/")).is_some())
            .count();
        assert!((250..350).contains(&hits), "{hits} of 1000");
    }

    #[test]
    fn answers_are_those_of_an_api_server() {
        let cases = [
            (409, "Conflict"),
            (410, "Expired"),
            (429, "TooManyRequests"),
            (500, "InternalError"),
        ];
        for (status, reason) in cases {
            let answer = rules(Rule::status(status)).answer(&request("GET", "/api/v1/pods"));
            let answer = answer.unwrap();
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(answer.headers().contains_key(RETRY_AFTER), status == 429);
            let body: Value = serde_json::from_str(answer.body()).unwrap();
            assert_eq!(
                (&body["kind"], &body["status"]),
                (&json!("Status"), &json!("Failure"))
            );
            assert_eq!(
                (&body["reason"], &body["code"]),
                (&json!(reason), &json!(status))
            );
        }
    }

    #[test]
    fn a_watch_that_is_too_old_gets_an_error_event() {
        let watch = request("GET", "/api/v1/pods?resourceVersion=1&watch=true");
        let answer = rules(Rule::status(410)).answer(&watch).unwrap();
        assert_eq!(answer.status(), 200);
        let event: Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!(
            (&event["type"], &event["object"]["code"]),
            (&json!("ERROR"), &json!(410))
        );
    }
}
