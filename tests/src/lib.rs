//! A real Kubernetes in network namespaces, and the stories told on it.
//!
//! [`Cluster::up`] starts etcd, the API server, controller manager, scheduler, and per node a
//! containerd, kubelet and kube-proxy; nodes, client and routers hang on one bridge. Nothing is
//! mocked and nothing leaves the machine. Needs root; everything else that is missing is named.

mod api;
pub mod api_faults;
pub mod asking;
mod audit;
mod cgroup;
mod cluster;
mod control_plane;
pub mod faults;
mod go;
mod helm;
mod images;
pub mod interop;
mod interrupt;
mod kube;
mod kubeconfig;
mod kubectl;
mod machine;
mod node;
pub mod oci;
pub mod olm;
mod options;
mod pki;
mod place;
mod plan;
pub mod probe;
mod process;
pub mod product;
mod progress;
mod promtool;
mod release;
mod room;
pub mod routers;
mod state;
pub mod stories;
mod teardown;
mod topology;
mod up;
pub mod upstream;
mod usage;
mod wait;

pub use api::Answer;
pub use audit::Audited;
pub use cluster::Cluster;
pub use go::cache;
pub use helm::{Helm, helm};
pub use images::WEB;
pub use kubectl::Kubectl;
pub use machine::{Needed, install, install_programs, is_root, needs_root};
pub use options::{Family, Kubernetes, Name, Options, Router};
pub use place::{Address, Place};
pub use process::Process;
pub use progress::{Progress, Silent, Terminal};
pub use promtool::{Promtool, promtool};
pub use usage::Used;
pub use wait::eventually;
