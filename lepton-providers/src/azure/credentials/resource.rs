//! What tokens are asked for.

/// What the tokens are for.
pub(super) const RESOURCE: &str = "https://storage.azure.com/";
