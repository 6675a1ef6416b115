//! Every rule that makes an object part of the configuration or not, by objects as users write
//! them. `row_NN_…` tells of row NN of the list of rules in upstream's order;
//! docs/compatibility.md points here.

mod cluster;

mod bfd_profiles;
mod bgp_advertisements;
mod communities;
mod edits;
mod l2_advertisements;
mod peers;
mod pools;
mod properties;
mod size;
mod together;
