//! Checks of what compilers do not see: sizes of files and functions, which
//! crate depends on which, one HTTP and one TLS stack, how many crates.

mod graph;
mod scan;
mod sizes;

pub(crate) use graph::{BUILDS, Build, check as graph};
pub(crate) use sizes::check as sizes;
