//! A whole migration of a running application, on this machine and with nothing to install.
//!
//! ```text
//! cargo run --features migration --bin migrate_app
//! ```
//!
//! Two S3 servers stand for cloud A and cloud B. The application runs at A behind a router, and
//! users read and write all the while. A driver copies the data, follows the changes, starts the
//! application at B, and moves the writes there through a fence. It is killed with SIGKILL on the
//! way and started again. In the end every write that a user saw acknowledged is looked for at B.
//!
//! Every part is a process of its own: this program, started again in another role.
//!
//! - `demo`: starts the others, shows what happens, and checks the result
//! - `cloud`, `app`, `route`, `load`, `drive`: the roles
//! - `site`: where everything is

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

mod app;
mod check;
mod children;
mod cloud;
mod demo;
mod drive;
mod ledger;
mod load;
mod route;
mod site;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lepton::core::data_set::Side;
use lepton::{Error, Result};
use site::Site;

#[derive(Parser)]
#[command(about = "Moves a running application between two clouds on this machine, as a demonstration")]
struct Arguments {
    /// How many users write at the same time.
    #[arg(long, default_value_t = 8)]
    users: u64,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this process is; the demonstration starts the others.
#[derive(Subcommand)]
enum Role {
    /// An S3 server with the application's data.
    #[command(hide = true)]
    Cloud { folder: PathBuf, side: String },
    /// The application.
    #[command(hide = true)]
    App,
    /// The router.
    #[command(hide = true)]
    Route { folder: PathBuf },
    /// The users.
    #[command(hide = true)]
    Load { folder: PathBuf, users: u64 },
    /// The driver of the migration.
    #[command(hide = true)]
    Drive { folder: PathBuf },
}

fn main() -> ExitCode {
    // The deployments of both sides start this program as their supervisor.
    if let Some(code) = lepton::providers::process::supervise_if_asked() {
        return code;
    }
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("migrate_app: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(4),
        Err(error) => {
            eprintln!("migrate_app: {}", error.report());
            ExitCode::from(3)
        }
    }
}

/// Whether the result is as it should be.
async fn run(arguments: Arguments) -> Result<bool> {
    match arguments.role {
        None => return demo::run(arguments.users).await,
        Some(Role::Cloud { folder, side }) => cloud::run(&Site::new(folder), named(&side)?).await?,
        Some(Role::App) => app::run().await?,
        Some(Role::Route { folder }) => route::run(&Site::new(folder)).await?,
        Some(Role::Load { folder, users }) => load::run(&Site::new(folder), users).await?,
        Some(Role::Drive { folder }) => drive::run(&Site::new(folder)).await?,
    }
    Ok(true)
}

fn named(side: &str) -> Result<Side> {
    match side {
        "a" => Ok(Side::A),
        "b" => Ok(Side::B),
        other => Err(Error::invalid_input(format!("{other:?} is not a side: a or b"))),
    }
}
