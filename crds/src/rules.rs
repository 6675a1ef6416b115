//! Rules in CEL beside the documented ones, for installations without webhooks: what upstream's
//! webhooks refuse, in their words, as far as the API server accepts the cost.
//!
//! The API server estimates the cost of a rule by the largest object that the schema lets through.
//! Lists and texts have no bounds here, and must not get any, so a rule looks at the first few
//! entries of a list only. What it misses the webhooks refuse, or else the programs.
//!
//! A rule refuses nothing that upstream's webhooks let through. They skip every check of a BGPPeer
//! with `disableMP`, so its rules do too. Rules use no function that Kubernetes before 1.25 lacks.

use serde_json::{Value, json};

/// A rule and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Kind of the object, in the version that is stored.
    pub kind: &'static str,
    /// Path of the field that the rule is about, such as `spec.addresses`.
    pub field: String,
    /// The rule, in CEL.
    pub rule: String,
    /// What is said when it does not hold.
    pub message: String,
}

/// All of them.
pub fn rules() -> Vec<Rule> {
    [
        pools(),
        l2_advertisements(),
        bgp_advertisements(),
        peers(),
        communities(),
        metallbs(),
    ]
    .concat()
}

/// Adds the rules of its kind to a definition.
pub(crate) fn add(crd: &mut Value) {
    let kind = crd["spec"]["names"]["kind"].clone();
    let versions = crd["spec"]["versions"].as_array_mut().into_iter().flatten();
    for version in versions.filter(|version| version["storage"] == true) {
        let root = &mut version["schema"]["openAPIV3Schema"];
        for rule in rules().into_iter().filter(|rule| kind == rule.kind) {
            let pointer = format!("/properties/{}", rule.field.replace('.', "/properties/"));
            let schema = root
                .pointer_mut(&pointer)
                .expect("rules are about fields that exist");
            let all = schema.as_object_mut().expect("a schema is an object");
            let rules = all
                .entry("x-kubernetes-validations")
                .or_insert_with(|| json!([]));
            let rules = rules.as_array_mut().expect("validations are a list");
            rules.push(json!({"message": rule.message, "rule": rule.rule}));
        }
    }
}

fn pools() -> Vec<Rule> {
    let rule = |field, rule: String, message: &str| new("IPAddressPool", field, rule, message);
    // No letter that no address has: a dash is in names of hosts too.
    let range = each(
        "self",
        'i',
        FIRST,
        "self[i].matches('^[^g-zG-Z]+[/-][^g-zG-Z]+$')",
    );
    let mut rules = vec![
        rule(
            "spec.addresses",
            "self.size() > 0".to_owned(),
            "pool has no prefixes defined",
        ),
        rule(
            "spec.addresses",
            range,
            "invalid CIDR: write a network as 192.0.2.0/24, a single address with /32 or /128, a \
             range as 192.0.2.1-192.0.2.9",
        ),
        rule(
            "spec.serviceAllocation.namespaces",
            distinct("self", |i| format!("self[{i}]")),
            "duplicate definition in namespaces field",
        ),
    ];
    let parent = "spec.serviceAllocation";
    for list in ["namespaceSelectors", "serviceSelectors"] {
        rules.extend(selector_list("IPAddressPool", parent, list));
    }
    rules
}

fn l2_advertisements() -> Vec<Rule> {
    let kind = "L2Advertisement";
    let mut rules = vec![names(kind, "ipAddressPools")];
    for list in [
        "ipAddressPoolSelectors",
        "nodeSelectors",
        "serviceSelectors",
    ] {
        rules.extend(selector_list(kind, "spec", list));
    }
    let field = "spec.preferredNodeSelectors";
    let selectors = expressions("self", "self[i].preference");
    rules.extend(selectors.map(|(it, message)| new(kind, field, it, message)));
    rules
}

fn bgp_advertisements() -> Vec<Rule> {
    let kind = "BGPAdvertisement";
    let rule = |field, rule: &str, message: &str| new(kind, field, rule.to_owned(), message);
    // A name without a colon stands for what a Community object defines, maybe later.
    let community = format!("self[i].matches('^([^:]*|{COMMUNITY})$')");
    let mut rules = vec![
        rule(
            "spec.aggregationLength",
            "self <= 32",
            "invalid aggregation length for IPv4: must be at most 32",
        ),
        rule(
            "spec.aggregationLengthV6",
            "self <= 128",
            "invalid aggregation length for IPv6: must be at most 128",
        ),
        // Go has no negative number for it, so upstream cannot even read one.
        rule(
            "spec.localPref",
            "self >= 0",
            "invalid local preference: must not be negative",
        ),
        names(kind, "ipAddressPools"),
        names(kind, "peers"),
    ];
    for places in FIRST.chunks(2) {
        let valid = each("self", 'i', places, &community);
        rules.push(rule("spec.communities", &valid, INVALID_COMMUNITY));
    }
    for list in [
        "ipAddressPoolSelectors",
        "nodeSelectors",
        "serviceSelectors",
    ] {
        rules.extend(selector_list(kind, "spec", list));
    }
    rules
}

fn metallbs() -> Vec<Rule> {
    ["controllerConfig", "speakerConfig"]
        .map(|config| {
            let field = format!("spec.{config}.labels");
            let rule = "!('app' in self) && !('component' in self)".to_owned();
            let message = "labels app and component are what the pods are found by";
            new("MetalLB", &field, rule, message)
        })
        .into()
}

fn communities() -> Vec<Rule> {
    let rule = |rule, message| new("Community", "spec.communities", rule, message);
    let value = format!("has(self[i].value) && self[i].value.matches('^({COMMUNITY})$')");
    let mut rules: Vec<_> = FIRST
        .chunks(2)
        .map(|places| rule(each("self", 'i', places, &value), INVALID_COMMUNITY))
        .collect();
    rules.push(rule(
        distinct("self", |i| {
            format!("(has(self[{i}].name) ? self[{i}].name : '')")
        }),
        "duplicate definition of community",
    ));
    rules
}

fn peers() -> Vec<Rule> {
    let asn = "has(self.peerASN) && self.peerASN != 0";
    let multihop = "has(self.ebgpMultiHop) && self.ebgpMultiHop";
    let address = "has(self.peerAddress) && self.peerAddress != ''";
    let interface = "has(self.interface) && self.interface != ''";
    let ip = |field: &str| {
        let unset = format!("!has(self.{field}) || self.{field} == ''");
        format!("{unset} || self.{field}.matches('{ADDRESS}')")
    };
    // The hold time is three keepalives where it is not set. What counts are whole seconds.
    let keepalive = "duration(self.keepaliveTime)";
    let hold = format!(
        "(has(self.holdTime) ? duration(self.holdTime) : has(self.keepaliveTime) ? \
         {keepalive} + {keepalive} + {keepalive} : duration('0s')).getSeconds()"
    );
    let fields = [
        ("self.myASN != 0".to_owned(), "missing local ASN"),
        (
            format!("({asn}) || has(self.dynamicASN)"),
            "missing peer ASN and dynamicASN",
        ),
        (
            format!("!({asn} && has(self.dynamicASN))"),
            "both peer ASN and dynamicASN specified",
        ),
        (
            format!("!({multihop} && has(self.peerASN) && self.peerASN == self.myASN)"),
            "invalid ebgp-multihop parameter set for an ibgp peer",
        ),
        (
            format!("({address}) || ({interface})"),
            "peer has no Address or Interface specified",
        ),
        (
            format!("!({address} && {interface})"),
            "peer has both Address and Interface specified",
        ),
        (ip("peerAddress"), "invalid BGPPeer address"),
        (ip("sourceAddress"), "invalid source IP"),
        (ip("routerID"), "invalid router ID"),
        (
            format!("{hold} == 0 || {hold} >= 3"),
            "invalid hold time: must be 0 or >=3s",
        ),
        (
            format!(
                "!has(self.holdTime) || !has(self.keepaliveTime) || {keepalive} <= \
                 duration(self.holdTime)"
            ),
            "invalid keepaliveTime, must be lower than holdTime",
        ),
    ];
    let fields = fields.map(|(rule, message)| (rule, message.to_owned()));
    let node_selectors = selectors("self.nodeSelectors", "nodeSelectors")
        .into_iter()
        .map(|(rule, message)| (format!("!has(self.nodeSelectors) || {rule}"), message));
    let unchecked = "has(self.disableMP) && self.disableMP";
    fields
        .into_iter()
        .chain(node_selectors)
        .map(|(rule, message)| {
            new(
                "BGPPeer",
                "spec",
                format!("({unchecked}) || ({rule})"),
                &message,
            )
        })
        .collect()
}

// --- what many fields have in common ---

/// The places of a list that rules look at.
const FIRST: &[usize] = &[0, 1, 2, 3];

/// The value of a community. Leading zeros are read as if they were not there.
const COMMUNITY: &str = r"0*\\d{1,5}:0*\\d{1,5}|large(:0*\\d{1,10}){3}";
const INVALID_COMMUNITY: &str = "invalid community value: write 64512:100, or large:64512:100:1";

/// An IPv4 address, or what may be an IPv6 address.
const ADDRESS: &str =
    r"^((25[0-5]|(2[0-4]|1\\d|[1-9]|)\\d)(\\.|$)){4}$|^[0-9a-fA-F.]*:[0-9a-fA-F:.]+$";

fn new(kind: &'static str, field: &str, rule: String, message: &str) -> Rule {
    Rule {
        kind,
        field: field.to_owned(),
        rule,
        message: message.to_owned(),
    }
}

/// `rule` holds for the entry of `list` at each of these places, which it calls `i` or `j`.
fn each(list: &str, at: char, places: &[usize], rule: &str) -> String {
    format!("{places:?}.all({at}, {at} >= {list}.size() || {rule})")
}

/// No two of the first entries of `list` say the same; `entry` takes a place.
fn distinct(list: &str, entry: impl Fn(char) -> String) -> String {
    let (one, other) = (entry('i'), entry('j'));
    format!("{FIRST:?}.all(i, {FIRST:?}.all(j, i >= j || j >= {list}.size() || {one} != {other}))")
}

/// A list of names below `spec`, none of which may stand twice.
fn names(kind: &'static str, list: &str) -> Rule {
    let distinct = distinct("self", |i| format!("self[{i}]"));
    let message = format!("duplicate definition of {list}");
    new(kind, &format!("spec.{list}"), distinct, &message)
}

/// A list of label selectors.
fn selector_list(kind: &'static str, parent: &str, list: &str) -> impl Iterator<Item = Rule> {
    let field = format!("{parent}.{list}");
    selectors("self", list)
        .into_iter()
        .map(move |(rule, message)| new(kind, &field, rule, &message))
}

/// Rules of a list of label selectors, each with its message; people know it as `name`.
fn selectors(list: &str, name: &str) -> Vec<(String, String)> {
    let repeated = (
        distinct(list, |i| format!("{list}[{i}]")),
        format!("duplicate definition of {name}"),
    );
    expressions(list, &format!("{list}[i]"))
        .into_iter()
        .map(|(rule, message)| (rule, message.to_owned()))
        .chain([repeated])
        .collect()
}

/// Rules of the expressions of `selector`, which is in `list` at `i`, each with its message.
fn expressions(list: &str, selector: &str) -> [(String, &'static str); 3] {
    let all = format!("{selector}.matchExpressions");
    let operator = format!("{all}[j].operator");
    let given = format!("has({all}[j].values) && {all}[j].values.size() > 0");
    let rules = [
        (
            format!("{operator} in ['In', 'NotIn', 'Exists', 'DoesNotExist']"),
            "not a valid label selector operator: use In, NotIn, Exists or DoesNotExist",
        ),
        (
            format!("!({operator} in ['In', 'NotIn']) || ({given})"),
            "for 'in', 'notin' operators, values set can't be empty",
        ),
        (
            format!("!({operator} in ['Exists', 'DoesNotExist']) || !({given})"),
            "values set must be empty for exists and does not exist",
        ),
    ];
    rules.map(|(rule, message)| {
        let holds = format!("!has({all}) || {}", each(&all, 'j', FIRST, &rule));
        (each(list, 'i', FIRST, &holds), message)
    })
}
