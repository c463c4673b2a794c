//! The scope of the tokens.

/// The resource that tokens are requested for.
pub(super) const RESOURCE: &str = "https://storage.azure.com/";
