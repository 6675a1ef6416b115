//! Two network namespaces with a cable between them, for tests that need a wire.

use std::net::Ipv6Addr;
use std::process::Command;
use std::time::Duration;

use metallb_l2::MacAddr;
use metallb_netio::{Interface, LinkWatch, NetworkNamespace};
use tokio::time::timeout;

/// The node's end is `near0`, the client's is `far0` with 192.0.2.1 and `2001:db8::1`.
pub(crate) struct Segment {
    pub(crate) near: NetworkNamespace,
    pub(crate) far: NetworkNamespace,
}

pub(crate) const NEAR_MAC: MacAddr = MacAddr(2, 0, 0, 0, 0, 0x0b);
pub(crate) const FAR_MAC: MacAddr = MacAddr(2, 0, 0, 0, 0, 0x0a);
pub(crate) const NEAR_LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x0b);

impl Segment {
    /// None, with the reason printed, where there are no rights to make one.
    pub(crate) fn new() -> Option<Self> {
        let namespace = || match NetworkNamespace::create() {
            Ok(namespace) => Some(namespace),
            Err(error) => {
                eprintln!("skipped: cannot make a network namespace: {error}; run it as root");
                None
            }
        };
        let segment = Self {
            near: namespace()?,
            far: namespace()?,
        };
        let far = segment.far.path().display().to_string();
        in_namespace(&segment.near, || {
            ip(&format!(
                "link add near0 address {NEAR_MAC} type veth peer name far0 address {FAR_MAC} netns {far}"
            ));
            ip("link set near0 addrgenmode none");
            ip("link set near0 up");
            ip(&format!("address add {NEAR_LINK_LOCAL}/64 dev near0 nodad"));
        });
        in_namespace(&segment.far, || {
            ip("link set far0 addrgenmode none");
            ip("link set far0 up");
            ip("address add 192.0.2.1/24 dev far0");
            ip("address add 2001:db8::1/64 dev far0 nodad");
            ip("address add fe80::a/64 dev far0 nodad");
        });
        Some(segment)
    }
}

/// Runs `work` in the namespace.
pub(crate) fn in_namespace<T: Send>(
    namespace: &NetworkNamespace,
    work: impl FnOnce() -> T + Send,
) -> T {
    namespace
        .run(work)
        .expect("who makes a namespace may enter it")
}

/// Runs `work` in the namespace, on a runtime of its own, for at most 30 seconds.
pub(crate) fn block_on<F: Future<Output = T>, T: Send>(
    namespace: &NetworkNamespace,
    work: impl FnOnce() -> F + Send,
) -> T {
    in_namespace(namespace, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            timeout(Duration::from_secs(30), work())
                .await
                .expect("30 s passed")
        })
    })
}

/// Runs ip(8), which must succeed.
pub(crate) fn ip(arguments: &str) {
    let done = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .expect("ip(8) runs");
    assert!(
        done.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// Runs a command and returns what it printed.
pub(crate) fn output(command: &str) -> String {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap();
    let done = Command::new(program).args(words).output();
    let done =
        done.unwrap_or_else(|e| panic!("{program}: {e}; the packages arping and ndisc6 have them"));
    String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
}

/// The interface of that name, once it is as wanted.
pub(crate) async fn interface(name: &str, wanted: impl Fn(&Interface) -> bool) -> Interface {
    let mut links = LinkWatch::open().unwrap();
    loop {
        let found = links
            .changed()
            .await
            .unwrap()
            .values()
            .find(|i| i.name == name)
            .cloned();
        if let Some(found) = found.filter(&wanted) {
            return found;
        }
    }
}
