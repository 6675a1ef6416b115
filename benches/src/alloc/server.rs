//! What the API server itself counts.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use kube::Client;

/// How often each kind of write was asked for, such as `PUT services/status`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Writes(BTreeMap<String, u64>);

impl Writes {
    /// Since the server's start, from `apiserver_request_total`.
    pub(crate) async fn read(client: &Client) -> Result<Self> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = client
            .request_text(request)
            .await
            .context("the API server's metrics")?;
        Ok(Self::parse(&text))
    }

    /// What came in between.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let difference = self.0.iter().filter_map(|(what, count)| {
            let more = count - before.0.get(what).unwrap_or(&0);
            (more > 0).then(|| (what.clone(), more))
        });
        Self(difference.collect())
    }

    /// How many there were of what begins like this.
    pub(crate) fn count(&self, verbs: &[&str], resource: &str) -> u64 {
        verbs
            .iter()
            .filter_map(|verb| self.0.get(&format!("{verb} {resource}")))
            .sum()
    }

    /// For the raw numbers.
    pub(crate) fn all(&self) -> &BTreeMap<String, u64> {
        &self.0
    }

    fn parse(metrics: &str) -> Self {
        let mut writes = BTreeMap::new();
        for line in metrics.lines() {
            let Some(rest) = line.strip_prefix("apiserver_request_total{") else {
                continue;
            };
            let Some((labels, value)) = rest.rsplit_once("} ") else {
                continue;
            };
            let label = |name: &str| {
                let start = labels.find(&format!("{name}=\""))? + name.len() + 2;
                labels[start..].split('"').next()
            };
            let (Some(verb), Some(resource)) = (label("verb"), label(",resource")) else {
                continue;
            };
            if !matches!(verb, "POST" | "PUT" | "PATCH" | "APPLY" | "DELETE") {
                continue;
            }
            let subresource = label("subresource").filter(|name| !name.is_empty());
            let what = match subresource {
                Some(subresource) => format!("{verb} {resource}/{subresource}"),
                None => format!("{verb} {resource}"),
            };
            // A refused write was asked for too.
            *writes.entry(what).or_insert(0) += value.parse::<f64>().map_or(0, whole);
        }
        Self(writes)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counters are whole and not negative"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_counted_by_verb_and_resource() {
        let text = "\
# TYPE apiserver_request_total counter
apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"services\",scope=\"resource\",subresource=\"status\",verb=\"PUT\",version=\"v1\"} 12
apiserver_request_total{code=\"409\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"services\",scope=\"resource\",subresource=\"status\",verb=\"PUT\",version=\"v1\"} 3
apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"services\",scope=\"cluster\",subresource=\"\",verb=\"WATCH\",version=\"v1\"} 7
apiserver_request_total{code=\"201\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"events\",scope=\"resource\",subresource=\"\",verb=\"POST\",version=\"v1\"} 5e+01
";
        let writes = Writes::parse(text);
        assert_eq!(writes.count(&["PUT", "PATCH"], "services/status"), 15);
        assert_eq!(writes.count(&["POST"], "events"), 50);
        let more = writes.since(&Writes::parse(&text.replace("} 12", "} 2")));
        assert_eq!(more.all().len(), 1);
        assert_eq!(more.count(&["PUT"], "services/status"), 10);
    }
}
