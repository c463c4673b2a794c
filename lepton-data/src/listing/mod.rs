//! Lists keys and versions, in order, and merges the listings of both sides.

pub(crate) mod by_destination;
pub(crate) mod case_collisions;
pub(crate) mod external_sort;
pub(crate) mod found;
pub(crate) mod key_list;
pub(crate) mod key_versions;
pub(crate) mod list;
pub(crate) mod lister;
pub(crate) mod merge;
pub(crate) mod own_files;
pub(crate) mod page;
pub(crate) mod ranges;
pub(crate) mod split_points;
pub(crate) mod versioned_keys;
