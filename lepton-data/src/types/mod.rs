//! Types that all folders share.

pub(crate) mod entry;
pub(crate) mod file;
pub(crate) mod layout;
pub(crate) mod reason;
pub(crate) mod side;
pub(crate) mod unprotected;
