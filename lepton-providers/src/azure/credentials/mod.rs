//! Tokens and where they come from.
//!
//! - `entra`: for an application, by its secret, its `certificate` or its workload's token
//! - `managed`: for the identity of a machine
//! - `cli`: for whoever is logged in

mod certificate;
mod cli;
mod entra;
mod managed;
#[cfg(test)]
mod tests;

pub(super) use cli::Cli;
pub(super) use entra::{Application, Proof};
pub(super) use managed::ManagedIdentity;

/// What the tokens are for.
const RESOURCE: &str = "https://storage.azure.com/";
