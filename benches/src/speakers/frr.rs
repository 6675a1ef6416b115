//! FRR beside MetalLB's speaker on a node, as in its pods: zebra and bgpd, and a reloader that runs
//! frr-reload when the speaker has written a configuration.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use metallb_tests::{Place, Process, Terminal, eventually};

use super::rig::Rig;

/// Starts it; what the speaker has to know of it, as environment.
pub(super) fn start(rig: &Rig, node: Place) -> Result<(Vec<Process>, Vec<String>)> {
    let needed = [("/usr/lib/frr/bgpd", "frr"), (RELOAD, "frr-pythontools")];
    metallb_tests::install(needed, &mut Terminal::start())?;
    let frr = Frr {
        rig,
        node,
        directory: rig.cluster.directory().join(format!("frr-{node}")),
    };
    frr.prepare()?;
    let mut processes = vec![frr.daemon("zebra", &[])?];
    eventually("zebra listens", PATIENCE, || {
        let socket = frr.directory.join("zebra.vty");
        Ok(if socket.exists() {
            Ok(())
        } else {
            Err("not yet")
        })
    })?;
    // Routers connect to nobody here, as in MetalLB's pods.
    processes.push(frr.daemon("bgpd", &["-p", "0"])?);
    processes.push(frr.reloader()?);
    let environment = vec![
        "METALLB_BGP_TYPE=frr".to_owned(),
        format!("FRR_CONFIG_FILE={}", frr.file("new.conf")),
        format!("FRR_RELOADER_PID_FILE={}", frr.file("reloader.pid")),
    ];
    Ok((processes, environment))
}

struct Frr<'a> {
    rig: &'a Rig,
    node: Place,
    directory: PathBuf,
}

impl Frr<'_> {
    fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// A new directory, which is the daemons' own: they drop to their user before they use it.
    fn prepare(&self) -> Result<()> {
        let _ = fs::remove_dir_all(&self.directory);
        fs::create_dir_all(&self.directory).context("cannot make FRR's directory")?;
        let id = |which| -> Result<u32> {
            let id = self.rig.cluster.output(self.node, &["id", which, "frr"])?;
            Ok(id.trim().parse()?)
        };
        for file in ["zebra.conf", "bgpd.conf", "vtysh.conf", "frr.conf"] {
            fs::write(self.directory.join(file), "")?;
        }
        chown(&self.directory, Some(id("-u")?), Some(id("-g")?))?;
        Ok(())
    }

    fn daemon(&self, name: &str, more: &[&str]) -> Result<Process> {
        let (config, pid) = (self.file(&format!("{name}.conf")), self.file(name));
        let (zserv, directory) = (self.file("zserv.api"), self.file(""));
        let program = format!("/usr/lib/frr/{name}");
        let mut command = vec![&*program, "-f", &config, "-i", &pid, "-z", &zserv];
        command.extend(["--vty_socket", &directory, "-A", "127.0.0.1", "-P", "0"]);
        command.extend(more);
        self.spawn(name, &command)
    }

    fn reloader(&self) -> Result<Process> {
        let [pid, new, directory] = ["reloader.pid", "new.conf", ""].map(|it| self.file(it));
        let process = self.spawn(
            "frr-reloader",
            &["python3", "-c", RELOADER, &pid, RELOAD, &directory, &new],
        )?;
        eventually("the reloader waits", PATIENCE, || {
            let pid = fs::read_to_string(&pid).unwrap_or_default();
            Ok(if pid.is_empty() {
                Err("not yet")
            } else {
                Ok(())
            })
        })?;
        Ok(process)
    }

    fn spawn(&self, name: &str, command: &[&str]) -> Result<Process> {
        let command: Vec<_> = command.iter().map(ToString::to_string).collect();
        self.rig.cluster.spawn(self.node, name, &command)
    }
}

/// Reloads whenever it is asked to, once for all that has been asked meanwhile.
const RELOADER: &str = "
import os, signal, subprocess, sys
pid, reload, directory, new = sys.argv[1:]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
signal.signal(signal.SIGHUP, signal.SIG_DFL)
with open(pid, 'w') as file: file.write(str(os.getpid()))
flags = ['--reload', '--overwrite', '--stdout', '--log-level', 'error']
places = ['--vty_socket', directory, '--confdir', directory, '--rundir', directory]
while signal.sigwait([signal.SIGHUP]):
    subprocess.run(['python3', reload, *flags, *places, new])
";
const RELOAD: &str = "/usr/lib/frr/frr-reload.py";
const PATIENCE: Duration = Duration::from_secs(20);
