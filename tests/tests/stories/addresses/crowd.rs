//! Many Services at once.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context as _, Result, anyhow, ensure};
use metallb_tests::{eventually, product::NAMESPACE};
use serde_json::{Value, json};

use crate::world::{Installed, SOON};

/// A Service that asks a pool for an address, and behind which there is nothing.
pub(super) fn service(name: &str, pool: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "namespace": "default",
            "labels": { "crowd": pool },
            "annotations": { "metallb.io/address-pool": pool },
        },
        "spec": {
            "type": "LoadBalancer",
            "allocateLoadBalancerNodePorts": false,
            "ports": [{ "port": 80, "protocol": "TCP" }],
        },
    })
}

/// Services of one pool with the names `POOL-000`, `POOL-001`, …
fn services(pool: &str, count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| service(&format!("{pool}-{n:03}"), pool))
        .collect()
}

/// The addresses that the status of a Service shows.
pub(super) fn addresses(service: &Value) -> BTreeSet<IpAddr> {
    let ingress = service["status"]["loadBalancer"]["ingress"].as_array();
    ingress
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["ip"].as_str()?.parse().ok())
        .collect()
}

/// What a client's thread came to.
pub(super) fn join<T>(client: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    client
        .join()
        .unwrap_or_else(|_| Err(anyhow!("a client panicked")))
}

impl Installed {
    /// Applies several objects in one go.
    pub(super) fn apply_all(&self, objects: &[Value]) -> Result<()> {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        self.kubectl.apply(&list.to_string())
    }

    /// Applies `count` Services of one pool, in the order of their names.
    pub(super) fn crowd(&self, pool: &str, count: usize) -> Result<()> {
        self.apply_all(&services(pool, count))
    }

    /// The same, by several clients at once; `made` is told of each handful.
    pub(super) fn crowd_at_once(
        &self,
        pool: &str,
        count: usize,
        made: &(impl Fn(usize) + Sync),
    ) -> Result<()> {
        let services = services(pool, count);
        thread::scope(|scope| {
            let share = count.div_ceil(CLIENTS);
            let clients: Vec<_> = services
                .chunks(share)
                .map(|share| {
                    scope.spawn(move || {
                        for handful in share.chunks(HANDFUL) {
                            self.apply_all(handful)?;
                            made(handful.len());
                        }
                        Ok(())
                    })
                })
                .collect();
            clients.into_iter().try_for_each(join)
        })
    }

    /// Deletes them all, and the pool.
    pub(super) fn crowd_leaves(&self, pool: &str) -> Result<()> {
        // In one request: kubectl deletes five a second.
        let all = format!("/api/v1/namespaces/default/services?labelSelector=crowd%3D{pool}");
        let answer = self.cluster.request("DELETE", &all, None)?;
        ensure!(answer.is_ok(), "{}", answer.message());
        self.delete(NAMESPACE, "ipaddresspool", pool)
    }

    /// Patches the spec of a pool.
    pub(super) fn edit_pool(&self, name: &str, spec: &Value) -> Result<()> {
        let patch = json!({ "spec": spec }).to_string();
        let arguments = [
            "-n",
            NAMESPACE,
            "patch",
            "ipaddresspool",
            name,
            "--type=merge",
            "-p",
            &patch,
        ];
        self.kubectl.output(&arguments).map(drop)
    }

    /// The condition `metallb.io/AddressAssigned` of a Service.
    pub(super) fn address_condition(&self, service: &str) -> Result<Value> {
        let path = format!("/api/v1/namespaces/default/services/{service}");
        let object = self.cluster.get(&path)?;
        let conditions = object["status"]["conditions"].as_array().cloned();
        conditions
            .unwrap_or_default()
            .into_iter()
            .find(|condition| condition["type"] == "metallb.io/AddressAssigned")
            .with_context(|| format!("{service} has no such condition: {}", object["status"]))
    }

    /// Waits until all Services of one pool are told these words in their conditions. One whose
    /// status is still being written gets its turn after those that wait.
    pub(super) fn all_refused(&self, pool: &str, count: usize, words: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/default/services?labelSelector=crowd%3D{pool}");
        eventually(&format!("{count} are told {words:?}"), SOON, || {
            let services = self.cluster.get(&path)?;
            let told = |service: &Value| {
                let conditions = service["status"]["conditions"].as_array();
                let messages = conditions.into_iter().flatten().map(|it| &it["message"]);
                let mut texts = messages.filter_map(Value::as_str);
                texts.any(|text| text.contains(words))
            };
            let services = services["items"].as_array().cloned().unwrap_or_default();
            let told = services.iter().filter(|service| told(service)).count();
            Ok(if told == count {
                Ok(())
            } else {
                Err(format!("{told} are"))
            })
        })
    }

    /// Waits until a Service is told why it has no address: by its condition, and in what
    /// `kubectl describe` shows. Both have these words.
    pub(super) fn refused(&self, service: &str, words: &str) -> Result<()> {
        let what = format!("{service} is told {words:?}");
        eventually(&what, SOON, || {
            let condition = self.address_condition(service)?;
            let message = condition["message"].as_str().unwrap_or_default();
            Ok(
                if condition["status"] == "False" && message.contains(words) {
                    println!("  {service}: {message}");
                    Ok(())
                } else {
                    Err(condition.to_string())
                },
            )
        })?;
        eventually(&format!("{what} by kubectl describe"), SOON, || {
            let shown = self.kubectl.output(&["describe", "service", service])?;
            let told = shown.contains("Warning") && shown.contains(words);
            Ok(if told { Ok(()) } else { Err(shown) })
        })
    }
}

/// So many clients create at once.
const CLIENTS: usize = 5;
/// So many Services are in one request of a client to kubectl.
const HANDFUL: usize = 10;
