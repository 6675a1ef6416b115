//! The cgroups of a node: one directory in every hierarchy, version 1 and 2 alike.
//!
//! Every process of a node, its pods' included, is in the node's cgroup or below it. So the cgroup
//! is how a node is frozen, killed and cleared away as a whole.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use crate::{process::Process, wait::eventually};

/// A mounted cgroup hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    mount: PathBuf,
    v2: bool,
    /// The controllers of version 1, such as `cpuset`.
    options: Vec<String>,
}

/// Makes the cgroup `name` in every hierarchy.
pub(crate) fn create(name: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let top = hierarchy.mount.join(name);
        let system = top.join(SYSTEM);
        fs::create_dir_all(&system).with_context(|| format!("cannot make {}", system.display()))?;
        if hierarchy.alone() {
            hand_down(&[&hierarchy.mount, &top]);
        }
        if hierarchy.has("cpuset") {
            // A new cpuset of version 1 is empty and takes no process.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let above = fs::read(hierarchy.mount.join(file))?;
                fs::write(top.join(file), &above)?;
                fs::write(system.join(file), &above)?;
            }
        }
    }
    Ok(())
}

/// The same command, but it and its children are in the cgroup `name`.
pub(crate) fn join(name: &str, command: &Command) -> Result<Command> {
    let mut script = String::new();
    for hierarchy in hierarchies()? {
        let file = hierarchy.mount.join(name).join(SYSTEM).join("cgroup.procs");
        write!(script, "echo 0 > {} && ", file.display())?;
    }
    script.push_str("exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(script)
        .arg(command.get_program())
        .args(command.get_args());
    shell.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    Ok(shell)
}

/// Every process in the cgroup `name` or below it.
pub(crate) fn processes(name: &str) -> Result<BTreeSet<Process>> {
    let mut pids = BTreeSet::new();
    for hierarchy in hierarchies()? {
        walk(&hierarchy.mount.join(name), &mut |dir| {
            let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        });
    }
    Ok(pids.into_iter().filter_map(Process::of).collect())
}

/// Stops every process in the cgroup `name` and below, between two instructions, and waits until
/// all stand still.
pub(crate) fn freeze(name: &str) -> Result<()> {
    set_frozen(name, true)
}

/// Lets them go on.
pub(crate) fn thaw(name: &str) -> Result<()> {
    set_frozen(name, false)
}

/// Ends every process in the cgroup `name` and below, all at one moment: none sees another gone.
pub(crate) fn kill(name: &str) -> Result<()> {
    eventually(
        &format!("the end of all processes in cgroup {name}"),
        TIMEOUT,
        || {
            let left = processes(name)?;
            if left.is_empty() {
                return Ok(Ok(()));
            }
            freeze(name)?;
            // What was forked between the look and the freeze is found now.
            for process in processes(name)? {
                process.signal(Signal::KILL);
            }
            thaw(name)?;
            Ok(Err(format!("{} processes", left.len())))
        },
    )
}

/// Removes the cgroup `name` from every hierarchy, deepest directories first. It holds no process.
pub(crate) fn remove(name: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let top = hierarchy.mount.join(name);
        // The kernel lets go of a cgroup a moment after its last process has ended.
        eventually(&format!("removal of {}", top.display()), TIMEOUT, || {
            walk(&top, &mut |dir| {
                let _ = fs::remove_dir(dir);
            });
            Ok(if top.exists() {
                Err("still there")
            } else {
                Ok(())
            })
        })?;
    }
    Ok(())
}

/// The names of the top cgroups for which `ours` holds.
pub(crate) fn names(ours: impl Fn(&str) -> bool) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for hierarchy in hierarchies()? {
        for entry in fs::read_dir(&hierarchy.mount)?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Ok(name) = entry.file_name().into_string()
                && ours(&name)
            {
                names.insert(name);
            }
        }
    }
    Ok(names)
}

/// Lets the children of these cgroups use the controllers that the kubelet asks for. Which ones a
/// kernel has differs, and the kubelet says which it misses.
fn hand_down(parents: &[&Path]) {
    for parent in parents {
        for controller in ["+cpuset", "+cpu", "+io", "+memory", "+hugetlb", "+pids"] {
            let _ = fs::write(parent.join("cgroup.subtree_control"), controller);
        }
    }
}

fn set_frozen(name: &str, frozen: bool) -> Result<()> {
    for hierarchy in hierarchies()? {
        let top = hierarchy.mount.join(name);
        let (file, word, state, proof) = if hierarchy.has("freezer") {
            let word = if frozen { "FROZEN" } else { "THAWED" };
            ("freezer.state", word, "freezer.state", word.to_owned())
        } else if hierarchy.alone() {
            let word = if frozen { "1" } else { "0" };
            (
                "cgroup.freeze",
                word,
                "cgroup.events",
                format!("frozen {word}"),
            )
        } else {
            continue;
        };
        let write = |word: &str| {
            fs::write(top.join(file), word)
                .with_context(|| format!("cannot write {word} to {}", top.join(file).display()))
        };
        let mut looks = 0;
        return eventually(&format!("cgroup {name} {word}"), TIMEOUT, || {
            // Version 1 may stay FREEZING for ever when something is forked meanwhile. As runc
            // does: ask again, and let go for a moment now and then.
            looks += 1;
            if hierarchy.has("freezer") && frozen && looks % PATIENCE == 0 {
                write("THAWED")?;
            }
            write(word)?;
            let text = fs::read_to_string(top.join(state))?;
            Ok(if text.contains(&proof) {
                Ok(())
            } else {
                Err(text)
            })
        });
    }
    bail!("no cgroup hierarchy here can freeze processes")
}

fn hierarchies() -> Result<Vec<Hierarchy>> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    Ok(parse_mountinfo(&text))
}

/// The lines of /proc/PID/mountinfo are: id, parent, device, root, mount point, options, optional
/// fields, `-`, file system, source, super options.
fn parse_mountinfo(text: &str) -> Vec<Hierarchy> {
    text.lines()
        .filter_map(|line| {
            let (mount, filesystem) = line.split_once(" - ")?;
            let mount = PathBuf::from(mount.split(' ').nth(4)?);
            let mut filesystem = filesystem.split(' ');
            let v2 = match filesystem.next()? {
                "cgroup" => false,
                "cgroup2" => true,
                _ => return None,
            };
            let options = filesystem.nth(1)?.split(',').map(str::to_owned).collect();
            mount
                .starts_with(V2_ALONE)
                .then_some(Hierarchy { mount, v2, options })
        })
        .collect()
}

/// Calls `visit` for the directories below `dir` and then for `dir` itself.
fn walk(dir: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
    if dir.is_dir() {
        visit(dir);
    }
}

impl Hierarchy {
    /// Whether this is version 2 on a machine without version 1.
    fn alone(&self) -> bool {
        self.v2 && self.mount == Path::new(V2_ALONE)
    }

    fn has(&self, controller: &str) -> bool {
        !self.v2 && self.options.iter().any(|option| option == controller)
    }
}

/// Where cgroups are mounted; version 2 itself, on a machine without version 1.
const V2_ALONE: &str = "/sys/fs/cgroup";
/// Where a node's own programs are, beside the kubelet's `kubepods`: version 2 wants processes
/// only in leaves.
const SYSTEM: &str = "system";
const TIMEOUT: Duration = Duration::from_secs(10);
/// Looks at a cgroup that does not stand still, before it is let go for a moment.
const PATIENCE: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found_among_the_mounts() {
        let text = "\
25 20 0:22 / /proc rw - proc proc rw
30 25 0:27 / /sys/fs/cgroup/cpuset rw,relatime shared:9 - cgroup cgroup rw,cpuset
31 25 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
32 25 0:29 / /tmp/x/cgroup rw,relatime - cgroup2 cgroup2 rw
";
        let found = parse_mountinfo(text);
        assert_eq!(found.len(), 2);
        assert!(found[0].has("cpuset") && !found[0].v2);
        assert!(found[1].v2 && !found[1].has("cpuset"));
        assert_eq!(found[1].mount, Path::new("/sys/fs/cgroup/unified"));
    }
}
