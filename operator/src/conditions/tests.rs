//! What is said of a `MetalLB` object, by how its workloads and pods stand.

use super::*;
use crate::observed::Problem;

static NONE: BTreeSet<Kind> = BTreeSet::new();

fn workload(ready: i32, desired: i32) -> Workload {
    Workload {
        observed: true,
        desired,
        updated: desired,
        ready,
        current: desired,
        complaint: None,
    }
}

fn pod(name: &str, reason: &str, message: &str) -> (String, Pod) {
    let problem = Problem {
        reason: reason.to_owned(),
        message: message.to_owned(),
        since: None,
    };
    let pod = Pod {
        name: name.to_owned(),
        component: "speaker".to_owned(),
        problem: Some(problem),
    };
    (name.to_owned(), pod)
}

/// `Available=True …` and so on, for reading.
fn told(health: Health<'_>) -> Vec<String> {
    conditions(
        &Standing::InEffect(Box::new(health)),
        &[],
        Some(1),
        Timestamp::UNIX_EPOCH,
    )
    .into_iter()
    .map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message))
    .collect()
}

fn health<'a>(
    controller: Option<&'a Workload>,
    speaker: Option<&'a Workload>,
    pods: &'a BTreeMap<String, Pod>,
) -> Health<'a> {
    Health {
        yields_to: None,
        invalid: None,
        forbidden: &[],
        missing_classes: Vec::new(),
        advice: None,
        failures: Vec::new(),
        workloads: [("controller", controller), ("speaker", speaker)],
        pods,
        bgp_backend: None,
        frr_k8s_namespace: None,
        lacks_frr_k8s: false,
        unused: Unused::default(),
        waits: Vec::new(),
        held_back: None,
        unmanaged: &[],
        missing_definitions: &[],
        unserved: &NONE,
        definition_is_old: false,
        was_available: false,
        now: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn all_ready_is_available_and_upgradeable() {
    let (controller, speaker, pods) = (workload(2, 2), workload(3, 3), BTreeMap::new());
    assert_eq!(
        told(health(Some(&controller), Some(&speaker), &pods)),
        [
            "Available=True Available: controller: 2 of 2 ready; speaker: 3 of 3 ready",
            "Upgradeable=True Upgradeable: ",
            "Progressing=False Progressing: ",
            "Degraded=False Degraded: ",
            "Ready=True Ready: controller: 2 of 2 ready; speaker: 3 of 3 ready",
        ]
    );
}

#[test]
fn who_asks_for_frr_is_told_that_there_is_none() {
    let (controller, speaker, pods) = (workload(2, 2), workload(3, 3), BTreeMap::new());
    let asked = Health {
        bgp_backend: Some("frr-k8s"),
        ..health(Some(&controller), Some(&speaker), &pods)
    };
    let said = "; bgpBackend frr-k8s: the speaker speaks BGP itself, with the defaults of frr-k8s";
    assert!(told(asked)[0].ends_with(said));
}

#[test]
fn who_speaks_for_an_frr_k8s_elsewhere_says_where() {
    let (controller, speaker, pods) = (workload(2, 2), workload(3, 3), BTreeMap::new());
    let external = || Health {
        bgp_backend: Some("frr-k8s-external"),
        frr_k8s_namespace: Some("frr-k8s-system"),
        ..health(Some(&controller), Some(&speaker), &pods)
    };
    let said = "the FRR-K8s in namespace frr-k8s-system speaks BGP, as the FRRConfigurations \
                metallb-NODE there say";
    assert!(told(external())[0].ends_with(said));
    let lacks = Health {
        lacks_frr_k8s: true,
        ..external()
    };
    let told = told(lacks);
    assert!(told[0].starts_with("Available=True"), "layer 2 goes on");
    assert!(
        told[3].starts_with("Degraded=True FRRK8sNotInstalled: bgpBackend frr-k8s-external: routers are told nothing"),
        "{told:?}"
    );
}

#[test]
fn what_users_wrote_in_vain_is_told_after_all_that_fails() {
    let (controller, speaker, pods) = (workload(2, 2), workload(3, 3), BTreeMap::new());
    let vain = Health {
        unused: Unused {
            stops: vec!["FRRConfiguration a/b".to_owned(), "what to do".to_owned()],
            notes: vec!["one".to_owned(), "two".to_owned()],
        },
        ..health(Some(&controller), Some(&speaker), &pods)
    };
    let told_of = told(vain.clone());
    assert!(
        told_of[0].ends_with("3 of 3 ready; one; two"),
        "{told_of:?}"
    );
    assert_eq!(
        told_of[3],
        "Degraded=True UserConfigurationUnused: FRRConfiguration a/b; what to do"
    );
    let fails = Health {
        failures: vec!["it".to_owned()],
        ..vain
    };
    assert_eq!(told(fails)[3], "Degraded=True ApplyFailed: it");
}

#[test]
fn a_first_rollout_is_progressing_until_it_is_complete() {
    let (controller, pods) = (workload(1, 2), BTreeMap::new());
    let message = "controller: 1 of 2 ready; speaker: not there yet";
    assert_eq!(
        told(health(Some(&controller), None, &pods)),
        [
            format!("Available=False Progressing: {message}"),
            format!("Upgradeable=False Progressing: {message}"),
            format!("Progressing=True Progressing: {message}"),
            "Degraded=False Degraded: ".to_owned(),
            format!("Ready=False Progressing: {message}"),
            format!("Reconciling=True Progressing: {message}"),
        ]
    );
}

#[test]
fn a_node_that_is_down_does_not_make_metallb_unavailable() {
    let (controller, speaker, pods) = (workload(1, 2), workload(2, 3), BTreeMap::new());
    let before = Health {
        was_available: true,
        ..health(Some(&controller), Some(&speaker), &pods)
    };
    let told_now = told(before.clone());
    assert!(told_now[0].starts_with("Available=True"), "{told_now:?}");
    assert!(told_now[2].starts_with("Progressing=True"), "{told_now:?}");
    let nobody = workload(0, 3);
    let gone = Health {
        workloads: [before.workloads[0], ("speaker", Some(&nobody))],
        ..before
    };
    assert!(told(gone)[0].starts_with("Available=False"));
}

#[test]
fn trouble_is_told_in_order_of_gravity() {
    let (controller, speaker) = (workload(2, 2), workload(0, 3));
    let pods: BTreeMap<_, _> = [
        pod("speaker-a", "ImagePullBackOff", "metallb:dev"),
        pod("speaker-b", "ImagePullBackOff", "metallb:dev"),
    ]
    .into();
    let mut health = health(Some(&controller), Some(&speaker), &pods);
    assert_eq!(
        told(health.clone())[3],
        "Degraded=True ImagePullFailed: \
         speaker: ImagePullBackOff in speaker-a and 1 more: metallb:dev"
    );
    let refused = Workload {
        complaint: Some("pods are forbidden".to_owned()),
        ..workload(0, 2)
    };
    health.workloads[0].1 = Some(&refused);
    assert_eq!(
        told(health.clone())[3],
        "Degraded=True PodsRefused: controller: pods are forbidden"
    );
    health.failures = (1..=5).map(|n| format!("failure {n}")).collect();
    assert_eq!(
        told(health.clone())[3],
        "Degraded=True ApplyFailed: failure 1; failure 2; failure 3; and 2 more"
    );
    health.invalid = Some("invalid CIDR x in AlwaysBlock".to_owned());
    let told = told(health);
    assert_eq!(
        told[3],
        "Degraded=True InvalidConfiguration: invalid CIDR x in AlwaysBlock"
    );
    assert_eq!(
        told[0],
        "Available=False InvalidConfiguration: invalid CIDR x in AlwaysBlock"
    );
}

/// Its predecessor may still hold the ports of the node.
#[test]
fn a_pod_may_wait_for_a_node_for_a_while() {
    let (controller, speaker) = (workload(2, 2), workload(2, 3));
    let (name, mut waiting) = pod("speaker-a", "Unschedulable", "no free ports");
    if let Some(problem) = &mut waiting.problem {
        problem.since = Some(Timestamp::UNIX_EPOCH);
    }
    let pods = BTreeMap::from([(name, waiting)]);
    let at = |second| Health {
        now: Timestamp::from_second(second).unwrap(),
        ..health(Some(&controller), Some(&speaker), &pods)
    };
    assert!(told(at(29))[3].starts_with("Degraded=False"));
    assert_eq!(
        told(at(30))[3],
        "Degraded=True PodsNotStarting: speaker: Unschedulable in speaker-a: no free ports"
    );
}

#[test]
fn a_condition_is_dated_when_its_status_changes() {
    let (controller, speaker, pods) = (workload(2, 2), workload(2, 3), BTreeMap::new());
    let full = workload(3, 3);
    let at = |second| Timestamp::from_second(second).unwrap();
    let standing =
        |speaker| Standing::InEffect(Box::new(health(Some(&controller), Some(speaker), &pods)));
    let first = conditions(&standing(&speaker), &[], Some(1), at(100));
    let second = conditions(&standing(&full), &first, Some(2), at(200));
    let times: Vec<_> = second
        .iter()
        .map(|c| (c.type_.as_str(), c.last_transition_time.0.as_second()))
        .collect();
    assert_eq!(
        times,
        [
            (AVAILABLE, 200),
            (UPGRADEABLE, 200),
            (PROGRESSING, 200),
            (DEGRADED, 100),
            (READY, 200)
        ]
    );
    assert_eq!(
        conditions(&standing(&full), &second, Some(2), at(300)),
        second
    );
}

/// The schema of the CRD refuses other reasons, and with them the whole status.
#[test]
fn reasons_are_single_words() {
    let (controller, speaker) = (workload(2, 2), workload(0, 3));
    let no_pods = BTreeMap::new();
    let gone = ["communities.metallb.io".to_owned()];
    let mut healths = vec![
        health(None, None, &no_pods),
        Health {
            missing_definitions: &gone,
            ..health(None, None, &no_pods)
        },
        Health {
            yields_to: Some("9.0.0"),
            ..health(None, None, &no_pods)
        },
        Health {
            invalid: Some("x".to_owned()),
            ..health(None, None, &no_pods)
        },
        Health {
            failures: vec!["x".to_owned()],
            ..health(None, None, &no_pods)
        },
    ];
    let pods = ["ImagePullBackOff", "CrashLoopBackOff", "RunContainerError"]
        .map(|reason| BTreeMap::from([pod("speaker-a", reason, "")]));
    healths.extend(
        pods.iter()
            .map(|pods| health(Some(&controller), Some(&speaker), pods)),
    );
    let standings = healths
        .into_iter()
        .map(Box::new)
        .map(Standing::InEffect)
        .chain([
            Standing::Ignored {
                reason: "WrongNamespace",
                message: String::new(),
            },
            Standing::Leaving {
                message: String::new(),
            },
        ]);
    for standing in standings {
        for condition in conditions(&standing, &[], None, Timestamp::UNIX_EPOCH) {
            let word = condition.reason;
            assert!(
                !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic()),
                "{word}"
            );
        }
    }
}

/// As kstatus reads them: failed, on its way, current; and each for a reason.
#[test]
fn kstatus_can_tell_what_waits_for_somebody_from_what_waits() {
    let (controller, speaker, full) = (workload(2, 2), workload(2, 3), workload(3, 3));
    let pods = BTreeMap::new();
    let on_its_way = health(Some(&controller), Some(&speaker), &pods);
    let invalid = Health {
        invalid: Some("x".to_owned()),
        ..on_its_way.clone()
    };
    let paused = Health {
        held_back: Some(&[]),
        ..on_its_way.clone()
    };
    let current = health(Some(&controller), Some(&full), &pods);
    for (health, expected) in [
        (
            on_its_way,
            "Ready=False Progressing, Reconciling=True Progressing",
        ),
        (
            invalid,
            "Ready=False InvalidConfiguration, Stalled=True InvalidConfiguration",
        ),
        (paused, "Ready=False Progressing, Paused=True Paused"),
        (current, "Ready=True Ready"),
    ] {
        let told: Vec<_> = told(health)
            .split_off(4)
            .into_iter()
            .map(|it| it.split_once(':').unwrap().0.to_owned())
            .collect();
        assert_eq!(told.join(", "), expected);
    }
}

#[test]
fn an_old_definition_and_what_is_left_alone_are_told() {
    let (controller, speaker, pods) = (workload(2, 2), workload(3, 3), BTreeMap::new());
    let unmanaged = ["DaemonSet speaker".to_owned()];
    let health = Health {
        unmanaged: &unmanaged,
        ..health(Some(&controller), Some(&speaker), &pods)
    };
    let all = told(health.clone());
    let said = "left alone, as the annotation metallb.io/unmanaged says: DaemonSet speaker";
    assert!(all[0].ends_with(said), "{all:?}");
    assert_eq!(all[1], format!("Upgradeable=False Unmanaged: {said}"));
    let old = Health {
        definition_is_old: true,
        ..health
    };
    assert!(told(old)[3].starts_with("Degraded=True DefinitionOutdated: "));
}
