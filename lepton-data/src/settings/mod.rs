//! The settings of a transfer.

pub(crate) mod compare_by;
pub(crate) mod filters;
pub(crate) mod prefix_map;
pub(crate) mod serde_seconds;
pub(crate) mod table;
pub(crate) mod transfer;
