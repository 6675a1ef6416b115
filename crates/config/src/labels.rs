//! Labels in little space: a map of its own for each Service would be most of what is kept of it.

use std::collections::BTreeMap;

use metallb_config::Labels;

/// Labels as one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelText {
    /// Keys and values in turn, each followed by a line feed, which none of them can have.
    text: Box<str>,
}

impl LabelText {
    /// As a map.
    pub(crate) fn to_map(&self) -> Labels {
        let mut parts = self.text.split_terminator('\n').map(str::to_owned);
        let mut map = Labels::new();
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            map.insert(key, value);
        }
        map
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
            assert_eq!(LabelText::from(Some(&labels)).to_map(), labels);
        }
        assert_eq!(LabelText::from(None).to_map(), Labels::new());
    }
}
