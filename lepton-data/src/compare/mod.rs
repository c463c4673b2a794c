//! Decides whether two objects are equal.

pub(crate) mod objects;
pub(crate) mod rules;
