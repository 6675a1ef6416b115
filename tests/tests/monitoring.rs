//! Alerts and dashboard: Prometheus can read them, they ask for metrics that there are, and each
//! alert has a page.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Result;
use metallb_tests::product::path;
use serde_json::Value;

fn text(file: &str) -> String {
    fs::read_to_string(path(file)).expect("it is there")
}

fn rules() -> Value {
    let object: Value =
        serde_saphyr::from_str(&text("config/monitoring/prometheusrule.yaml")).expect("it is YAML");
    object["spec"].clone()
}

fn alerts(rules: &Value) -> impl Iterator<Item = &Value> {
    let groups = rules["groups"].as_array().expect("there are groups");
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("there are rules"))
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect("it is text")
}

#[test]
fn each_alert_has_a_page() {
    let pages = text("docs/alerts.md");
    let rules = rules();
    for alert in alerts(&rules) {
        let name = word(alert, "alert");
        assert!(
            pages.contains(&format!("\n## {name}\n")),
            "no page for {name}"
        );
        let url = word(&alert["annotations"], "runbook_url");
        assert_eq!(url, format!("docs/alerts.md#{}", name.to_lowercase()));
    }
}

#[test]
fn what_is_asked_for_is_exposed() {
    let dashboard: Value =
        serde_json::from_str(&text("config/monitoring/dashboard.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("there are panels");
    let targets = panels
        .iter()
        .flat_map(|it| it["targets"].as_array().expect("there are targets"));
    let rules = rules();
    let all = targets.chain(alerts(&rules));
    let asked: BTreeSet<_> = all.flat_map(|it| metrics(word(it, "expr"))).collect();
    assert!(asked.len() > 15, "{asked:?}");
    let exposed = literals();
    for metric in asked {
        // Histograms are exposed in buckets, and named by what they measure and its unit.
        let forms = ["", "_bucket", "_seconds_bucket"].map(|end| metric.strip_suffix(end));
        let has = |form: &str| {
            exposed.contains(form)
                || PREFIXES
                    .iter()
                    .filter_map(|prefix| form.strip_prefix(prefix))
                    // Several have a prefix in common, which stands apart.
                    .any(|rest| exposed.contains(rest))
        };
        assert!(
            forms.into_iter().flatten().any(has),
            "nobody exposes {metric}"
        );
    }
}

const PREFIXES: [&str; 4] = [
    "metallb_",
    "frrk8s_",
    "metallb_allocator_",
    "metallb_controller_",
];

/// The names of metrics in an expression.
fn metrics(expression: &str) -> Vec<String> {
    let is_of_word = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let words = expression.split(|it| !is_of_word(it));
    let ours = ["metallb_", "frrk8s_", "controller_runtime_"];
    words
        .filter(|it| ours.iter().any(|prefix| it.starts_with(prefix)))
        .map(str::to_owned)
        .collect()
}

/// The words between quotation marks in the programs' sources.
fn literals() -> BTreeSet<String> {
    let mut literals = BTreeSet::new();
    let mut folders: Vec<_> = [
        "controller/src",
        "speaker/src",
        "operator/src",
        "crates/kit/src",
    ]
    .map(path)
    .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it is there") {
            let file = entry.expect("it can be read").path();
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            let text = fs::read_to_string(&file).unwrap_or_default();
            literals.extend(text.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    literals.remove("");
    literals
}

#[test]
fn prometheus_reads_the_alerts_and_raises_them() -> Result<()> {
    let promtool = match metallb_tests::promtool() {
        Ok(promtool) => promtool,
        Err(error) => {
            println!("skipped: {error:#}");
            return Ok(());
        }
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("monitoring");
    fs::create_dir_all(&folder)?;
    let [rules_file, tests_file] = ["rules.yaml", "tests.yaml"].map(|it| folder.join(it));
    fs::write(&rules_file, rules().to_string())?;
    fs::write(&tests_file, TESTS)?;
    promtool.check_rules(&rules_file)?;
    promtool.test_rules(&tests_file)
}

/// What has to be for an alert to be raised, and what must not raise it.
const TESTS: &str = r#"
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
- interval: 1m
  input_series:
  - { series: 'metallb_allocator_addresses_in_use_total{pool="full"}', values: '10x10' }
  - { series: 'metallb_allocator_addresses_total{pool="full"}', values: '10x10' }
  - { series: 'metallb_allocator_addresses_in_use_total{pool="half"}', values: '5x10' }
  - { series: 'metallb_allocator_addresses_total{pool="half"}', values: '10x10' }
  - { series: 'metallb_allocator_addresses_in_use_total{pool="empty"}', values: '0x10' }
  - { series: 'metallb_allocator_addresses_total{pool="empty"}', values: '0x10' }
  - { series: 'metallb_bgp_session_up{peer="192.0.2.1"}', values: '1 1 0x10' }
  - { series: 'metallb_bgp_session_up{peer="192.0.2.2"}', values: '1x12' }
  - { series: 'metallb_layer2_conflicts_total{ip="192.0.2.9"}', values: '0 0 1x10' }
  - { series: 'metallb_operator_condition{type="Degraded",pod="leads"}', values: '1x20' }
  - { series: 'metallb_operator_condition{type="Degraded",pod="waits"}', values: '0x20' }
  - { series: 'metallb_operator_condition{type="Warning",pod="leads"}', values: '0x20' }
  - { series: 'metallb_operator_component_pods{component="speaker",state="desired"}', values: '3x20' }
  - { series: 'metallb_operator_component_pods{component="speaker",state="ready"}', values: '2x20' }
  - { series: 'metallb_operator_missing_rights', values: '0 0 0x20' }
  alert_rule_test:
  - eval_time: 5m
    alertname: MetalLBAddressPoolExhausted
    exp_alerts:
    - exp_labels: { severity: critical, pool: full }
      exp_annotations:
        summary: Pool full has no free address
        description: A new Service gets no address of this pool.
        runbook_url: docs/alerts.md#metallbaddresspoolexhausted
  - eval_time: 5m
    alertname: MetalLBBGPSessionDown
    exp_alerts:
    - exp_labels: { severity: critical, peer: 192.0.2.1 }
      exp_annotations:
        summary: ' has no BGP session with 192.0.2.1'
        description: The router is not told of the addresses by this node.
        runbook_url: docs/alerts.md#metallbbgpsessiondown
  - eval_time: 5m
    alertname: MetalLBAddressConflict
    exp_alerts:
    - exp_labels: { severity: critical, ip: 192.0.2.9 }
      exp_annotations:
        summary: Another station says that it has 192.0.2.9
        description: Clients reach one or the other, by chance.
        runbook_url: docs/alerts.md#metallbaddressconflict
  - eval_time: 12m
    alertname: MetalLBDegraded
    exp_alerts:
    - exp_labels: { severity: critical }
      exp_annotations:
        summary: The MetalLB object is Degraded
        description: Something needs attention that does not mend itself.
        runbook_url: docs/alerts.md#metallbdegraded
  - eval_time: 16m
    alertname: MetalLBPodsNotReady
    exp_alerts:
    - exp_labels: { severity: warning, component: speaker }
      exp_annotations:
        summary: 'Pods of the speaker that are not ready: 1'
        description: Others do their work meanwhile, if there are any.
        runbook_url: docs/alerts.md#metallbpodsnotready
  - { eval_time: 16m, alertname: MetalLBWarns }
  - { eval_time: 16m, alertname: MetalLBOperatorLacksRights }
"#;
