//! Moves objects between any two places, with a journal, progress and a verification.
//!
//! Without arguments: a demonstration that requires no installation, see [`demo`]. With
//! arguments: `migrate SOURCE DESTINATION`, see `--help`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

mod args;
#[path = "../common/mod.rs"]
mod common;
mod demo;

use std::process::ExitCode;

use args::Args;
use common::show::Show;
use common::{FAILED, Job};
use lepton::{Result, TransferConfig};

#[tokio::main]
async fn main() -> ExitCode {
    let (args, settings) = Args::read();
    common::log();
    let show = Show::new(&args.asked.output, args.stats());
    let outcome = match args.places() {
        None => demo::run().await,
        Some(places) => migrate(&args, places, settings, &show).await,
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            show.error(&error);
            ExitCode::from(FAILED)
        }
    }
}

async fn migrate(args: &Args, places: (&str, &str), settings: TransferConfig, show: &Show) -> Result<u8> {
    show.settings(&settings);
    let job = Job::new(places, &args.asked, args.running(), settings).await?;
    match args.running() {
        Some(_) => common::run(job, show).await,
        None => common::dry_run(&job.builder.build()?, show).await,
    }
}
