//! Real servers on loopback for the tests: installed into the cache, started
//! on free ports with their data in memory where the machine has `/dev/shm`.
//!
//! - `minio`, `versitygw`, `moto`, `azurite`, `fake_gcs`, `nginx`: one recipe each
//! - `service`: the definition of a recipe; `every`: building and starting all of them
//! - `server`: starting, awaiting and stopping one of them
//! - `detached`: servers left running by `cargo xtask services start`; `command`: that command
//!   line

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
