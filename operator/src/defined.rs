//! Objects of kinds that a cluster may not have: they are watched while there is a definition of
//! their kind, whoever comes first.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ObjectMeta};
use kube::runtime::watcher;
use kube::{Client, Resource};
use metallb_kit::sleep;
use metallb_kit::watch::{Change, watch_with};
use serde::Deserialize;
use serde_json::Value;

/// What becomes of a definition, and of the objects of its kind.
#[derive(Clone, Debug)]
pub(crate) enum Defined<K> {
    /// Whether the cluster has the definition. Without it there are no objects.
    Definition(bool),
    /// While it has: one of them is new, changed or gone.
    Object(Change<K>),
    /// What there is has been told, as far as it could be.
    Synced,
}

/// A definition, read no further than needed.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = CustomResourceDefinition)]
struct Definition {
    metadata: ObjectMeta,
    #[serde(default)]
    status: Value,
}

struct Watch<K, W> {
    definition: BoxStream<'static, Change<Definition>>,
    /// Starts to watch the objects.
    begin: W,
    /// While there is a definition.
    objects: Option<BoxStream<'static, Change<K>>>,
    /// Until when [`Defined::Synced`] is held back; nothing once it was said.
    patience: Option<Instant>,
}

/// What becomes of the definition `name`, and of the objects that `watch` watches, for ever.
pub(crate) fn while_defined<K, W>(
    client: &Client,
    name: &str,
    watch: W,
) -> BoxStream<'static, Defined<K>>
where
    K: Send + 'static,
    W: Fn() -> BoxStream<'static, Change<K>> + Send + 'static,
{
    let this = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let watch = Watch {
        definition: watch_with(Api::all(client.clone()), this),
        begin: watch,
        objects: None,
        patience: Some(Instant::now() + PATIENCE),
    };
    stream::unfold(watch, |mut watch| async move {
        let news = watch.next().await;
        Some((news, watch))
    })
    .boxed()
}

impl<K, W: Fn() -> BoxStream<'static, Change<K>>> Watch<K, W> {
    async fn next(&mut self) -> Defined<K> {
        loop {
            tokio::select! {
                Some(change) = self.definition.next() => {
                    if let Some(news) = self.define(&change) {
                        return news;
                    }
                }
                Some(change) = next_of(&mut self.objects) => match change {
                    Change::Synced if self.patience.take().is_some() => return Defined::Synced,
                    Change::Synced | Change::Listing => {}
                    change => return Defined::Object(change),
                },
                // Another's definition, and who serves it, must not hold us up.
                () = sleep::until(self.patience) => {
                    self.patience = None;
                    return Defined::Synced;
                }
            }
        }
    }

    fn define(&mut self, change: &Change<Definition>) -> Option<Defined<K>> {
        match change {
            Change::Apply(definition) if is_established(definition) => {
                if self.objects.is_none() {
                    self.objects = Some((self.begin)());
                }
                Some(Defined::Definition(true))
            }
            Change::Apply(_) | Change::Delete(_) => {
                self.objects = None;
                Some(Defined::Definition(false))
            }
            Change::Listing => None,
            Change::Synced => {
                let all = self.objects.is_none() && self.patience.take().is_some();
                all.then_some(Defined::Synced)
            }
        }
    }
}

async fn next_of<K>(changes: &mut Option<BoxStream<'static, Change<K>>>) -> Option<Change<K>> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

fn is_established(definition: &Definition) -> bool {
    let conditions = definition.status["conditions"].as_array();
    let is_it = |it: &Value| it["type"] == "Established" && it["status"] == "True";
    conditions.is_some_and(|all| all.iter().any(is_it))
}

/// How long another's objects may take to come before we go on without.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(established: &str) -> Change<Definition> {
        let definition = json!({
            "metadata": { "name": "a" },
            "status": { "conditions": [{ "type": "Established", "status": established }] },
        });
        Change::Apply(serde_json::from_value(definition).expect("a definition"))
    }

    /// What is told, in words, of a definition to which all this happens while there is one object.
    async fn told(happens: Vec<Change<Definition>>, count: usize) -> Vec<String> {
        let mut watch = Watch {
            definition: stream::iter(happens).chain(stream::pending()).boxed(),
            begin: || {
                let all = stream::iter([Change::Listing, Change::Apply(7), Change::Synced]);
                all.chain(stream::pending()).boxed()
            },
            objects: None,
            patience: Some(Instant::now() + PATIENCE),
        };
        let mut told = Vec::new();
        for _ in 0..count {
            told.push(format!("{:?}", watch.next().await));
        }
        told
    }

    #[tokio::test]
    async fn without_a_definition_all_has_been_told_at_once() {
        let none = vec![Change::Listing, Change::Synced];
        assert_eq!(told(none, 1).await, ["Synced"]);
    }

    #[tokio::test]
    async fn objects_are_told_while_there_is_a_definition() {
        let later = vec![Change::Listing, Change::Synced, definition("True")];
        let there = ["Definition(true)", "Object(Apply(7))"];
        assert_eq!(told(later, 3).await, ["Synced", there[0], there[1]]);
        // It takes a moment until it is in effect.
        let soon = vec![definition("False"), definition("True")];
        let told = told(soon, 4).await;
        assert_eq!(
            told,
            ["Definition(false)", there[0], there[1], "Synced"],
            "all has been told when the objects have"
        );
    }
}
