//! The operator: turns the `MetalLB` object into everything that runs it, and keeps it so.

mod object;
mod render;
mod settings;
mod validate;
mod yaml;

fn main() {}
