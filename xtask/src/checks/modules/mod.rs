//! Rules about the modules inside each package: no files that import each other in a circle,
//! and folders that import downwards.
//!
//! - `words`: a source without comments and texts; `reader`: what it declares and names
//! - `tree`: the modules of a crate, and which file imports which
//! - `circles`, `rooms`: the two rules; `check`: both of them, for a package

mod check;
mod circles;
mod reader;
mod rooms;
#[cfg(test)]
mod tests;
mod tree;
mod words;

pub(super) use check::check;
