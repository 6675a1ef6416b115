//! What is otherwise on OpenShift.

use super::*;

fn openshift() -> Settings {
    Settings {
        platform: Platform::OpenShift,
        ..settings()
    }
}

#[test]
fn what_is_otherwise_on_openshift() {
    let spec = json!({ "bgpBackend": "frr", "monitoring": { "type": "ServiceMonitor" } });
    let (here, there) = (render_spec(spec.clone()), render_with(&openshift(), spec));
    let mut told = Vec::new();
    for object in there {
        match here.iter().find(|it| it.key == object.key) {
            Some(same) if *same == object => {}
            // Of what is long, what is about it.
            Some(_) if object.key.kind.is_workload() => {
                let template = &object.manifest["spec"]["template"];
                let spec = &template["spec"];
                told.push(json!({
                    "kind": object.manifest["kind"],
                    "name": object.key.name,
                    "annotations": template["metadata"]["annotations"],
                    "args": spec["containers"][0]["args"],
                    "volumeMounts": spec["containers"][0]["volumeMounts"],
                    "volumes": spec["volumes"],
                    "securityContext": spec["securityContext"],
                }));
            }
            _ => told.push(object.manifest),
        }
    }
    insta::assert_snapshot!(yaml::documents(&told));
}

/// The certificates that pods wait for are made for the Services, whether anybody scrapes or not.
#[test]
fn a_certificate_that_is_waited_for_is_asked_for() {
    for monitors in ["None", "ServiceMonitor", "PodMonitor"] {
        let spec = json!({ "monitoring": { "type": monitors } });
        let objects = render_with(&openshift(), spec);
        for (component, kind) in [
            ("controller", Kind::Deployment),
            ("speaker", Kind::DaemonSet),
        ] {
            let workload = manifest(&objects, kind, component);
            let volumes = workload["spec"]["template"]["spec"]["volumes"].clone();
            let mounted = volumes.as_array().expect("volumes").iter();
            let mounted: Vec<_> = mounted
                .map(|it| &it["secret"]["secretName"])
                .filter(|it| is_certificate(it))
                .collect();
            let name = format!("{component}-monitor-service");
            let service = manifest(&objects, Kind::Service, &name);
            let annotation = "service.beta.openshift.io/serving-cert-secret-name";
            let asked = &service["metadata"]["annotations"][annotation];
            assert_eq!(mounted, [asked], "{monitors}");
        }
    }
}

#[test]
fn the_constraints_come_before_the_speakers_and_let_in_what_they_are() {
    for (bgp, capabilities) in [
        (None, json!(["NET_RAW"])),
        (Some(179), json!(["NET_BIND_SERVICE", "NET_RAW"])),
    ] {
        let mut settings = openshift();
        settings.ports.bgp = bgp;
        let objects = render_with(&settings, json!({}));
        let place = |kind: Kind| objects.iter().position(|it| it.key.kind == kind);
        assert!(place(Kind::SecurityContextConstraints) < place(Kind::DaemonSet));
        let constraints = manifest(
            &objects,
            Kind::SecurityContextConstraints,
            "metallb-speaker",
        );
        let speaker = manifest(&objects, Kind::DaemonSet, "speaker");
        let container = &speaker["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(constraints["allowedCapabilities"], capabilities);
        assert_eq!(
            container["securityContext"]["capabilities"]["add"],
            capabilities
        );
        let role = manifest(&objects, Kind::Role, "speaker");
        let rules = role["rules"].to_string();
        assert!(rules.contains(r#""resourceNames":["metallb-speaker"],"resources":["securitycontextconstraints"],"verbs":["use"]"#)
            || rules.contains(r#""resources":["securitycontextconstraints"],"resourceNames":["metallb-speaker"],"verbs":["use"]"#), "{rules}");
    }
}

/// Of the cluster's network operator's FRR-K8s use is made unless another backend is asked for.
#[test]
fn an_frr_k8s_of_the_cluster_is_the_default_where_there_is_one() {
    let of_cno = Settings {
        frr_k8s_from_cno: true,
        frr_k8s_namespace: Some("openshift-frr-k8s".to_owned()),
        ..openshift()
    };
    let args = |settings: &Settings, spec: Value| {
        let speaker = manifest(&render_with(settings, spec), Kind::DaemonSet, "speaker");
        speaker["spec"]["template"]["spec"]["containers"][0]["args"].to_string()
    };
    let external = "--frrk8s-namespace=openshift-frr-k8s";
    assert!(args(&of_cno, json!({})).contains(external));
    assert!(!args(&of_cno, json!({ "bgpBackend": "frr-k8s" })).contains(external));
    assert!(!args(&openshift(), json!({})).contains(external));
    let kubernetes = Settings {
        platform: Platform::Kubernetes,
        ..of_cno
    };
    assert!(!args(&kubernetes, json!({})).contains(external));
}
