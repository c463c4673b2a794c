//! Checks of what compilers do not see: sizes of files and functions, which
//! crate depends on which, one HTTP and one TLS stack, how many crates, pages outside the book.

mod files;
mod graph;
mod modules;
mod pages;
mod scan;
mod sizes;

pub(crate) use graph::{BUILDS, FACADE, check as graph};
pub(crate) use pages::check as pages;
pub(crate) use sizes::check as sizes;
