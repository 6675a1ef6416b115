use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread;

/// A network namespace: links, addresses and sockets of its own.
///
/// Tests and benches make segments of these. It lives as long as this value or anything in it.
/// Making and entering one needs `CAP_SYS_ADMIN`.
#[derive(Debug)]
pub struct NetworkNamespace {
    file: File,
}

impl NetworkNamespace {
    /// Makes a namespace with nothing but a loopback that is down. The caller stays where it is.
    pub fn create() -> io::Result<Self> {
        in_thread(|| {
            unshare()?;
            Self::current()
        })?
    }

    /// The namespace that a file stands for, such as those of `ip netns add` in `/run/netns`.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
        })
    }

    /// The namespace of the calling thread.
    pub fn current() -> io::Result<Self> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// Runs `work` inside, on a thread of its own, and waits for it. What it opens and the commands
    /// that it starts are inside too.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        in_thread(|| {
            set(&self.file)?;
            Ok(work())
        })?
    }

    /// A path by which other processes find this namespace, as in `ip link set … netns PATH`.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }
}

/// Namespaces belong to threads, so each change of one happens on a thread that then ends.
fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("namespace".into())
            .spawn_scoped(scope, work)?;
        thread
            .join()
            .or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn unshare() -> io::Result<()> {
    #[expect(unsafe_code, reason = "a system call without a safe wrapper")]
    // SAFETY: takes no memory and changes the calling thread only.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })
}

fn set(namespace: &File) -> io::Result<()> {
    #[expect(unsafe_code, reason = "a system call without a safe wrapper")]
    // SAFETY: takes no memory and changes the calling thread only; the descriptor is open.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
