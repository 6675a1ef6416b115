//! Many metrics with the same labels, as one table.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use metallb_kit::metrics::Metrics;
use metallb_kit::metrics::prometheus::core::{Collector, Desc};
use metallb_kit::metrics::prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};

use super::labels::labelled;

/// The metrics, written out when somebody asks for them. A metric of the library's own for each
/// cell takes more memory than all else that is known of a session.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Arc<[Column]>,
    labels: &'static [&'static str],
    rows: Arc<Mutex<Rows>>,
}

/// A metric: its description and type.
#[derive(Debug)]
pub(crate) struct Column {
    desc: Desc,
    of: MetricType,
}

/// The values of all columns, by those of the labels.
pub(crate) type Rows = BTreeMap<Vec<String>, Vec<u64>>;

impl Column {
    /// A value that goes up and down.
    pub(crate) fn gauge(name: String, help: &str, labels: &[&str]) -> Self {
        Self::new(name, help, labels, MetricType::GAUGE)
    }

    /// One that goes up alone.
    pub(crate) fn counter(name: String, help: &str, labels: &[&str]) -> Self {
        Self::new(name, help, labels, MetricType::COUNTER)
    }

    fn new(name: String, help: &str, labels: &[&str], of: MetricType) -> Self {
        let labels = labels.iter().map(|&it| it.to_owned()).collect();
        let desc = Desc::new(name, help.to_owned(), labels, HashMap::new());
        Self {
            desc: desc.expect("a metric's name and labels are valid"),
            of,
        }
    }

    fn metric(&self, labels: &[&str], row: (&Vec<String>, u64)) -> Metric {
        #[expect(
            clippy::cast_precision_loss,
            reason = "all values of Prometheus' are such"
        )]
        let value = row.1 as f64;
        let mut metric = labelled(labels, row.0.iter().cloned());
        if self.of == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        metric
    }
}

impl Table {
    pub(crate) fn new(
        metrics: &Metrics,
        labels: &'static [&'static str],
        columns: impl IntoIterator<Item = Column>,
    ) -> Self {
        metrics.add(Ok(Self {
            columns: columns.into_iter().collect(),
            labels,
            rows: Arc::default(),
        }))
    }

    /// This is all there is from now on.
    pub(crate) fn show(&self, rows: Rows) {
        *self.rows() = rows;
    }

    /// One more in this column. What its row counts beside is there from then on, too.
    pub(crate) fn count(&self, labels: Vec<String>, column: usize) {
        let mut rows = self.rows();
        let row = rows.entry(labels);
        row.or_insert_with(|| vec![0; self.columns.len()])[column] += 1;
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().expect("nobody panics with it")
    }
}

impl Collector for Table {
    fn desc(&self) -> Vec<&Desc> {
        self.columns.iter().map(|it| &it.desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let rows = self.rows();
        let columns = self.columns.iter().enumerate();
        let families = columns.map(|(at, column)| {
            let mut family = MetricFamily::default();
            family.set_name(column.desc.fq_name.clone());
            family.set_help(column.desc.help.clone());
            family.set_field_type(column.of);
            let cells = rows.iter().map(|(labels, row)| (labels, row[at]));
            let metrics = cells.map(|it| column.metric(self.labels, it));
            family.set_metric(metrics.collect());
            family
        });
        families.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_all_there_is() {
        let metrics = Metrics::new();
        let labels = &["peer"];
        let table = Table::new(
            &metrics,
            labels,
            [
                Column::gauge("up".to_owned(), "Whether it is up", labels),
                Column::counter("sent".to_owned(), "Messages sent", labels),
            ],
        );
        let lines = || {
            let text = metrics.text();
            let ours = text
                .lines()
                .filter(|it| it.contains("up") || it.contains("sent"));
            ours.map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(lines().is_empty());
        let row = |peer: &str, up, sent| (vec![peer.to_owned()], vec![up, sent]);
        table.show([row("a", 1, 7), row("b", 0, 9)].into());
        table.show([row("b", 1, 9)].into());
        table.count(vec!["b".to_owned()], 1);
        assert_eq!(
            lines(),
            [
                "# HELP sent Messages sent",
                "# TYPE sent counter",
                "sent{peer=\"b\"} 10",
                "# HELP up Whether it is up",
                "# TYPE up gauge",
                "up{peer=\"b\"} 1",
            ]
        );
    }
}
