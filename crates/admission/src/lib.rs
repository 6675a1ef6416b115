//! What the API server asks about MetalLB's objects, and the answers.
//!
//! [`review`] says whether an object may be created, changed or deleted; [`WEBHOOKS`] lists where
//! that is asked. [`review_metallb`] does so for the `MetalLB` object. [`convert_review`] turns a `BGPPeer` of one version into the other. Pure: what
//! else exists and how MetalLB is set up are arguments, and a server is somebody else's.

mod conversion;
mod metallb;
mod review;
mod verdict;
mod webhooks;

pub use conversion::{ConversionError, convert, convert_review, probe};
pub use metallb::{
    Around, Invalid, METALLB_PATH, METALLB_WEBHOOK, Misplaced, OPERATOR_CONFIGURATION, placed,
    review_metallb, validate,
};
pub use review::review;
pub use verdict::Verdict;
pub use webhooks::{
    CONFIGURATION, CONVERT_PATH, CONVERTED, PORT, SECRET, SERVICE, WEBHOOKS, Webhook,
};
