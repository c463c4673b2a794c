//! Checks of properties that compilers do not see: sizes of files and functions, dependencies
//! between crates, one HTTP and one TLS stack, the number of crates, pages missing from the
//! book.

mod files;
mod graph;
mod modules;
mod pages;
mod scan;
mod sizes;

pub(crate) use graph::{BUILDS, FACADE, check as graph};
pub(crate) use pages::check as pages;
pub(crate) use sizes::check as sizes;
