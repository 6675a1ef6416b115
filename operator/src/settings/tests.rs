use super::*;

fn parse(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::parse(|name| {
        variables
            .iter()
            .rfind(|(n, _)| *n == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

const REQUIRED: [(&str, &str); 3] = [
    ("OPERATOR_NAMESPACE", "metallb-system"),
    ("CONTROLLER_IMAGE", "metallb:dev"),
    ("SPEAKER_IMAGE", "metallb:dev"),
];

fn parse_with(more: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    parse(&[&REQUIRED, more].concat())
}

#[test]
fn the_required_three_are_enough() {
    let settings = parse(&REQUIRED).unwrap();
    assert_eq!(
        settings.ports,
        Ports {
            metrics: 9120,
            probes: 17472,
            memberlist: 7946,
            frr_metrics: 9121,
            frr_k8s_metrics: 9141,
            frr_k8s_own_metrics: 9140,
            bgp: None,
        }
    );
    assert_eq!(settings.frr_k8s_namespace, None);
    assert!(settings.without_effect.is_empty());
}

#[test]
fn each_required_one_is_missed_by_name() {
    for (name, _) in REQUIRED {
        let others: Vec<_> = REQUIRED.into_iter().filter(|(n, _)| *n != name).collect();
        let error = parse(&others).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("environment variable {name} is not set")),
            "{error}"
        );
        assert!(
            parse_with(&[(name, "")]).is_err(),
            "an empty {name} counts as not set"
        );
    }
}

#[test]
fn what_is_said_of_frr_is_answered() {
    let settings = parse_with(&[
        ("FRR_IMAGE", "frr:10"),
        ("FRRK8S_EXTERNAL_NAMESPACE", "frr-k8s-system"),
    ]);
    let settings = settings.unwrap();
    let namespace = settings.frr_k8s_namespace.as_deref();
    assert_eq!(namespace, Some("frr-k8s-system"));
    let [line] = &settings.without_effect[..] else {
        panic!("{:?}", settings.without_effect);
    };
    assert!(line.starts_with("environment variable FRR_IMAGE has no effect: no FRR is run"));
}

#[test]
fn ports_are_ports() {
    assert_eq!(
        parse_with(&[("METRICS_PORT", "29150")])
            .unwrap()
            .ports
            .metrics,
        29150
    );
    let off = parse_with(&[("FRR_METRICS_PORT", "0")]).unwrap();
    assert_eq!(off.ports.frr_metrics, 0, "there need not be one");
    let off = parse_with(&[("FRRK8S_HTTPS_METRICS_PORT", "0")]).unwrap();
    assert_eq!(off.ports.frr_k8s_own_metrics, 0, "nor this one");
    let bgp = parse_with(&[("BGP_LISTEN_PORT", "179")]);
    assert_eq!(bgp.unwrap().ports.bgp, Some(179));
    assert!(parse_with(&[("BGP_LISTEN_PORT", "bgp")]).is_err());
    for bad in ["0", "65536", "-1", "http"] {
        let error = parse_with(&[("MEMBER_LIST_BIND_PORT", bad)])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            format!(
                "environment variable MEMBER_LIST_BIND_PORT is {bad:?}: it must be a port, 1 to 65535"
            )
        );
    }
}

#[test]
fn monitors_are_of_one_kind() {
    let both = [
        ("DEPLOY_PODMONITORS", "true"),
        ("DEPLOY_SERVICEMONITORS", "true"),
    ];
    let refused = parse_with(&both).unwrap_err().to_string();
    assert!(refused.ends_with("are both true: choose one"), "{refused}");
    let monitors = |variables| parse_with(variables).unwrap().monitors;
    assert_eq!(monitors(&both[..1]), MonitorType::PodMonitor);
    assert_eq!(monitors(&both[1..]), MonitorType::ServiceMonitor);
    assert_eq!(monitors(&[]), MonitorType::None);
    assert!(parse_with(&[("DEPLOY_PODMONITORS", "yes")]).is_err());
}

#[test]
fn policies_are_there_unless_they_are_disabled() {
    let there = |value| {
        let settings = parse_with(&[("DISABLE_NETWORK_POLICIES", value)]);
        settings.unwrap().network_policies
    };
    assert!(there("") && there("false") && !there("true"));
}

#[test]
fn what_operands_are_told_of_tls_is_checked_here() {
    let suites = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
    let told = [
        ("TLS_MIN_VERSION", "VersionTLS12"),
        ("TLS_CIPHER_SUITES", suites),
        ("TLS_CURVE_PREFERENCES", "29,23"),
    ];
    let tls = parse_with(&told).unwrap().tls;
    assert_eq!(
        (&*tls.min_version, &*tls.cipher_suites),
        ("VersionTLS12", suites)
    );
    assert_eq!(tls.curve_preferences, "29,23");
    for bad in [("TLS_MIN_VERSION", "SSLv3"), ("TLS_CIPHER_SUITES", suites)] {
        let refused = parse_with(&[bad]).unwrap_err().to_string();
        assert!(
            refused.contains("TLS_MIN_VERSION, TLS_CIPHER_SUITES"),
            "{refused}"
        );
    }
}

/// Where it runs FRR-K8s, nobody has to say.
#[test]
fn an_frr_k8s_of_openshifts_network_operator_is_where_that_puts_it() {
    let settings = parse_with(&[
        ("DEPLOY_FRRK8S_FROM_CNO", "true"),
        ("CNO_MIN_FRRK8S_VERSION", "4.17.0"),
    ]);
    let settings = settings.unwrap();
    assert!(settings.frr_k8s_from_cno);
    let namespace = settings.frr_k8s_namespace.as_deref();
    assert_eq!(namespace, Some("openshift-frr-k8s"));
    assert!(settings.without_effect[0].contains("CNO_MIN_FRRK8S_VERSION has no effect"));
}
