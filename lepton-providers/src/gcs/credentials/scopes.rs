//! What tokens are asked for.

/// What the tokens are for.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.full_control";

/// The scope with which other accounts are taken on.
pub(super) const PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
