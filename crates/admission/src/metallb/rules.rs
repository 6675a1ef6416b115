//! The rules for a `MetalLB` object that its schema cannot say. The words are upstream's, where
//! upstream has the field.

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Affinity, Toleration};
use metallb_crds::v1beta1::{Config, MetalLBSpec};
use regex::Regex;
use thiserror::Error;

/// The first rule that a `MetalLB` object breaks.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Invalid {
    /// A toleration of the controller's ends, and is of no effect that can end.
    #[error("ControllerToleration effect must be NoExecute when tolerationSeconds is set")]
    ControllerToleration,
    /// The same, of the speakers'.
    #[error("SpeakerToleration effect must be NoExecute when tolerationSeconds is set")]
    SpeakerToleration,
    /// A preferred term with a weight that is not 1 to 100.
    #[error("{config} {affinity} set with invalid weight for preferred scheduling term")]
    Weight {
        /// `SpeakerConfig` or `ControllerConfig`.
        config: &'static str,
        /// `NodeAffinity` or `PodAffinity`.
        affinity: &'static str,
    },
    /// A backend that there is not.
    #[error("invalid BGP Backend, must be one of native, frr, frr-k8s, frr-k8s-external")]
    BgpBackend,
    /// Nobody says where the FRR-K8s of somebody else is.
    #[error("bgp backend: frrk8s external and no default or user provided namespace")]
    NoFrrK8sNamespace,
    /// This is no network.
    #[error("invalid CIDR {0} in AlwaysBlock")]
    AlwaysBlock(String),
    /// A label that says which pods belong to a workload.
    #[error("{config}: labels app and component are what the pods are found by")]
    Label {
        /// `SpeakerConfig` or `ControllerConfig`.
        config: &'static str,
    },
    /// This is no regular expression.
    #[error("invalid regular expression {0:?} in ExcludeInterfaces")]
    ExcludeInterfaces(String),
}

/// Checks `spec` in upstream's order; `frr_k8s_namespace` is the operator's default for it.
///
/// # Errors
/// The first rule that is broken.
pub fn validate(spec: &MetalLBSpec, frr_k8s_namespace: Option<&str>) -> Result<(), Invalid> {
    if spec
        .controller_tolerations
        .iter()
        .any(is_timed_but_not_no_execute)
    {
        return Err(Invalid::ControllerToleration);
    }
    if spec
        .speaker_tolerations
        .iter()
        .any(is_timed_but_not_no_execute)
    {
        return Err(Invalid::SpeakerToleration);
    }
    let speaker = spec.speaker_config.as_ref();
    let configs = [
        ("SpeakerConfig", speaker.map(|it| &it.pods)),
        (
            "ControllerConfig",
            spec.controller_config.as_ref().map(|it| &it.pods),
        ),
    ];
    for (name, config) in configs {
        weights(name, config)?;
    }

    let backend = spec.bgp_backend.as_deref().unwrap_or_default();
    if !matches!(
        backend,
        "" | "native" | "frr" | "frr-k8s" | "frr-k8s-external"
    ) {
        return Err(Invalid::BgpBackend);
    }
    let frr_k8s = spec.frrk8s_config.as_ref();
    let named = frr_k8s
        .and_then(|config| config.namespace.as_deref())
        .or(frr_k8s_namespace);
    if backend == "frr-k8s-external" && named.unwrap_or_default().is_empty() {
        return Err(Invalid::NoFrrK8sNamespace);
    }
    for cidr in frr_k8s.iter().flat_map(|config| &config.always_block) {
        if cidr.trim().parse::<IpNet>().is_err() {
            return Err(Invalid::AlwaysBlock(cidr.clone()));
        }
    }
    // What upstream does not have comes last, so that its words come first.
    for (config, pods) in configs {
        let labels = pods.map(|it| &it.labels);
        if labels.is_some_and(|it| it.contains_key("app") || it.contains_key("component")) {
            return Err(Invalid::Label { config });
        }
    }
    let excluded = speaker.and_then(|it| it.exclude_interfaces.as_ref());
    for expression in excluded.into_iter().flatten() {
        if Regex::new(expression).is_err() {
            return Err(Invalid::ExcludeInterfaces(expression.clone()));
        }
    }
    Ok(())
}

fn is_timed_but_not_no_execute(toleration: &Toleration) -> bool {
    toleration
        .toleration_seconds
        .is_some_and(|seconds| seconds > 0)
        && toleration.effect.as_deref() != Some("NoExecute")
}

/// Weights of preferred terms are 1 to 100. Anti-affinity is not looked at, as upstream does not;
/// the API server refuses it when the workload is applied.
fn weights(config: &'static str, of: Option<&Config>) -> Result<(), Invalid> {
    let Some(Affinity {
        node_affinity,
        pod_affinity,
        ..
    }) = of.and_then(|config| config.affinity.as_ref())
    else {
        return Ok(());
    };
    let node = node_affinity
        .iter()
        .flat_map(|a| {
            a.preferred_during_scheduling_ignored_during_execution
                .iter()
                .flatten()
        })
        .map(|term| term.weight);
    check(config, "NodeAffinity", node)?;
    let pod = pod_affinity
        .iter()
        .flat_map(|a| {
            a.preferred_during_scheduling_ignored_during_execution
                .iter()
                .flatten()
        })
        .map(|term| term.weight);
    check(config, "PodAffinity", pod)
}

fn check(
    config: &'static str,
    affinity: &'static str,
    mut weights: impl Iterator<Item = i32>,
) -> Result<(), Invalid> {
    if weights.all(|weight| (1..=100).contains(&weight)) {
        Ok(())
    } else {
        Err(Invalid::Weight { config, affinity })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn words(spec: Value) -> String {
        let spec = serde_json::from_value(spec).expect("the spec parses");
        validate(&spec, None).map_or_else(|invalid| invalid.to_string(), |()| "valid".to_owned())
    }

    fn preferring(weight: i32) -> Value {
        let rule = "preferredDuringSchedulingIgnoredDuringExecution";
        json!({
            "node": { "affinity": { "nodeAffinity": {
                rule: [{ "weight": weight, "preference": {} }],
            } } },
            "pod": { "affinity": { "podAffinity": {
                rule: [{ "weight": weight, "podAffinityTerm": { "topologyKey": "zone" } }],
            } } },
        })
    }

    #[test]
    fn each_rule_says_what_upstream_says() {
        let timed = |effect: &str, seconds: i64| json!([{ "key": "example", "effect": effect, "tolerationSeconds": seconds }]);
        let heavy = preferring(101);
        let none = preferring(0);
        let controller =
            "ControllerToleration effect must be NoExecute when tolerationSeconds is set";
        let speaker = "SpeakerToleration effect must be NoExecute when tolerationSeconds is set";
        let backend = "invalid BGP Backend, must be one of native, frr, frr-k8s, frr-k8s-external";
        let weight = |what| format!("{what} set with invalid weight for preferred scheduling term");
        for (spec, expected) in [
            (json!({}), "valid".to_owned()),
            (
                json!({ "controllerTolerations": timed("NoSchedule", 5) }),
                controller.to_owned(),
            ),
            (
                json!({ "speakerTolerations": timed("NoSchedule", 5) }),
                speaker.to_owned(),
            ),
            (
                json!({ "speakerTolerations": timed("NoExecute", 5) }),
                "valid".to_owned(),
            ),
            (
                json!({ "speakerTolerations": timed("NoSchedule", 0) }),
                "valid".to_owned(),
            ),
            (
                json!({ "speakerConfig": heavy["node"] }),
                weight("SpeakerConfig NodeAffinity"),
            ),
            (
                json!({ "speakerConfig": none["pod"] }),
                weight("SpeakerConfig PodAffinity"),
            ),
            (
                json!({ "controllerConfig": none["node"] }),
                weight("ControllerConfig NodeAffinity"),
            ),
            (
                json!({ "controllerConfig": heavy["pod"] }),
                weight("ControllerConfig PodAffinity"),
            ),
            (
                json!({ "controllerConfig": preferring(100)["pod"] }),
                "valid".to_owned(),
            ),
            (json!({ "bgpBackend": "bird" }), backend.to_owned()),
            (json!({ "bgpBackend": "frr-k8s" }), "valid".to_owned()),
            (
                json!({ "bgpBackend": "frr-k8s-external" }),
                "bgp backend: frrk8s external and no default or user provided namespace".to_owned(),
            ),
            (
                json!({ "bgpBackend": "frr-k8s-external", "frrk8sConfig": { "namespace": "frr" } }),
                "valid".to_owned(),
            ),
            (
                json!({ "frrk8sConfig": { "alwaysBlock": [" 10.0.0.1/8", "fc00::/7"] } }),
                "valid".to_owned(),
            ),
            (
                json!({ "frrk8sConfig": { "alwaysBlock": ["10.0.0.0/8", "10.0.0.0/33"] } }),
                "invalid CIDR 10.0.0.0/33 in AlwaysBlock".to_owned(),
            ),
            (
                json!({ "controllerConfig": { "labels": { "component": "a" } } }),
                "ControllerConfig: labels app and component are what the pods are found by"
                    .to_owned(),
            ),
            (
                json!({ "speakerConfig": { "labels": { "team": "a" }, "excludeInterfaces": [] } }),
                "valid".to_owned(),
            ),
            (
                json!({ "speakerConfig": { "excludeInterfaces": ["^eth0$", "(br"] } }),
                "invalid regular expression \"(br\" in ExcludeInterfaces".to_owned(),
            ),
        ] {
            assert_eq!(words(spec.clone()), expected, "{spec}");
        }
    }

    #[test]
    fn the_first_broken_rule_wins() {
        let spec = json!({
            "bgpBackend": "bird",
            "speakerTolerations": [{ "effect": "NoSchedule", "tolerationSeconds": 1 }],
        });
        assert!(words(spec).starts_with("SpeakerToleration"));
    }

    #[test]
    fn the_operators_default_namespace_will_do() {
        let spec = serde_json::from_value(json!({ "bgpBackend": "frr-k8s-external" })).unwrap();
        assert_eq!(validate(&spec, Some("frr-k8s-system")), Ok(()));
        assert_eq!(validate(&spec, Some("")), Err(Invalid::NoFrrK8sNamespace));
    }
}
