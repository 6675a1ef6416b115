//! The labels of an object, as a map and in little space.

use std::collections::BTreeMap;

/// The labels of an object.
pub type Labels = BTreeMap<String, String>;

/// What selectors look at: labels in either form.
pub trait LabelSet {
    /// The value of the label with this key, if there is one.
    fn value(&self, key: &str) -> Option<&str>;
}

impl LabelSet for Labels {
    fn value(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

/// Labels as one text: a map of its own for each Service would be most of what is kept of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelText {
    /// Keys and values in turn, each followed by a line feed, which none of them can have.
    text: Box<str>,
}

impl LabelText {
    /// As a map.
    pub fn to_map(&self) -> Labels {
        let pairs = self.pairs();
        pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut parts = self.text.split_terminator('\n');
        std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
    }
}

impl LabelSet for LabelText {
    fn value(&self, key: &str) -> Option<&str> {
        self.pairs().find(|it| it.0 == key).map(|it| it.1)
    }
}

impl From<Option<&BTreeMap<String, String>>> for LabelText {
    fn from(labels: Option<&BTreeMap<String, String>>) -> Self {
        let mut text = String::new();
        for part in labels.into_iter().flatten().flat_map(|(k, v)| [k, v]) {
            text.push_str(part);
            text.push('\n');
        }
        Self { text: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_back_as_they_were() {
        for pairs in [
            &[][..],
            &[("app", "web")],
            &[
                ("empty", ""),
                ("kubernetes.io/name", "a.b_c-d"),
                ("last", ""),
            ],
        ] {
            let labels: Labels = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            let text = LabelText::from(Some(&labels));
            assert_eq!(text.to_map(), labels);
            for key in ["app", "empty", "last", "web"] {
                assert_eq!(text.value(key), labels.value(key));
            }
        }
        assert_eq!(LabelText::from(None).to_map(), Labels::new());
    }
}
