//! What this node announces, as a metric.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use metallb_kit::metrics::Metrics;
use metallb_kit::metrics::prometheus::core::{Collector, Desc};
use metallb_kit::metrics::prometheus::proto::{Gauge, Metric, MetricFamily, MetricType};
use metallb_kit::watch::ObjectKey;

use super::labels::labelled;

/// Where one of the protocols says what it announces.
#[derive(Clone, Debug)]
pub(crate) struct AnnouncedMetric {
    all: Announced,
    protocol: Protocol,
}

impl AnnouncedMetric {
    pub(crate) fn new(metrics: &Metrics, node: &str) -> Self {
        let labels = LABELS.map(str::to_owned).into();
        let desc = Desc::new(NAME.to_owned(), HELP.to_owned(), labels, HashMap::new());
        let all = Announced {
            desc: Arc::new(desc.expect("a metric's name and labels are valid")),
            node: node.into(),
            values: Arc::default(),
        };
        Self {
            all: metrics.add(Ok(all)),
            protocol: Protocol::Layer2,
        }
    }

    /// The same metric, for BGP.
    pub(crate) fn of_bgp(&self) -> Self {
        Self {
            protocol: Protocol::Bgp,
            ..self.clone()
        }
    }

    pub(crate) fn set(&self, service: &ObjectKey, ip: IpAddr) {
        let value = (service.clone(), self.protocol, ip);
        self.all.values().insert(value);
    }

    pub(crate) fn remove(&self, service: &ObjectKey, ip: IpAddr) {
        let value = (service.clone(), self.protocol, ip);
        self.all.values().remove(&value);
    }

    /// As [that of Services](metallb_ipam::Claims::compact).
    pub(crate) fn compact(&self) {
        let mut values = self.all.values();
        *values = std::mem::take(&mut *values).into_iter().collect();
    }
}

/// The metric, written out when somebody asks for it. Gauges with labels of their own would take
/// more memory than all else that is known of a Service.
#[derive(Clone, Debug)]
struct Announced {
    desc: Arc<Desc>,
    node: Arc<str>,
    values: Arc<Mutex<Values>>,
}

/// Which Service is announced by which protocol, with which address.
type Values = BTreeSet<(ObjectKey, Protocol, IpAddr)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Protocol {
    Bgp,
    Layer2,
}

impl Protocol {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bgp => "bgp",
            Self::Layer2 => "layer2",
        }
    }
}

impl Announced {
    fn values(&self) -> MutexGuard<'_, Values> {
        self.values.lock().expect("nobody panics with it")
    }

    fn metric(&self, (service, protocol, ip): &(ObjectKey, Protocol, IpAddr)) -> Metric {
        let values = [
            ip.to_string(),
            self.node.to_string(),
            protocol.as_str().to_owned(),
            service.to_string(),
        ];
        let mut gauge = Gauge::default();
        gauge.set_value(1.0);
        let mut metric = labelled(&LABELS, values);
        metric.set_gauge(gauge);
        metric
    }
}

impl Collector for Announced {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut family = MetricFamily::default();
        family.set_name(NAME.to_owned());
        family.set_help(HELP.to_owned());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(self.values().iter().map(|it| self.metric(it)).collect());
        vec![family]
    }
}

const NAME: &str = "metallb_speaker_announced";
const HELP: &str = "Services being announced from this node. This is desired state, it does not \
    guarantee that the routing protocols have converged.";
/// In the order in which they are printed.
const LABELS: [&str; 4] = ["ip", "node", "protocol", "service"];
