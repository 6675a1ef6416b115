//! `operator check`: what is wrong in YAML files, without a cluster, by the rules that the webhooks
//! and the programs go by.

mod fields;
pub(crate) mod files;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use metallb_admission::{convert, placed, validate};
use metallb_config::{Objects, References, Rejected, Surroundings, parse};
use metallb_crds::names::DEFAULT_NAMESPACE;
use metallb_crds::v1beta1::{
    BFDProfile, BGPAdvertisement, Community, IPAddressPool, L2Advertisement, MetalLB,
};
use metallb_crds::v1beta2::BGPPeer;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::fields::Definitions;
use self::files::{Document, read};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    all: Vec<Finding>,
    /// How many objects of MetalLB's were looked at.
    checked: usize,
}

/// Something about one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Where it stands, as `FILE: KIND NAME`.
    place: String,
    grave: bool,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.grave { "error" } else { "warning" };
        write!(f, "{}: {what}: {}", self.place, self.text)
    }
}

/// Checks what is in these files and folders; `-` is the standard input. The error says how much is
/// wrong, after each of it was printed.
pub(crate) fn check(paths: &[PathBuf]) -> anyhow::Result<()> {
    judge(&read(paths)?)
}

/// The same of documents that were read.
pub(crate) fn judge(documents: &[Document]) -> anyhow::Result<()> {
    let findings = findings(documents);
    for finding in &findings.all {
        println!("{finding}");
    }
    let errors = findings.all.iter().filter(|it| it.grave).count();
    let warnings = findings.all.len() - errors;
    let summary = format!(
        "objects of MetalLB checked: {}, errors: {errors}, warnings: {warnings}",
        findings.checked
    );
    anyhow::ensure!(errors == 0, "{summary}");
    println!("{summary}");
    Ok(())
}

fn findings(documents: &[Document]) -> Findings {
    let mut set = Set::default();
    for document in documents {
        set.take(document);
    }
    set.judge()
}

/// The objects of all files, by kind.
#[derive(Default)]
struct Set {
    definitions: Definitions,
    pools: Vec<IPAddressPool>,
    l2_advertisements: Vec<L2Advertisement>,
    bgp_advertisements: Vec<BGPAdvertisement>,
    bgp_peers: Vec<BGPPeer>,
    bfd_profiles: Vec<BFDProfile>,
    communities: Vec<Community>,
    /// Kind and name of each, and where it stands.
    places: Vec<((String, String), String)>,
    names: BTreeSet<(String, String)>,
    findings: Findings,
}

impl Set {
    /// Takes in a document, and says what is wrong with it alone.
    fn take(&mut self, document: &Document) {
        let Document { value, .. } = document;
        if !document.is_metallbs() {
            return;
        }
        self.findings.checked += 1;
        let place = document.place();
        for text in self.definitions.unknown_fields(value) {
            self.say(&place, true, text);
        }
        let id = (document.kind().to_owned(), document.name().to_owned());
        if !self.names.insert(id.clone()) {
            let text = "there is another one of this name in these files".to_owned();
            return self.say(&place, true, text);
        }
        self.places.push((id, place.clone()));
        if let Err(text) = self.sort(document) {
            self.say(&place, true, text);
        }
    }

    fn sort(&mut self, document: &Document) -> Result<(), String> {
        let value = document.value.clone();
        match document.kind() {
            "IPAddressPool" => self.pools.push(typed(value)?),
            "L2Advertisement" => self.l2_advertisements.push(typed(value)?),
            "BGPAdvertisement" => self.bgp_advertisements.push(typed(value)?),
            "BFDProfile" => self.bfd_profiles.push(typed(value)?),
            "Community" => self.communities.push(typed(value)?),
            "BGPPeer" => {
                let newest = convert(value, "metallb.io/v1beta2").map_err(|it| it.to_string())?;
                self.bgp_peers.push(typed(newest)?);
            }
            "MetalLB" => {
                let metallb: MetalLB = typed(value)?;
                let own = metallb.metadata.namespace.as_deref();
                let own = own.unwrap_or(DEFAULT_NAMESPACE);
                placed(own, document.name(), own).map_err(|it| it.to_string())?;
                // Where the FRR-K8s of somebody else is, the operator may have been told.
                validate(&metallb.spec, Some("frr-k8s-system")).map_err(|it| it.to_string())?;
            }
            // What the programs write is nothing to check.
            _ => {}
        }
        Ok(())
    }

    /// Says what is wrong with all of it together.
    fn judge(mut self) -> Findings {
        let alone = parse(&self.objects(References::MayFollow));
        let secrets = None;
        let whole = parse(&self.objects(References::MustExist { secrets }));
        for rejected in &alone.rejected {
            self.reject(rejected, true);
        }
        for rejected in &whole.rejected {
            if !alone
                .rejected
                .iter()
                .any(|it| is_about_the_same(it, rejected))
            {
                self.reject(rejected, false);
            }
        }
        for advice in whole.config.advice(&Surroundings::default()) {
            // Without a cluster, all of it is about objects.
            if let Some((kind, name)) = &advice.about {
                let place = self.place_of(&kind.to_string(), name);
                self.say(&place, false, advice.text);
            }
        }
        self.findings.all.sort();
        self.findings
    }

    fn objects<'a>(&'a self, references: References<'a>) -> Objects<'a> {
        Objects {
            pools: &self.pools,
            l2_advertisements: &self.l2_advertisements,
            bgp_advertisements: &self.bgp_advertisements,
            bgp_peers: &self.bgp_peers,
            bfd_profiles: &self.bfd_profiles,
            communities: &self.communities,
            nodes: &[],
            references,
        }
    }

    fn reject(&mut self, rejected: &Rejected, grave: bool) {
        let place = self.place_of(&rejected.kind.to_string(), &rejected.name);
        let error = &rejected.error;
        let text = if grave {
            error.to_string()
        } else {
            format!("{error}, unless it is in the cluster: these files do not have what is named")
        };
        self.say(&place, grave, text);
    }

    fn place_of(&self, kind: &str, name: &str) -> String {
        let places = self.places.iter();
        let mut places = places.filter(|((its, named), _)| its == kind && named == name);
        places
            .next()
            .map_or_else(|| format!("{kind} {name}"), |(_, place)| place.clone())
    }

    fn say(&mut self, place: &str, grave: bool, text: String) {
        self.findings.all.push(Finding {
            place: place.to_owned(),
            grave,
            text,
        });
    }
}

fn is_about_the_same(one: &Rejected, other: &Rejected) -> bool {
    (one.kind, &one.name) == (other.kind, &other.name)
}

fn typed<K: DeserializeOwned>(value: Value) -> Result<K, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}
