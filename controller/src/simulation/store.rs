//! The API server: objects with resourceVersions, and the record of what happened to them.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::LeaseSpec;
use kube::ResourceExt as _;
use metallb_config::ObjectKey;
use metallb_crds::v1beta1::IPAddressPool;
use metallb_lease::Record;
use serde_json::json;

use crate::apply::put::edit;
use crate::decide::Write;
use crate::watched::WatchedService;

/// Everything that is stored.
#[derive(Debug, Default)]
pub(super) struct Store {
    version: u64,
    pub(super) services: BTreeMap<ObjectKey, WatchedService>,
    pub(super) pools: BTreeMap<String, IPAddressPool>,
    pub(super) lease: Option<Record>,
    /// What happened to Services, in order; a watch is a place in it.
    pub(super) service_log: Vec<Happened<WatchedService>>,
    /// The same for pools.
    pub(super) pool_log: Vec<Happened<IPAddressPool>>,
}

/// Something that a watch tells.
#[derive(Clone, Debug)]
pub(super) enum Happened<K> {
    Stored(K),
    Deleted(K),
}

/// The key of a Service.
pub(super) fn key(service: &WatchedService) -> ObjectKey {
    ObjectKey::new(
        &service.namespace().unwrap_or_default(),
        &service.name_any(),
    )
}

impl Store {
    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    /// Stores a Service as a user or a controller wrote it.
    pub(super) fn put_service(&mut self, key: &ObjectKey, mut service: WatchedService) {
        service.metadata.resource_version = Some(self.next_version());
        self.service_log.push(Happened::Stored(service.clone()));
        self.services.insert(key.clone(), service);
    }

    pub(super) fn delete_service(&mut self, key: &ObjectKey) {
        if let Some(gone) = self.services.remove(key) {
            self.version += 1;
            self.service_log.push(Happened::Deleted(gone));
        }
    }

    pub(super) fn put_pool(&mut self, name: &str, mut pool: IPAddressPool) {
        pool.metadata.resource_version = Some(self.next_version());
        self.pool_log.push(Happened::Stored(pool.clone()));
        self.pools.insert(name.to_owned(), pool);
    }

    pub(super) fn delete_pool(&mut self, name: &str) {
        if let Some(gone) = self.pools.remove(name) {
            self.version += 1;
            self.pool_log.push(Happened::Deleted(gone));
        }
    }

    /// What a status write finds: the Service as it is when it is still as it was decided on.
    pub(super) fn unchanged(&self, write: &Write) -> Option<&WatchedService> {
        let meta = |service: &&WatchedService| {
            service.metadata.uid.as_deref() == Some(&*write.uid)
                && service.metadata.resource_version.as_deref() == Some(&*write.resource_version)
        };
        self.services.get(&write.key).filter(meta)
    }

    /// Does a status write; `unchanged` has said that it may be done. What changes nothing is no
    /// new version, as with the real one.
    pub(super) fn write_status(&mut self, write: &Write) {
        let service = &self.services[&write.key];
        // What a write may change, and no more: lives spend much of their time here.
        let before = json!({
            "metadata": { "annotations": service.metadata.annotations },
            "status": service.status,
        });
        let mut after = before.clone();
        edit(&mut after, write, "now");
        if after == before {
            return;
        }
        let mut service = service.clone();
        let (annotations, status) = (
            after["metadata"]["annotations"].take(),
            after["status"].take(),
        );
        service.metadata.annotations = serde_json::from_value(annotations).expect("texts still");
        service.status = serde_json::from_value(status).expect("a status still");
        self.put_service(&write.key, service);
    }

    /// Writes the Lease if it is still the version that was seen (none: if there is none).
    pub(super) fn write_lease(&mut self, seen: Option<&str>, spec: LeaseSpec) -> Option<Record> {
        let now = self.lease.as_ref().map(|lease| &*lease.resource_version);
        if now != seen {
            return None;
        }
        let record = Record {
            resource_version: self.next_version(),
            spec,
        };
        self.lease = Some(record.clone());
        Some(record)
    }
}
