//! Rules about the modules inside each package: files do not import each other in a cycle, and
//! folders import only downwards.
//!
//! - `words`: a source without comments and literals; `reader`: its declarations and imports
//! - `tree`: the modules of a crate, and the imports between its files
//! - `cycles`, `layers`: the two rules; `check`: applies both to a package

mod check;
mod cycles;
mod layers;
mod reader;
#[cfg(test)]
mod tests;
mod tree;
mod words;

pub(super) use check::check;
