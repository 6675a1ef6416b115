//! A real Kubernetes in network namespaces, and the stories told on it.
//!
//! [`Cluster::up`] starts etcd, the API server, controller manager, scheduler, and per node a
//! containerd, kubelet and kube-proxy; nodes, client and routers hang on one bridge. Nothing is
//! mocked and nothing leaves the machine. Needs root; everything else that is missing is named.

mod cgroup;
mod cluster;
mod interrupt;
mod options;
mod place;
mod process;
mod state;
mod wait;

pub use cluster::Cluster;
pub use options::{Family, Kubernetes, Name, Options, Router};
pub use place::{Address, Place};
pub use process::Process;
pub use wait::eventually;
