//! The `DaemonSet` of FRR-K8s as MetalLB's own operator makes it, but with an image that is to be
//! had: this machine's FRR, configured from the beginning.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::operator;
use crate::{Kubectl, oci, process};

/// The archive of an image with zebra and bgpd.
pub fn image(folder: &Path) -> Result<PathBuf> {
    let mut files = BTreeMap::new();
    for program in PROGRAMS {
        files.insert(program.to_owned(), fs::read(program)?);
        for library in libraries(program)? {
            let bytes = fs::read(&library)?;
            files.insert(library, bytes);
        }
    }
    let users = "root:x:0:0::/:\nfrr:x:300:300::/:\n";
    files.insert("/etc/passwd".to_owned(), users.into());
    let groups = "root:x:0:\nfrr:x:300:\nfrrvty:x:301:root,frr\n";
    files.insert("/etc/group".to_owned(), groups.into());
    for folder in ["/run/frr/", "/tmp/", "/var/run/frr/", "/var/tmp/"] {
        files.insert(folder.to_owned(), Vec::new());
    }
    let files = files.into_iter();
    let files: Vec<_> = files
        .map(|(path, bytes)| (path[1..].to_owned(), bytes))
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(path, bytes)| (&**path, bytes.clone()))
        .collect();
    let archive = folder.join("frr.tar");
    oci::pack(
        &oci::Image {
            reference: IMAGE,
            files: &files,
            entrypoint: &["/bin/dash", "-c", RUN],
            ..oci::Image::default()
        },
        &archive,
    )?;
    Ok(archive)
}

/// The object, made for the `MetalLB` object of this uid, whose bgpd is configured so.
pub fn daemon_set(kubectl: &Kubectl, uid: &str, bgpd: &str) -> Result<Value> {
    let all = operator::operands(kubectl, uid, "frr-k8s")?;
    let mut all = all.into_iter();
    let found = all.find(|it| it["kind"] == "DaemonSet" && it["metadata"]["name"] == "frr-k8s");
    let mut daemon_set = found.context("its chart has no such DaemonSet")?;
    let pod = daemon_set["spec"]["template"]["spec"]
        .as_object_mut()
        .context("a pod")?;
    for part in ["initContainers", "volumes", "serviceAccountName"] {
        pod.remove(part);
    }
    let container = json!({
        "name": "frr", "image": IMAGE, "imagePullPolicy": "Never",
        "securityContext": { "privileged": true },
        "env": [{ "name": "BGPD", "value": bgpd }],
    });
    pod.insert("containers".to_owned(), json!([container]));
    Ok(daemon_set)
}

/// What a program is linked with.
fn libraries(program: &str) -> Result<Vec<String>> {
    let said = process::run(Command::new("ldd").arg(program))?;
    let words = said.split_whitespace();
    Ok(words
        .filter(|it| it.starts_with('/'))
        .map(str::to_owned)
        .collect())
}

const IMAGE: &str = "metallb.test/frr:1";
const PROGRAMS: [&str; 4] = [
    "/usr/lib/frr/zebra",
    "/usr/lib/frr/bgpd",
    "/bin/dash",
    "/bin/sleep",
];
/// As with upstream's image, the first process is none of FRR's: when it ends, at once, the others
/// are killed and say nothing to their peers. bgpd talks to zebra from the start or ten seconds
/// later, and listens to nobody.
const RUN: &str = r#"trap 'exit 0' TERM
cd /run/frr
: >zebra.conf
printf '%s' "$BGPD" >bgpd.conf
frr() {
    daemon=$1; shift
    /usr/lib/frr/$daemon -u root -g root -f $PWD/$daemon.conf -i $PWD/$daemon.pid \
        -z $PWD/zserv.api --vty_socket $PWD -A 127.0.0.1 -P 0 --log stdout "$@" &
}
frr zebra
until [ -S zserv.api ]; do sleep 0.1; done
frr bgpd -p 0
wait $!"#;
