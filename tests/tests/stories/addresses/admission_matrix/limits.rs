//! Names and annotations as long and as strange as they may be.

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{Answer, Cluster, eventually};
use serde_json::{Value, json};

use super::{line::Table, objects::Object};
use crate::world::SOON;

/// One kind's objects are taken with any name and annotation that Kubernetes allows, and come back
/// as they were; others are refused by the API server in its own words.
pub(super) fn names_and_annotations(cluster: &Cluster, table: &Table) -> Result<()> {
    let named = |name: &str| Object::new(&table.kind, None, name, &table.good);
    let too_long = "n".repeat(LONGEST + 1);
    for (name, words) in [
        (&*too_long, "must be no more than 253"),
        ("Größe", "a lowercase RFC 1123 subdomain"),
        ("", "name or generateName is required"),
    ] {
        refused(&named(name).try_new(cluster)?, words).with_context(|| format!("name {name:?}"))?;
    }
    let mut heavy = named("line-new");
    heavy.content["metadata"]["annotations"] = json!({ "a": "ä".repeat(LARGEST / 2) });
    refused(
        &heavy.try_new(cluster)?,
        "may not be more than 262144 bytes",
    )?;

    let mut object = named(&"n".repeat(LONGEST));
    object.content["metadata"]["annotations"] = json!({ "example.com/note": NOTE });
    let object = object.made(cluster)?;
    let told = long_life(cluster, table, &object);
    object.delete(cluster)?;
    told
}

/// What an object with the longest name and any text beside it goes through.
fn long_life(cluster: &Cluster, table: &Table, object: &Object) -> Result<()> {
    let version = object.content["apiVersion"].as_str().unwrap_or_default();
    let version = version.rsplit('/').next().unwrap_or_default();
    let read = object.read(cluster, version)?;
    ensure!(note(&read) == NOTE, "{}", read["metadata"]);
    match &*table.kind {
        "BGPPeer" => {
            broken_annotation(cluster, object)?;
            // There and back again, through the version that says less.
            let old = object.read(cluster, "v1beta1")?;
            ensure!(note(&old) == NOTE, "{}", old["metadata"]);
            let mut edited = object.edited(Some("v1beta1"), &old["spec"]);
            edited.content["metadata"] = old["metadata"].clone();
            edited.edit(cluster)?;
            let back = object.read(cluster, "v1beta2")?;
            ensure!(
                back["spec"] == read["spec"],
                "{} is not {}",
                back["spec"],
                read["spec"]
            );
            let annotations = |object: &Value| object["metadata"]["annotations"].clone();
            ensure!(annotations(&back) == annotations(&read), "{back}");
        }
        // The controller knows it by this name, in its status and its metrics.
        "IPAddressPool" => eventually("the pool has its status", SOON, || {
            let status = &object.read(cluster, version)?["status"];
            let counted = status["availableIPv4"] == 256;
            Ok(if counted {
                Ok(())
            } else {
                Err(status.to_string())
            })
        })?,
        _ => {}
    }
    Ok(())
}

/// Where v1beta1 keeps what it cannot say there is something else: one is told what to do.
fn broken_annotation(cluster: &Cluster, object: &Object) -> Result<()> {
    let spec = json!({ "myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1" });
    let mut edited = object.edited(Some("v1beta1"), &spec);
    edited.content["metadata"]["annotations"] = json!({ "metallb.io/v1beta2-spec": "Größe" });
    let answer = edited.try_edit(cluster)?;
    let said = answer.message();
    let words = "annotation metallb.io/v1beta2-spec is not what was kept there";
    ensure!(said.contains(words), "{words:?} is not in: {said}");
    ensure!(said.contains("or remove it"), "{said}");
    Ok(())
}

fn note(object: &Value) -> &Value {
    &object["metadata"]["annotations"]["example.com/note"]
}

fn refused(answer: &Answer, words: &str) -> Result<()> {
    let said = answer.message();
    ensure!(answer.status == 422, "HTTP {}: {said}", answer.status);
    ensure!(said.contains(words), "{words:?} is not in: {said}");
    Ok(())
}

/// Letters of a name, and bytes of all annotations of an object, at most.
const LONGEST: usize = 253;
const LARGEST: usize = 256 << 10;
/// Letters of two, three and four bytes, those that only change others, and one that turns around.
const NOTE: &str = "Grüße 世界 🚀 e\u{301} \u{202e}kcab\u{202c} \u{0}\u{7f} \"\\\n</script>";
