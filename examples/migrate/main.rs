//! Moves objects between any two places, with a journal, progress and a proof.
//!
//! Without arguments: a demonstration that needs nothing installed, see
//! [`demo`]. With arguments: `migrate SOURCE DESTINATION`, see `--help`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

mod args;
#[path = "../common/mod.rs"]
mod common;
mod demo;

use std::process::ExitCode;

use args::Args;
use clap::ArgMatches;
use common::show::Show;
use common::{FAILED, Job};
use lepton::Result;

#[tokio::main]
async fn main() -> ExitCode {
    let (args, matches) = Args::read();
    common::log();
    let show = Show::new(&args.options);
    let outcome = match args.places() {
        None => demo::run().await,
        Some((from, to)) => migrate(&args, &matches, from, to, &show).await,
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            show.error(&error);
            ExitCode::from(FAILED)
        }
    }
}

async fn migrate(args: &Args, matches: &ArgMatches, from: &str, to: &str, show: &Show) -> Result<u8> {
    let job = Job::new(from, to, &args.options, &args.choose, matches).await?;
    let transfer = job.builder.build()?;
    if args.dry_run {
        return common::dry_run(&transfer, show).await;
    }
    let report = common::run(transfer, show).await?;
    show.report(&report, &job.journal);
    common::end(&args.options, &report, &job.destination, show).await
}
