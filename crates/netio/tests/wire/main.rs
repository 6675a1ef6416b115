//! Sockets and the link watch on real links: a cable between two network namespaces, and the tools
//! that people use as clients. Skipped, with a line that says so, where there is no right to make
//! network namespaces.

#![expect(clippy::unwrap_used, reason = "the helpers are part of the tests")]

mod answers;
mod links;
mod looped;
mod rights;
mod segment;
