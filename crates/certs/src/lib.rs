//! The certificates of a webhook server: when which is made, served, and trusted.
//!
//! The API server calls a webhook by TLS and trusts what the `caBundle` beside the webhook's
//! address says. Several replicas serve; one Secret tells them all with what ([`Stored`], upstream's
//! form). [`Keeper::decide`] looks at that Secret and at the bundles that are in place, and says
//! what to serve, what to put in place and what the Secret should hold next ([`Renewal`]).
//!
//! Pure, but for one thing: [`Renewal::make`] draws keys from the system's randomness.

mod held;
mod keeper;
mod renewal;
mod stored;

pub use keeper::{Decision, Keeper, Presented};
pub use renewal::{Error, Renewal};
pub use stored::Stored;
