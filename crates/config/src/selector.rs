//! Label selectors.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::label;
use crate::labels::{LabelSet, Labels};

/// A label selector: says of labels whether they match.
///
/// One without any requirement matches everything. Two are equal when they were written the same,
/// apart from the order of values.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    match_labels: Labels,
    match_expressions: Vec<Expression>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Expression {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Test {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

/// Why a label selector is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The operator is not one of the four.
    #[error("{0:?} is not a valid label selector operator")]
    Operator(String),
    /// `In` and `NotIn` need something to compare with.
    #[error("key {0:?}: for 'in', 'notin' operators, values set can't be empty")]
    NoValues(String),
    /// `Exists` and `DoesNotExist` compare with nothing.
    #[error("key {0:?}: values set must be empty for exists and does not exist")]
    Values(String),
    /// No label can have this name.
    #[error(
        "key {0:?}: invalid label key: use letters, digits, '-', '_' and '.', at most 63, a \
         letter or digit first and last; a DNS name and '/' may go before"
    )]
    Key(String),
    /// No label can have this value.
    #[error(
        "key {key:?}: invalid label value {value:?}: use letters, digits, '-', '_' and '.', at \
         most 63, a letter or digit first and last"
    )]
    Value {
        /// The label's name.
        key: String,
        /// The value.
        value: String,
    },
    /// The same value or expression twice.
    #[error(transparent)]
    Duplicate(#[from] Duplicate),
}

/// The same entry twice in a list in which it can only be meant once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("duplicate definition of {list} {entry:?}")]
pub struct Duplicate {
    /// The list, by its field's name.
    pub list: &'static str,
    /// The entry.
    pub entry: String,
}

impl Selector {
    /// Whether `labels` fulfil every requirement.
    pub fn matches(&self, labels: &impl LabelSet) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.value(key) == Some(value))
            && self
                .match_expressions
                .iter()
                .all(|expression| expression.matches(labels))
    }

    /// Reads a list of selectors, the field `list`, in which none may stand twice.
    pub(crate) fn parse_list(
        list: &'static str,
        selectors: &[LabelSelector],
    ) -> Result<Vec<Self>, SelectorError> {
        let selectors = selectors
            .iter()
            .map(Self::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        match first_repeated(&selectors) {
            Some(repeated) => Err(Duplicate {
                list,
                entry: repeated.to_string(),
            }
            .into()),
            None => Ok(selectors),
        }
    }
}

impl Expression {
    fn matches(&self, labels: &impl LabelSet) -> bool {
        let value = labels.value(&self.key);
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.contains(value)),
            // A label that is not there has none of the values.
            Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
        }
    }
}

impl TryFrom<&LabelSelector> for Selector {
    type Error = SelectorError;

    fn try_from(selector: &LabelSelector) -> Result<Self, SelectorError> {
        let match_labels = selector.match_labels.clone().unwrap_or_default();
        for (key, value) in &match_labels {
            check_key(key)?;
            check_value(key, value)?;
        }
        let match_expressions = selector
            .match_expressions
            .iter()
            .flatten()
            .map(Expression::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(repeated) = first_repeated(&match_expressions) {
            let entry = repeated.to_string();
            return Err(Duplicate {
                list: "match expressions",
                entry,
            }
            .into());
        }
        Ok(Self {
            match_labels,
            match_expressions,
        })
    }
}

impl TryFrom<&LabelSelectorRequirement> for Expression {
    type Error = SelectorError;

    fn try_from(requirement: &LabelSelectorRequirement) -> Result<Self, SelectorError> {
        let LabelSelectorRequirement {
            key,
            operator,
            values,
        } = requirement;
        check_key(key)?;
        let values = values.as_deref().unwrap_or_default();
        let compared = || values_of(key, values);
        let alone = || match values {
            [] => Ok(()),
            _ => Err(SelectorError::Values(key.clone())),
        };
        let test = match operator.as_str() {
            "In" => Test::In(compared()?),
            "NotIn" => Test::NotIn(compared()?),
            "Exists" => alone().map(|()| Test::Exists)?,
            "DoesNotExist" => alone().map(|()| Test::DoesNotExist)?,
            _ => return Err(SelectorError::Operator(operator.clone())),
        };
        Ok(Self {
            key: key.clone(),
            test,
        })
    }
}

impl fmt::Display for Selector {
    /// As `kubectl` takes it after `-l`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (key, value) in &self.match_labels {
            write!(f, "{separator}{key}={value}")?;
            separator = ",";
        }
        for expression in &self.match_expressions {
            write!(f, "{separator}{expression}")?;
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &BTreeSet<String>| {
            values
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(",")
        };
        let key = &self.key;
        match &self.test {
            Test::In(values) => write!(f, "{key} in ({})", list(values)),
            Test::NotIn(values) => write!(f, "{key} notin ({})", list(values)),
            Test::Exists => write!(f, "{key}"),
            Test::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

/// Whether one of the selectors matches, or there is none that could fail to.
pub(crate) fn any_or_none(selectors: &[Selector], labels: &impl LabelSet) -> bool {
    selectors.is_empty() || selectors.iter().any(|selector| selector.matches(labels))
}

/// The entries of the field `list`, in which none may stand twice.
pub(crate) fn distinct(
    list: &'static str,
    entries: &[String],
) -> Result<BTreeSet<String>, Duplicate> {
    let mut seen = BTreeSet::new();
    for entry in entries {
        if !seen.insert(entry.clone()) {
            return Err(Duplicate {
                list,
                entry: entry.clone(),
            });
        }
    }
    Ok(seen)
}

fn values_of(key: &str, values: &[String]) -> Result<BTreeSet<String>, SelectorError> {
    if values.is_empty() {
        return Err(SelectorError::NoValues(key.to_owned()));
    }
    for value in values {
        check_value(key, value)?;
    }
    Ok(distinct(
        "match expression value in label selector",
        values,
    )?)
}

fn first_repeated<T: Ord>(list: &[T]) -> Option<&T> {
    let mut seen = BTreeSet::new();
    list.iter().find(|entry| !seen.insert(*entry))
}

fn check_key(key: &str) -> Result<(), SelectorError> {
    if label::is_key(key) {
        return Ok(());
    }
    Err(SelectorError::Key(key.to_owned()))
}

fn check_value(key: &str, value: &str) -> Result<(), SelectorError> {
    if label::is_value(value) {
        return Ok(());
    }
    Err(SelectorError::Value {
        key: key.to_owned(),
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<Selector, SelectorError> {
        let selector: LabelSelector = serde_json::from_value(value).unwrap();
        Selector::try_from(&selector)
    }

    fn labels(text: &str) -> Labels {
        text.split_terminator(',')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn matching() {
        let expression = |key, operator, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, text, yes, no) in [
            (json!({}), "", vec!["", "a=b"], vec![]),
            (
                json!({"matchLabels": {"a": "b"}}),
                "a=b",
                vec!["a=b", "a=b,c=d"],
                vec!["", "a=c"],
            ),
            (
                json!({"matchLabels": {"a": "b", "c": ""}}),
                "a=b,c=",
                vec!["a=b,c="],
                vec!["a=b", "c=", "a=b,c=d"],
            ),
            (
                expression("a", "In", &["c", "b"]),
                "a in (b,c)",
                vec!["a=b", "a=c,x=y"],
                vec!["", "a=d", "b=a"],
            ),
            (
                expression("a", "NotIn", &["b", "c"]),
                "a notin (b,c)",
                vec!["", "a=d", "x=b"],
                vec!["a=b", "a=c"],
            ),
            (
                expression("a", "Exists", &[]),
                "a",
                vec!["a=", "a=b"],
                vec!["", "b=a"],
            ),
            (
                expression("a", "DoesNotExist", &[]),
                "!a",
                vec!["", "b=a"],
                vec!["a=", "a=b"],
            ),
            (
                json!({
                    "matchLabels": {"a": "b"},
                    "matchExpressions": [
                        {"key": "c", "operator": "Exists"},
                        {"key": "d.example/e", "operator": "DoesNotExist"},
                    ],
                }),
                "a=b,c,!d.example/e",
                vec!["a=b,c=d"],
                vec!["a=b", "c=d", "a=b,c=d,d.example/e="],
            ),
        ] {
            let read = read(selector).unwrap();
            assert_eq!(read.to_string(), text);
            for set in yes {
                assert!(read.matches(&labels(set)), "{text:?} matches {set:?}");
            }
            for set in no {
                assert!(
                    !read.matches(&labels(set)),
                    "{text:?} does not match {set:?}"
                );
            }
        }
    }

    #[test]
    fn bad_selectors_say_why() {
        let expression = |value: Value| json!({"matchExpressions": [value]});
        for (selector, error) in [
            (
                expression(json!({"key": "a", "operator": "Surrounds", "values": ["b"]})),
                "\"Surrounds\" is not a valid label selector operator",
            ),
            (
                expression(json!({"key": "a", "operator": ""})),
                "\"\" is not a valid label selector operator",
            ),
            (
                expression(json!({"key": "", "operator": "Exists"})),
                "key \"\": invalid label key",
            ),
            (
                expression(json!({"key": "a", "operator": "In", "values": ["b", "c", "b"]})),
                "duplicate definition of match expression value in label selector \"b\"",
            ),
            (
                json!({"matchExpressions": [
                    {"key": "a", "operator": "In", "values": ["b", "c"]},
                    {"key": "d", "operator": "Exists"},
                    {"key": "a", "operator": "In", "values": ["c", "b"]},
                ]}),
                "duplicate definition of match expressions \"a in (b,c)\"",
            ),
            (
                expression(json!({"key": "a", "operator": "In"})),
                "key \"a\": for 'in', 'notin' operators, values set can't be empty",
            ),
            (
                expression(json!({"key": "a", "operator": "Exists", "values": ["b"]})),
                "key \"a\": values set must be empty for exists and does not exist",
            ),
            (
                expression(json!({"key": "a", "operator": "NotIn", "values": ["b c"]})),
                "key \"a\": invalid label value \"b c\"",
            ),
            (
                json!({"matchLabels": {"a": "-b"}}),
                "invalid label value \"-b\"",
            ),
            (
                json!({"matchLabels": {"A.example/b": "c"}}),
                "key \"A.example/b\": invalid",
            ),
            (
                json!({"matchLabels": {"a/b/c": "d"}}),
                "key \"a/b/c\": invalid label key",
            ),
            (
                json!({"matchLabels": {"/a": "d"}}),
                "key \"/a\": invalid label key",
            ),
            (
                json!({"matchLabels": {"ключ": "d"}}),
                "key \"ключ\": invalid label key",
            ),
            (
                json!({"matchLabels": {"a".repeat(64): "d"}}),
                "invalid label key",
            ),
        ] {
            let said = read(selector.clone())
                .expect_err(&selector.to_string())
                .to_string();
            assert!(said.contains(error), "{selector}: {said}");
        }
    }

    #[test]
    fn names_at_their_limits_are_fine() {
        let (name, prefix) = ("a".repeat(63), format!("{}.b", "a".repeat(251)));
        let key = format!("{prefix}/{name}");
        assert_eq!(prefix.len(), 253);
        assert!(read(json!({"matchLabels": {key: name}})).is_ok());
    }

    #[test]
    fn a_list_has_each_selector_once() {
        let list = |value: Value| -> Vec<LabelSelector> { serde_json::from_value(value).unwrap() };
        let twice = list(json!([
            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]}]},
            {"matchLabels": {"a": "b"}},
            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["c", "b"]}]},
        ]));
        let said = Selector::parse_list("nodeSelectors", &twice)
            .unwrap_err()
            .to_string();
        assert_eq!(said, "duplicate definition of nodeSelectors \"a in (b,c)\"");
        // Two ways of saying the same are not a duplicate, to upstream either.
        let same = list(json!([
            {"matchLabels": {"a": "b"}},
            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
        ]));
        assert_eq!(
            Selector::parse_list("nodeSelectors", &same).unwrap().len(),
            2
        );
    }
}
