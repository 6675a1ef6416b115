//! Asks the API server who a bearer token is and what it may do.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};

/// What a token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go ahead.
    Allowed,
    /// The API server does not know the token (401).
    Unknown,
    /// It knows the token's user, by this name, who has not the right (403).
    Denied(String),
}

/// Reviews tokens; remembers each answer for a few seconds, so that scrapers do not double as load
/// on the API server.
#[derive(Debug)]
pub struct Reviewer {
    client: ReviewClient,
    known: Mutex<HashMap<Question, (Instant, Verdict)>>,
}

impl Reviewer {
    /// A reviewer that asks through `client`.
    pub fn new(client: Client) -> Self {
        Self {
            client: ReviewClient(client),
            known: Mutex::default(),
        }
    }

    /// Whether the holder of `token` may do `verb` on the non-resource URL `path`.
    ///
    /// # Errors
    /// The API server could not be asked; this is not remembered.
    pub async fn review(&self, token: &str, path: &str, verb: &str) -> kube::Result<Verdict> {
        let key = Question {
            token: token.to_owned(),
            path: path.to_owned(),
            verb: verb.to_owned(),
        };
        let now = Instant::now();
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|_, (at, _)| now.duration_since(*at) < REMEMBERED);
            if let Some((_, verdict)) = known.get(&key) {
                return Ok(verdict.clone());
            }
        }
        let verdict = self.client.ask(token, path, verb).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever sprays tokens gets no memory for it.
        if known.len() < MAX_REMEMBERED {
            known.insert(key, (now, verdict.clone()));
        }
        Ok(verdict)
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Question {
    token: String,
    path: String,
    verb: String,
}

impl std::fmt::Debug for Question {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.path)
    }
}

struct ReviewClient(Client);

impl std::fmt::Debug for ReviewClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl ReviewClient {
    async fn ask(&self, token: &str, path: &str, verb: &str) -> kube::Result<Verdict> {
        let Some(user) = self.user_of(token).await? else {
            return Ok(Verdict::Unknown);
        };
        let name = user.username.clone().unwrap_or_default();
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                uid: user.uid,
                groups: user.groups,
                extra: user.extra,
                non_resource_attributes: Some(NonResourceAttributes {
                    path: Some(path.to_owned()),
                    verb: Some(verb.to_owned()),
                }),
                resource_attributes: None,
            },
            ..SubjectAccessReview::default()
        };
        let review = Api::all(self.0.clone())
            .create(&PostParams::default(), &review)
            .await?;
        let allowed = review.status.is_some_and(|status| status.allowed);
        Ok(if allowed {
            Verdict::Allowed
        } else {
            Verdict::Denied(name)
        })
    }

    async fn user_of(&self, token: &str) -> kube::Result<Option<UserInfo>> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: None,
            },
            ..TokenReview::default()
        };
        let review = Api::all(self.0.clone())
            .create(&PostParams::default(), &review)
            .await?;
        let status = review.status.unwrap_or_default();
        Ok(status.user.filter(|_| status.authenticated == Some(true)))
    }
}

/// How long an answer holds.
const REMEMBERED: Duration = Duration::from_secs(10);

/// How many answers are held at once.
const MAX_REMEMBERED: usize = 256;
