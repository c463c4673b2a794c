//! The scopes of tokens.

/// The scope of the tokens for the store.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.full_control";

/// The scope for impersonating other accounts.
pub(super) const PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
