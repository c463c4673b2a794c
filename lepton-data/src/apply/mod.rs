//! Makes the destination equal to the source, object by object.

pub(crate) mod backup;
pub(crate) mod commit;
pub(crate) mod context;
pub(crate) mod copied;
pub(crate) mod decide;
pub(crate) mod delete;
pub(crate) mod local_copy;
pub(crate) mod manifest_line;
pub(crate) mod object;
pub(crate) mod outcome;
pub(crate) mod reconcile;
pub(crate) mod server_copy;
pub(crate) mod upload;
pub(crate) mod version_history;
pub(crate) mod write;
