//! Metrics with labels that are made when somebody asks for them.

use metallb_kit::metrics::prometheus::proto::{LabelPair, Metric};

/// A metric without a value, with these labels in the order in which they are printed.
pub(super) fn labelled(names: &[&str], values: impl IntoIterator<Item = String>) -> Metric {
    let labels = names.iter().zip(values).map(|(name, value)| {
        let mut label = LabelPair::default();
        label.set_name((*name).to_owned());
        label.set_value(value);
        label
    });
    Metric::from_label(labels.collect())
}
