//! The scopes of tokens.

/// The scope of the tokens for the store.
pub(crate) const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.full_control";

/// The scope for impersonating other accounts.
pub(crate) const PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
