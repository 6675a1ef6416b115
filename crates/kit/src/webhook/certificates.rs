//! Keeps the certificates of a webhook server, as `metallb-certs` decides: reads the Secret and the
//! places that name us, serves, injects, renews.
//!
//! Every replica does this; none needs to lead. Needs the rights to get, watch and patch the Secret
//! and, unless somebody else makes it, to create it; to watch and patch the places; and for a
//! [`Registration`](super::Registration) to call the Service through the API server.

mod places;

use std::time::Duration;

use futures::FutureExt as _;
use futures::stream::{self, BoxStream, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use metallb_certs::{Decision, Keeper, Stored};
use prometheus::{IntGaugeVec, Opts};
use serde_json::{Value, json};

use super::place::{Place, Service};
use crate::metrics::Metrics;
use crate::ready::Condition;
use crate::shutdown::CancellationToken;
use crate::tls::Certificate;
use crate::watch::{Change, watch_with};
use crate::words::in_words;

/// Whose certificates these are, and where they are known.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the API server calls.
    pub service: Service,
    /// The Secret, in the Service's namespace.
    pub secret: String,
    /// Where the API server is told of us.
    pub places: Vec<Place>,
}

/// Starts to keep certificates, until `shutdown`. Returns what to serve; it is pending at first,
/// and `ready` is met once there is something.
pub fn keep(
    client: &Client,
    settings: Settings,
    metrics: &Metrics,
    ready: Condition,
    shutdown: CancellationToken,
) -> Certificate {
    let certificate = Certificate::pending();
    let Service { namespace, name } = &settings.service;
    let shell = Shell {
        secrets: Api::namespaced(client.clone(), namespace),
        keeper: Keeper::new(format!("{name}.{namespace}.svc")),
        seen: vec![None; settings.places.len()],
        expiry: metrics.add(IntGaugeVec::new(
            Opts::new(EXPIRY.0, EXPIRY.1),
            &["certificate"],
        )),
        client: client.clone(),
        certificate: certificate.clone(),
        settings,
        ready,
    };
    tokio::spawn(async move {
        shutdown.run_until_cancelled(shell.run()).await;
    });
    certificate
}

struct Shell {
    client: Client,
    secrets: Api<Secret>,
    settings: Settings,
    keeper: Keeper,
    /// Each place as it was seen last, if it exists.
    seen: Vec<Option<DynamicObject>>,
    certificate: Certificate,
    ready: Condition,
    expiry: IntGaugeVec,
}

/// Something that calls for another look.
enum News {
    Secret,
    Place(usize, Option<Box<DynamicObject>>),
    Listing,
    Synced(usize),
}

/// When to look again.
enum Again {
    /// Something was written that changes what is to be done.
    AtOnce,
    /// A request failed.
    Soon,
    At(Timestamp),
}

impl Shell {
    async fn run(mut self) {
        let mut news = self.news();
        // Places that have not told yet whether they exist.
        let mut missing: Vec<usize> = (0..self.settings.places.len()).collect();
        let mut wait = Duration::ZERO;
        loop {
            let first = tokio::select! {
                news = news.next() => news,
                () = tokio::time::sleep(wait), if missing.is_empty() => None,
            };
            let at_hand = std::iter::from_fn(|| news.next().now_or_never().flatten());
            for news in first.into_iter().chain(at_hand) {
                match news {
                    News::Secret | News::Listing => {}
                    News::Place(nth, object) => self.seen[nth] = object.map(|it| *it),
                    News::Synced(nth) => missing.retain(|&it| it != nth),
                }
            }
            if missing.is_empty() {
                wait = self.look().await;
            }
        }
    }

    fn news(&self) -> BoxStream<'static, News> {
        let named =
            |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let secret = watch_with(self.secrets.clone(), named(&self.settings.secret));
        let mut all = stream::SelectAll::new();
        all.push(secret.map(|_| News::Secret).boxed());
        for (nth, place) in self.settings.places.iter().enumerate() {
            let changes = watch_with(self.place(place), named(place.name()));
            let news = changes.map(move |change| match change {
                Change::Apply(object) => News::Place(nth, Some(Box::new(object))),
                Change::Delete(_) => News::Place(nth, None),
                Change::Listing => News::Listing,
                Change::Synced => News::Synced(nth),
            });
            all.push(news.boxed());
        }
        all.boxed()
    }

    /// Does what is to be done now. Returns how long to wait for news before the next look.
    async fn look(&mut self) -> Duration {
        for _ in 0..ROUNDS {
            let again = tokio::time::timeout(LOOK, self.round()).await;
            match again {
                Ok(Again::AtOnce) => {}
                Ok(Again::At(at)) => {
                    return at.duration_since(Timestamp::now()).unsigned_abs();
                }
                Ok(Again::Soon) => return RETRY,
                Err(_) => {
                    tracing::warn!("no answer about the webhooks' certificates");
                    return RETRY;
                }
            }
        }
        RETRY
    }

    async fn round(&mut self) -> Again {
        let secret = match self.secrets.get_opt(&self.settings.secret).await {
            Ok(secret) => secret,
            Err(error) => return self.failed("cannot read the webhooks' Secret", &error),
        };
        let stored = stored(secret.as_ref());
        // The places as they were seen before the Secret was read.
        let bundles = self.bundles();
        let flat: Vec<&[u8]> = bundles.iter().flatten().map(Vec::as_slice).collect();
        let now = Timestamp::now();
        let decision = self.keeper.decide(now, &stored, &flat);
        self.serve(&decision);
        let injected = self.inject(&decision, &bundles).await;
        if let Some(renewal) = &decision.renewal {
            tracing::info!(secret = self.settings.secret, %renewal, "renewing certificates");
            let made = renewal.make(now, self.keeper.dns_name());
            return match made {
                Ok(made) => self.store(secret.as_ref(), &made).await,
                Err(error) => self.failed("cannot make certificates", &error),
            };
        }
        let (Ok(()), Ok(())) = (injected, self.register(&decision).await) else {
            return Again::Soon;
        };
        Again::At(decision.again)
    }

    fn serve(&mut self, decision: &Decision) {
        let Some(serve) = &decision.serve else {
            return;
        };
        if let Err(error) = self.certificate.present(&serve.chain, &serve.key) {
            tracing::warn!(%error, "certificate not used");
            return;
        }
        self.ready.set(true);
        for (label, at) in [
            ("server", decision.server_expires),
            ("ca", decision.authority_expires),
        ] {
            let expiry = self.expiry.with_label_values(&[label]);
            expiry.set(at.map_or(0, Timestamp::as_second));
        }
    }

    /// The bundles in each place.
    fn bundles(&self) -> Vec<Vec<Vec<u8>>> {
        let places = self.settings.places.iter().zip(&self.seen);
        places
            .map(|(place, seen)| {
                let object = seen.as_ref().map(|it| &it.data);
                object.map_or_else(Vec::new, |object| {
                    place.bundles(object, &self.settings.service)
                })
            })
            .collect()
    }

    /// Writes the Secret, provided that it still is as it was read.
    async fn store(&self, secret: Option<&Secret>, made: &Stored) -> Again {
        let data: serde_json::Map<String, Value> = made
            .texts()
            .into_iter()
            .map(|(key, text)| (key.to_owned(), json!(ByteString(text.to_vec()))))
            .collect();
        let name = &self.settings.secret;
        let written = match secret {
            None => {
                let secret =
                    json!({ "metadata": { "name": name }, "type": "Opaque", "data": data });
                let secret = serde_json::from_value(secret).expect("it is a Secret");
                let params = PostParams {
                    field_manager: Some(FIELD_OWNER.to_owned()),
                    ..PostParams::default()
                };
                self.secrets.create(&params, &secret).await
            }
            Some(secret) => {
                let patch = json!({
                    "metadata": { "resourceVersion": secret.resource_version() },
                    "data": data,
                });
                let params = PatchParams {
                    field_manager: Some(FIELD_OWNER.to_owned()),
                    ..PatchParams::default()
                };
                self.secrets
                    .patch(name, &params, &Patch::Merge(patch))
                    .await
            }
        };
        match written {
            Ok(_) => Again::AtOnce,
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Again::AtOnce,
            Err(kube::Error::Api(status)) if status.code == 403 && secret.is_none() => {
                tracing::info!(secret = name, "waiting for the Secret, which others make");
                Again::Soon
            }
            Err(error) => self.failed("cannot write the webhooks' Secret", &error),
        }
    }

    fn failed(&self, what: &str, error: &(dyn std::error::Error + 'static)) -> Again {
        tracing::warn!(
            secret = self.settings.secret,
            error = in_words(error),
            "{what}"
        );
        Again::Soon
    }
}

fn stored(secret: Option<&Secret>) -> Stored {
    let data = secret.and_then(|secret| secret.data.as_ref());
    Stored::read(|key| Some(data?.get(key)?.0.as_slice()))
}

/// The name under which upstream's library writes, so that ours takes over what it wrote.
const FIELD_OWNER: &str = "MetalLB";
/// How often to go on at once, when writes of ours or of other replicas call for it.
const ROUNDS: usize = 5;
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(30);
/// After a request that failed.
const RETRY: Duration = Duration::from_secs(2);
/// Name and help of the metric.
const EXPIRY: (&str, &str) = (
    "metallb_webhook_certificate_expiration_timestamp_seconds",
    "When the webhooks' certificate expires, in seconds since the epoch; 0 when there is none that is of use.",
);

#[cfg(test)]
mod tests;
