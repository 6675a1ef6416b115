//! What the API server asks about MetalLB's objects, and the answers.
//!
//! [`review`] says whether an object may be created, changed or deleted; [`WEBHOOKS`] lists where
//! that is asked. [`convert_review`] turns a `BGPPeer` of one version into the other. Pure: what
//! else exists and how MetalLB is set up are arguments, and a server is somebody else's.

mod conversion;
mod review;
mod verdict;
mod webhooks;

pub use conversion::{ConversionError, convert, convert_review, probe};
pub use review::review;
pub use verdict::Verdict;
pub use webhooks::{
    CONFIGURATION, CONVERT_PATH, CONVERTED, PORT, SECRET, SERVICE, WEBHOOKS, Webhook,
};
