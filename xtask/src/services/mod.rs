//! Real servers on loopback for the tests: installed into the cache, started
//! on free ports with their data in memory where the machine has `/dev/shm`.
//!
//! - `minio`, `versitygw`, `moto`, `azurite`, `fake_gcs`, `nginx`: one recipe each
//! - `service`: what a recipe is; `every`: all of them, built and started
//! - `server`: starting, waiting and stopping one of them
//! - `detached`: those left running by `cargo xtask services start`; `command`: that

mod azurite;
mod command;
mod detached;
mod every;
mod fake_gcs;
mod minio;
mod moto;
mod nginx;
mod server;
mod service;
mod versitygw;

pub(crate) use command::command;
pub(crate) use every::{build, start};
pub(crate) use server::Running;
pub(crate) use service::{ACCESS_KEY, SECRET_KEY, SECRETS};
