//! Moves a running application between two clouds. Without arguments it is a demonstration on this
//! machine, with nothing to install:
//!
//! ```text
//! cargo demo
//! ```
//!
//! Two S3 servers stand for cloud A and cloud B. The application runs at A behind a router, and
//! users read and write all the while. A driver copies the data, follows the changes, starts the
//! application at B, and moves the writes there through a fence. It is killed with SIGKILL on the
//! way and started again. In the end every write that a user saw acknowledged is looked for at B.
//! Every part is a process of its own: this program, started again in another role.
//!
//! With a specification it is the driver of a real migration:
//!
//! ```text
//! migrate_app plan shop.toml
//! migrate_app approve shop.toml HASH
//! migrate_app run shop.toml
//! ```
//!
//! - `commands`: the commands on a specification; `drive`: the driver; `show`: what it shows;
//!   `place`: which migration they are for
//! - `demo`: starts everything, shows what happens, and checks the result; `site`: where it is
//! - `cloud`, `app`, `route`, `load`: the other roles; `ledger`, `check`: what the users know
//! - `random`: numbers for the moments of the kills

mod app;
mod check;
mod children;
mod cloud;
mod commands;
mod demo;
mod drive;
mod ledger;
mod load;
#[path = "../common/log.rs"]
mod log;
mod place;
mod random;
mod route;
#[path = "../common/say.rs"]
mod say;
mod show;
#[path = "../common/signals.rs"]
mod signals;
mod site;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use commands::SpecCommand;
use lepton::core::data_set::Side;
use lepton::{Error, Result};
use say::complain;
use site::Site;
use tracing_subscriber::filter::LevelFilter;

#[derive(Parser)]
#[command(
    about = "Moves a running application between two clouds. Without a command: a demonstration on this machine",
    after_help = EXIT_CODES
)]
struct Arguments {
    #[command(flatten)]
    demo: demo::Options,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    it was done; `run`: the migration has ended
  1    `plan`: there is an error to correct; `status`: a person has to decide
  2    the command line is wrong
  3    it failed; the message has the reason
  4    the demonstration found that a write was lost, stale or refused
  130  stopped by Ctrl-C, SIGTERM or SIGHUP; `run`: the same command resumes";

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Spec(SpecCommand),
    #[command(flatten)]
    Role(Role),
}

/// What this process is in a demonstration, which starts the others.
#[derive(Subcommand)]
enum Role {
    /// An S3 server with the application's data.
    #[command(hide = true)]
    Cloud { folder: PathBuf, side: String, objects: usize },
    /// The policy of both servers, as the driver changes it.
    #[command(hide = true)]
    Policy {
        folder: PathBuf,
        #[arg(long)]
        only: Option<String>,
    },
    /// The application.
    #[command(hide = true)]
    App,
    /// The router.
    #[command(hide = true)]
    Route { folder: PathBuf },
    /// The users.
    #[command(hide = true)]
    Load {
        folder: PathBuf,
        #[command(flatten)]
        options: load::LoadOptions,
    },
}

fn main() -> ExitCode {
    // The deployments of both sides start this program as their supervisor.
    if let Some(code) = lepton::providers::process::supervise_if_asked() {
        return code;
    }
    let arguments = Arguments::parse();
    log::log(LevelFilter::WARN);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain!("migrate_app: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(arguments));
    // What still blocks, on a disk that hangs or at a name server, must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain!("migrate_app: {}", error.full_message());
            ExitCode::from(3)
        }
    }
}

/// Returns the exit code.
async fn run(arguments: Arguments) -> Result<u8> {
    match arguments.command {
        None => return demo::run(&arguments.demo).await,
        Some(Command::Spec(command)) => return commands::run(command).await,
        Some(Command::Role(Role::Cloud { folder, side, objects })) => {
            cloud::run(&Site::new(folder), named(&side)?, objects).await?;
        }
        Some(Command::Role(Role::Policy { folder, only })) => {
            cloud::change_policy(&Site::new(folder), only.as_deref().map(named).transpose()?)?;
        }
        Some(Command::Role(Role::App)) => app::run().await?,
        Some(Command::Role(Role::Route { folder })) => route::run(&Site::new(folder)).await?,
        Some(Command::Role(Role::Load { folder, options })) => load::run(&Site::new(folder), &options).await?,
    }
    Ok(0)
}

fn named(side: &str) -> Result<Side> {
    match side {
        "a" => Ok(Side::A),
        "b" => Ok(Side::B),
        other => Err(Error::invalid_input(format!("{other:?} is not a side: a or b"))),
    }
}
