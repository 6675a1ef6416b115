//! What the API server asks about MetalLB's objects, and the answers.
//!
//! [`convert_review`] turns a BGPPeer of one version into the other. [`WEBHOOKS`] lists the
//! validating webhooks. Pure: what else exists and how MetalLB is set up are arguments, and a
//! server is somebody else's.

mod conversion;
mod webhooks;

pub use conversion::{ConversionError, convert, convert_review};
pub use webhooks::{CONFIGURATION, CONVERT_PATH, SERVICE, WEBHOOKS, Webhook};
