//! The side of the driver: [`ProcessDeployment`], which writes what is wanted and reads what the
//! supervisor has seen.
//!
//! - `deployment`: the contract; `shared`: what its methods share
//! - `apply`: plan, apply, scale and delete; `observe`: what is there; `logs`; `preflight`
//! - `summon`: starts a supervisor where none is alive

mod apply;
mod deployment;
mod logs;
mod observe;
mod preflight;
mod shared;
mod summon;

pub use deployment::ProcessDeployment;
