//! Tokens of Microsoft Entra ID and where they come from.
//!
//! - `entra`: for an application, with its secret, its `certificate` or its workload's
//!   token
//! - `managed`: for the identity of a machine
//! - `cli`: for the user logged in with the Azure CLI
//! - `resource`: the scope of the tokens

mod certificate;
mod cli;
mod entra;
mod managed;
mod resource;
#[cfg(test)]
mod tests;

pub(crate) use cli::Cli;
pub(crate) use entra::{Application, Proof};
pub(crate) use managed::ManagedIdentity;
