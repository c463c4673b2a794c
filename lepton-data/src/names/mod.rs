//! Which objects take part, and what each is called at the destination.

pub(crate) mod case_folding;
pub(crate) mod filter;
pub(crate) mod mapping;
pub(crate) mod target;
