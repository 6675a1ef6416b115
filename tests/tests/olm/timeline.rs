//! What happens while a version takes the place of another, line by line, with the time, and which
//! of the client's questions got no answer meanwhile.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use metallb_tests::asking::{Asking, PACE};
use metallb_tests::product::NAMESPACE;
use metallb_tests::{Cluster, Kubectl};
use serde_json::Value;

/// Looks on until it is told to end.
pub(crate) struct Timeline {
    started: Instant,
    lines: Arc<Mutex<Vec<(Instant, String)>>>,
    /// Who looks, until the other end of this is dropped. Nothing once it has ended.
    watch: Option<(Sender<()>, JoinHandle<()>)>,
    asking: Vec<(IpAddr, Asking)>,
}

impl Timeline {
    pub(crate) fn start(cluster: &Cluster, asked: &[IpAddr]) -> Result<Self> {
        let lines = Arc::<Mutex<Vec<(Instant, String)>>>::default();
        let (going_on, ended) = mpsc::channel();
        let asking = asked.iter().map(|ip| Ok((*ip, cluster.ask(*ip)?)));
        let asking = asking.collect::<Result<Vec<_>>>()?;
        let (kubectl, seen) = (cluster.admin(), lines.clone());
        let watch = thread::spawn(move || look(&kubectl, &seen, &ended));
        Ok(Self {
            started: Instant::now(),
            lines,
            watch: Some((going_on, watch)),
            asking,
        })
    }

    pub(crate) fn note(&self, what: &str) {
        note(&self.lines, Instant::now(), what.to_owned());
    }

    /// Prints it. With `what` happened, no question may have been lost.
    pub(crate) fn end(mut self, what: Option<&str>) -> Result<()> {
        let mut asked = 0;
        let mut lost = 0;
        for (ip, asking) in std::mem::take(&mut self.asking) {
            let answers = asking.end()?;
            asked += answers.asked();
            lost += answers.lost().len();
            for at in answers.lost() {
                note(&self.lines, at, format!("no answer from {ip}"));
            }
        }
        self.print()?;
        if let Some(what) = what {
            let seen =
                format!("{what}: {lost} of {asked} questions lost, one each {PACE:?} and family");
            println!("  {seen}");
            ensure!(asked > 0 && lost == 0, "{seen}");
        }
        Ok(())
    }

    fn print(&mut self) -> Result<()> {
        let Some((going_on, watch)) = self.watch.take() else {
            return Ok(());
        };
        drop(going_on);
        watch.join().map_err(|_| anyhow!("the watch died"))?;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.sort();
        for (at, line) in lines.iter() {
            println!("  {:7.2} s  {line}", (*at - self.started).as_secs_f64());
        }
        Ok(())
    }
}

/// What happened is wanted most when a story ends before its time.
impl Drop for Timeline {
    fn drop(&mut self) {
        if let Err(error) = self.print() {
            println!("  {error:#}");
        }
    }
}

/// Notes what is other than before, until the end.
fn look(kubectl: &Kubectl, lines: &Mutex<Vec<(Instant, String)>>, ended: &Receiver<()>) {
    let mut before = BTreeMap::new();
    loop {
        let get = ["-n", NAMESPACE, "get", "csv,installplan,metallb,pods"];
        if let Ok(list) = kubectl.json(&get) {
            let now: BTreeMap<String, String> = list["items"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(state)
                .collect();
            for (name, state) in &now {
                if before.get(name) != Some(state) {
                    note(lines, Instant::now(), format!("{name}: {state}"));
                }
            }
            for name in before.keys().filter(|name| !now.contains_key(*name)) {
                note(lines, Instant::now(), format!("{name}: gone"));
            }
            before = now;
        }
        if ended.recv_timeout(REST) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// The name of an object, and how it is.
fn state(object: &Value) -> Option<(String, String)> {
    let (kind, name) = (
        object["kind"].as_str()?,
        object["metadata"]["name"].as_str()?,
    );
    let status = &object["status"];
    let state = match kind {
        "Pod" => pod(object),
        "MetalLB" => {
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let holding = conditions.filter(|it| it["status"] == "True");
            holding
                .filter_map(|it| it["type"].as_str())
                .collect::<Vec<_>>()
                .join(", ")
        }
        _ => status["phase"].as_str().unwrap_or_default().to_owned(),
    };
    (!state.is_empty()).then(|| (format!("{kind} {name}"), state))
}

fn pod(pod: &Value) -> String {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let image = spec["containers"][0]["image"].as_str().unwrap_or_default();
    let digest = image
        .split("sha256:")
        .nth(1)
        .and_then(|it| it.get(..8))
        .unwrap_or(image);
    let node = spec["nodeName"].as_str().unwrap_or("no node yet");
    let container = &status["containerStatuses"][0];
    let waits = container["state"]["waiting"]["reason"].as_str();
    let how = if pod["metadata"]["deletionTimestamp"].is_string() {
        "is ending"
    } else if container["ready"] == true {
        "ready"
    } else {
        waits
            .or_else(|| status["phase"].as_str())
            .unwrap_or_default()
    };
    format!("{how}, on {node}, image {digest}")
}

fn note(lines: &Mutex<Vec<(Instant, String)>>, at: Instant, line: String) {
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    lines.push((at, line));
}

/// Between two looks, which are not cheap: each reads whole bundles.
const REST: Duration = Duration::from_secs(1);
