//! Types that every folder shares.

pub(crate) mod entry;
pub(crate) mod reason;
pub(crate) mod side;
