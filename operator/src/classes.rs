//! The classes of pods that the `MetalLB` object may name. Without its class no pod is made, and of
//! a `DaemonSet` nothing else says so.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{Api, ObjectMeta};
use kube::{Client, Resource};
use metallb_crds::v1beta1::{Config, MetalLBSpec};
use metallb_kit::watch::{Change, watch};
use serde::Deserialize;

/// One of both kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Priority,
    Runtime,
}

/// What classes there are, as far as that is known.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    priority: Known,
    runtime: Known,
}

#[derive(Debug, Default)]
struct Known {
    names: BTreeSet<String>,
    synced: bool,
}

/// No more of it than its name.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = PriorityClass)]
struct PriorityName {
    metadata: ObjectMeta,
}

/// No more of it than its name.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = RuntimeClass)]
struct RuntimeName {
    metadata: ObjectMeta,
}

/// Names of classes, for ever.
pub(crate) fn news(client: &Client) -> BoxStream<'static, (Class, Change<String>)> {
    let priority = watch(Api::<PriorityName>::all(client.clone())).map(|change| {
        (
            Class::Priority,
            named(change, |it| it.metadata.name.as_ref()),
        )
    });
    let runtime = watch(Api::<RuntimeName>::all(client.clone())).map(|change| {
        (
            Class::Runtime,
            named(change, |it| it.metadata.name.as_ref()),
        )
    });
    stream::select(priority, runtime).boxed()
}

fn named<K>(change: Change<K>, name: impl Fn(&K) -> Option<&String>) -> Change<String> {
    match change {
        Change::Apply(object) => Change::Apply(name(&object).cloned().unwrap_or_default()),
        Change::Delete(key) => Change::Delete(key),
        Change::Listing => Change::Listing,
        Change::Synced => Change::Synced,
    }
}

impl Classes {
    pub(crate) fn handle(&mut self, class: Class, change: Change<String>) {
        let known = match class {
            Class::Priority => &mut self.priority,
            Class::Runtime => &mut self.runtime,
        };
        match change {
            Change::Apply(name) => drop(known.names.insert(name)),
            Change::Delete(key) => drop(known.names.remove(key.name())),
            Change::Listing => {}
            Change::Synced => known.synced = true,
        }
    }

    /// A line for each class that `spec` names and that there is not.
    pub(crate) fn missing(&self, spec: &MetalLBSpec) -> Vec<String> {
        let (controller, speaker) = (&spec.controller_config, &spec.speaker_config);
        let configs = [
            ("controllerConfig", controller.as_ref().map(|it| &it.pods)),
            ("speakerConfig", speaker.as_ref().map(|it| &it.pods)),
        ];
        let configs = configs
            .into_iter()
            .filter_map(|(field, it)| Some((field, it?)));
        let named = configs.flat_map(
            |(
                field,
                Config {
                    priority_class_name,
                    runtime_class_name,
                    ..
                },
            )| {
                [
                    (
                        field,
                        "priorityClassName",
                        "PriorityClass",
                        priority_class_name,
                        &self.priority,
                    ),
                    (
                        field,
                        "runtimeClassName",
                        "RuntimeClass",
                        runtime_class_name,
                        &self.runtime,
                    ),
                ]
            },
        );
        named
            .filter_map(|(config, field, kind, name, known)| {
                let name = name.as_deref().filter(|it| !it.is_empty())?;
                let is_missing = known.synced && !known.names.contains(name);
                is_missing.then(|| {
                    format!(
                        "{config}.{field} is {name}, and there is no {kind} of this name: no pod \
                         is made. Create it, or name another"
                    )
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use metallb_kit::watch::ObjectKey;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_class_that_is_named_and_not_there_is_told_of() {
        let spec: MetalLBSpec = serde_json::from_value(json!({
            "controllerConfig": { "priorityClassName": "high" },
            "speakerConfig": { "priorityClassName": "highest", "runtimeClassName": "kata" },
        }))
        .expect("a spec");
        let mut classes = Classes::default();
        assert_eq!(classes.missing(&spec), [""; 0], "nothing is known");
        for name in ["high", "highest"] {
            classes.handle(Class::Priority, Change::Apply(name.to_owned()));
        }
        classes.handle(Class::Priority, Change::Synced);
        classes.handle(Class::Runtime, Change::Synced);
        let missing = classes.missing(&spec);
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert!(
            missing[0].starts_with("speakerConfig.runtimeClassName is kata, "),
            "{missing:?}"
        );
        classes.handle(Class::Runtime, Change::Apply("kata".to_owned()));
        assert_eq!(classes.missing(&spec), [""; 0]);
        classes.handle(Class::Priority, Change::Delete(ObjectKey::new("", "high")));
        let missing = classes.missing(&spec);
        assert!(
            missing[0].starts_with("controllerConfig.priorityClassName is high, "),
            "{missing:?}"
        );
        assert_eq!(classes.missing(&MetalLBSpec::default()), [""; 0]);
    }
}
