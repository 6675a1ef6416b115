//! Nothing; but what it depends on has the features that tests turn on.
//!
//! Cargo builds a dependency once for all that is built of the workspace without its tests, and once
//! more for the tests where they alone turn on a feature of it. With this package among the others
//! there is no difference, which `tests/tests/features.rs` sees, and each is built once. What is
//! shipped or measured is built by the names of its packages, and has nothing of this.
