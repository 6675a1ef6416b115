//! Our definitions beside the documented ones, in both directions.
//!
//! Both are turned into facts, such as `BGPPeer v1beta2 spec.peerPort` = `default=179 integer
//! maximum=16384 minimum=1`. What differs must be in [`WANTED`] with its reason, and what is
//! there must differ. Not compared: descriptions, which are ours, and metadata, where upstream
//! has only the version of its generator, and our own rules, which refuse earlier what webhooks
//! refuse anyway.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

type Facts = BTreeMap<String, String>;

/// A difference that we want: the fact, what is documented, what is ours, and why.
struct Wanted {
    fact: &'static str,
    documented: Option<&'static str>,
    ours: Option<&'static str>,
    #[expect(dead_code, reason = "for the reader")]
    because: &'static str,
}

const WANTED: &[Wanted] = &[
    Wanted {
        fact: "BGPPeer conversion",
        documented: Some("Webhook"),
        ours: Some("None"),
        because: "whoever answers /convert registers it, and has v1beta1 served then",
    },
    Wanted {
        fact: "BGPPeer v1beta1",
        documented: Some("deprecated served status"),
        ours: Some("deprecated status"),
        because: "served without conversion, v1beta1 objects would be stored under the wrong schema",
    },
    Wanted {
        fact: "MetalLB v1beta1 status.observedGeneration",
        documented: None,
        ours: Some("format=int64 integer"),
        because: "without it nobody can tell whether the conditions speak of the latest spec",
    },
    of_a_metallb(
        "MetalLB v1beta1 column 4",
        "Ready | string | .status.conditions[?(@.type=='Ready')].status",
    ),
    of_a_metallb(
        "MetalLB v1beta1 column 5",
        "Version | string | .status.versions.operands",
    ),
    of_a_metallb(
        "MetalLB v1beta1 column 6",
        "Backend | string | .status.bgpBackend | 1",
    ),
    of_a_metallb(
        "MetalLB v1beta1 column 7",
        "Message | string | .status.conditions[?(@.type=='Ready')].message | 1",
    ),
    of_a_metallb("MetalLB v1beta1 status.bgpBackend", "string"),
    of_a_metallb("MetalLB v1beta1 status.components", "array"),
    of_a_metallb("MetalLB v1beta1 status.components[]", "object"),
    of_a_metallb(
        "MetalLB v1beta1 status.components[].desired",
        "format=int32 integer",
    ),
    of_a_metallb("MetalLB v1beta1 status.components[].image", "string"),
    of_a_metallb("MetalLB v1beta1 status.components[].kind", "string"),
    of_a_metallb("MetalLB v1beta1 status.components[].message", "string"),
    of_a_metallb("MetalLB v1beta1 status.components[].name", "string"),
    of_a_metallb(
        "MetalLB v1beta1 status.components[].ready",
        "format=int32 integer",
    ),
    of_a_metallb(
        "MetalLB v1beta1 status.components[].updated",
        "format=int32 integer",
    ),
    of_a_metallb("MetalLB v1beta1 status.platform", "string"),
    of_a_metallb("MetalLB v1beta1 status.unmanaged", "array"),
    of_a_metallb("MetalLB v1beta1 status.unmanaged[]", "string"),
    of_a_metallb("MetalLB v1beta1 status.versions", "object"),
    of_a_metallb("MetalLB v1beta1 status.versions.operands", "string"),
    of_a_metallb("MetalLB v1beta1 status.versions.operator", "string"),
    of_a_session(
        "BGPSessionState v1beta1 column 5",
        "Since | date | .status.since",
    ),
    of_a_session(
        "BGPSessionState v1beta1 column 6",
        "BGPPeer | string | .status.bgpPeer | 1",
    ),
    of_a_session(
        "BGPSessionState v1beta1 column 7",
        "Last Error | string | .status.lastError | 1",
    ),
    of_a_session("BGPSessionState v1beta1 status.bgpPeer", "string"),
    of_a_session(
        "BGPSessionState v1beta1 status.since",
        "format=date-time string",
    ),
    of_a_session("BGPSessionState v1beta1 status.lastError", "string"),
    of_a_session("BGPSessionState v1beta1 status.heldBy", "string"),
    of_a_session("BGPSessionState v1beta1 status.localASN", ASN),
    of_a_session("BGPSessionState v1beta1 status.peerASN", ASN),
    of_a_session("BGPSessionState v1beta1 status.holdTime", "string"),
    of_a_session("BGPSessionState v1beta1 status.keepaliveTime", "string"),
    of_a_session("BGPSessionState v1beta1 status.capabilities", "array"),
    of_a_session("BGPSessionState v1beta1 status.capabilities[]", "string"),
    of_a_session("BGPSessionState v1beta1 status.prefixes", "object"),
    of_a_session("BGPSessionState v1beta1 status.prefixes.advertised", COUNT),
    of_a_session("BGPSessionState v1beta1 status.prefixes.pending", COUNT),
    of_a_session("BGPSessionState v1beta1 status.prefixes.received", COUNT),
];

/// What the status of our `MetalLB` has and upstream's has not.
const fn of_a_metallb(fact: &'static str, ours: &'static str) -> Wanted {
    Wanted {
        fact,
        documented: None,
        ours: Some(ours),
        because: "upstream's status does not say what runs, in which version, and what is amiss",
    }
}

/// What can be said of our `MetalLB` and cannot of upstream's, all of it optional: what users of
/// upstream's operator ask for.
const ADDED: [&str; 17] = [
    "imageRegistry",
    "imagePullSecrets",
    "controllerConfig.image",
    "controllerConfig.labels",
    "controllerConfig.livenessProbe",
    "controllerConfig.readinessProbe",
    "controllerConfig.replicas",
    "speakerConfig.image",
    "speakerConfig.labels",
    "speakerConfig.livenessProbe",
    "speakerConfig.readinessProbe",
    "speakerConfig.updateStrategy",
    "speakerConfig.excludeInterfaces",
    "speakerConfig.ignoreExcludeLB",
    "speakerConfig.memberlist",
    "monitoring",
    "networkPolicies",
];

/// Whether a fact is about a field of a `MetalLB`'s spec or what is in it.
fn is_in(fact: &str, field: &str) -> bool {
    let rest = fact
        .strip_prefix("MetalLB v1beta1 spec.")
        .and_then(|path| path.strip_prefix(field));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '{']))
}

const ASN: &str = "format=int64 integer maximum=4294967295 minimum=1";
const COUNT: &str = "format=int64 integer required";

/// What our `BGPSessionState` has and that of FRR-K8s has not.
const fn of_a_session(fact: &'static str, ours: &'static str) -> Wanted {
    Wanted {
        fact,
        documented: None,
        ours: Some(ours),
        because: "FRR-K8s does not say why there is no session, since when, or what was agreed on",
    }
}

#[test]
fn definitions_are_the_documented_ones_but_for_wanted_differences() {
    let documented = documented(include_str!("documented/schema.txt"));
    let ours = ours();
    let mut complaints = Vec::new();
    let facts: BTreeSet<_> = documented.keys().chain(ours.keys()).collect();
    for fact in facts {
        let pair = (documented.get(fact), ours.get(fact));
        let wanted = WANTED.iter().find(|wanted| wanted.fact == fact);
        let fine = match wanted {
            Some(wanted) => {
                pair.0.map(String::as_str) == wanted.documented
                    && pair.1.map(String::as_str) == wanted.ours
            }
            None if ADDED.iter().any(|field| is_in(fact, field)) => pair.0.is_none(),
            None => pair.0 == pair.1,
        };
        if !fine {
            complaints.push(format!(
                "{fact}\n  documented: {:?}\n  ours:       {:?}",
                pair.0, pair.1
            ));
        }
    }
    for wanted in WANTED {
        if !documented.contains_key(wanted.fact) && !ours.contains_key(wanted.fact) {
            complaints.push(format!(
                "{} is wanted to differ, but is nowhere",
                wanted.fact
            ));
        }
        assert_ne!(
            wanted.documented, wanted.ours,
            "{} does not differ",
            wanted.fact
        );
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    // As many as when the table was written: a reader that drops lines would agree to anything.
    assert!(
        documented.len() > 500,
        "only {} facts were read",
        documented.len()
    );
}

// --- the table ---

fn documented(table: &str) -> Facts {
    let mut types: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    let mut facts = Facts::new();
    let (mut kind, mut version, mut in_type) = ("", String::new(), None);
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "#" => {}
            "type" => in_type = Some(rest),
            "kind" => {
                in_type = None;
                let names: Vec<_> = rest.split(' ').collect();
                kind = names[0];
                facts.insert(kind.to_owned(), names_fact(kind, names[1], names[2]));
                facts.insert(format!("{kind} conversion"), "None".to_owned());
            }
            "conversion" => {
                facts.insert(format!("{kind} conversion"), rest.to_owned());
            }
            "version" => {
                let (name, words) = rest.split_once(' ').expect("a version has words");
                version = format!("{kind} {name}");
                facts.insert(version.clone(), sorted(&format!("{words} status")));
            }
            "warning" => {
                facts.insert(format!("{version} warning"), rest.to_owned());
            }
            "column" => column(&mut facts, &version, &rest.split(" | ").collect::<Vec<_>>()),
            "rule" => {
                let parts: Vec<_> = rest.splitn(3, " | ").collect();
                rule(
                    &mut facts,
                    &format!("{version} {}", parts[0]),
                    parts[1],
                    parts[2],
                );
            }
            path => match in_type {
                Some(name) => types.entry(name).or_default().push((path, rest)),
                None => place(&mut facts, &types, &format!("{version} {path}"), rest),
            },
        }
    }
    facts
}

/// Writes down one path, or all paths of the type that it has.
fn place(facts: &mut Facts, types: &BTreeMap<&str, Vec<(&str, &str)>>, path: &str, words: &str) {
    let (first, more) = words.split_once(' ').unwrap_or((words, ""));
    let Some(inner) = types.get(first) else {
        facts.insert(path.to_owned(), sorted(words));
        return;
    };
    for (suffix, words) in inner {
        if *suffix == "." {
            place(facts, types, path, format!("{words} {more}").trim());
        } else {
            place(facts, types, &format!("{path}{suffix}"), words);
        }
    }
}

// --- ours ---

fn ours() -> Facts {
    let mut facts = Facts::new();
    for crd in metallb_crds::without_rules() {
        let spec = &crd["spec"];
        let names = &spec["names"];
        let kind = text(&names["kind"]);
        assert_eq!(
            text(&crd["metadata"]["name"]),
            format!("{}.metallb.io", text(&names["plural"]))
        );
        assert_eq!(
            (text(&spec["group"]), text(&spec["scope"])),
            ("metallb.io", "Namespaced")
        );
        let known = ["kind", "listKind", "plural", "singular"];
        assert_eq!(keys(names), known, "{kind} has more names");
        assert_eq!(text(&names["listKind"]), format!("{kind}List"));
        facts.insert(
            kind.to_owned(),
            names_fact(kind, text(&names["plural"]), text(&names["singular"])),
        );
        let strategy = spec.pointer("/conversion/strategy").map_or("None", text);
        facts.insert(format!("{kind} conversion"), strategy.to_owned());
        for version in spec["versions"].as_array().expect("versions are a list") {
            our_version(&mut facts, kind, version);
        }
    }
    facts
}

fn our_version(facts: &mut Facts, kind: &str, version: &Value) {
    let name = format!("{kind} {}", text(&version["name"]));
    let mut words = BTreeSet::new();
    for (key, value) in version.as_object().expect("a version is an object") {
        match key.as_str() {
            "served" | "deprecated" if value == true => drop(words.insert(key.as_str())),
            "storage" if value == true => drop(words.insert("stored")),
            "name" | "schema" | "served" | "storage" => {}
            "subresources" => words.extend(keys(value)),
            "deprecationWarning" => {
                facts.insert(format!("{name} warning"), text(value).to_owned());
            }
            "additionalPrinterColumns" => {
                for one in value.as_array().expect("columns are a list") {
                    let priority = one.get("priority").map(Value::to_string);
                    let mut parts = vec![
                        text(&one["name"]),
                        text(&one["type"]),
                        text(&one["jsonPath"]),
                    ];
                    parts.extend(priority.as_deref());
                    column(facts, &name, &parts);
                }
            }
            _ => drop(words.insert(key.as_str())),
        }
    }
    facts.insert(
        name.clone(),
        words.into_iter().collect::<Vec<_>>().join(" "),
    );
    let root = &version["schema"]["openAPIV3Schema"];
    for (property, schema) in root["properties"]
        .as_object()
        .expect("the root has properties")
    {
        if !["apiVersion", "kind", "metadata"].contains(&property.as_str()) {
            walk(
                facts,
                &format!("{name} {property}"),
                schema,
                requires(root, property),
            );
        }
    }
}

fn walk(facts: &mut Facts, path: &str, schema: &Value, required: bool) {
    let mut words: Vec<String> = Vec::new();
    if required {
        words.push("required".to_owned());
    }
    if schema.get("type").is_none() {
        words.push("any".to_owned());
    }
    for (key, value) in schema.as_object().expect("a schema is an object") {
        match key.as_str() {
            "description" | "required" => {}
            "type" => words.push(text(value).to_owned()),
            "properties" => {
                for (property, inner) in value.as_object().expect("properties are an object") {
                    walk(
                        facts,
                        &format!("{path}.{property}"),
                        inner,
                        requires(schema, property),
                    );
                }
            }
            "items" => walk(facts, &format!("{path}[]"), value, false),
            "additionalProperties" => walk(facts, &format!("{path}{{}}"), value, false),
            "x-kubernetes-validations" => {
                for one in value.as_array().expect("rules are a list") {
                    assert_eq!(keys(one), ["message", "rule"], "{path} has an unusual rule");
                    rule(facts, path, text(&one["message"]), text(&one["rule"]));
                }
            }
            "anyOf" => {
                let types: Vec<_> = value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|one| text(&one["type"]))
                    .collect();
                words.push(format!("anyOf={}", types.join(",")));
            }
            // Whatever else there is: a keyword nobody thought of is a difference too.
            _ => words.push(format!("{key}={}", plain(value))),
        }
    }
    facts.insert(path.to_owned(), sorted(&words.join(" ")));
}

// --- facts ---

fn names_fact(kind: &str, plural: &str, singular: &str) -> String {
    format!("{plural}.metallb.io {singular} {kind}List")
}

/// A column by its place among the columns, since users see them in that order.
fn column(facts: &mut Facts, version: &str, parts: &[&str]) {
    let columns = format!("{version} column ");
    let place = facts
        .keys()
        .filter(|fact| fact.starts_with(&columns))
        .count();
    facts.insert(format!("{columns}{place}"), parts.join(" | "));
}

fn rule(facts: &mut Facts, path: &str, message: &str, rule: &str) {
    let rule: String = rule.split_whitespace().collect();
    facts.insert(format!("{path} rule {message}"), rule);
}

fn sorted(words: &str) -> String {
    let words: BTreeSet<_> = words.split_whitespace().collect();
    words.into_iter().collect::<Vec<_>>().join(" ")
}

fn requires(schema: &Value, property: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|all| all.iter().any(|one| one == property))
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is not a text"))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
