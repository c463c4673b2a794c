//! Moves objects between any two places, with a journal, progress and a proof.
//!
//! Without arguments: a demonstration that needs nothing installed, see
//! [`demo`]. With arguments: `migrate SOURCE DESTINATION`, see `--help`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

mod args;
mod choose;
mod demo;
mod show;
mod usage;

use std::process::ExitCode;
use std::time::Duration;

use args::{Args, Verify};
use clap::ArgMatches;
use futures_util::TryStreamExt as _;
use lepton::data::{PlannedAction, Steering};
use lepton::providers::local::LocalSettings;
use lepton::providers::{Settings, open_with};
use lepton::{Depth, Error, ErrorKind, Location, Report, Result, Status, Transfer, open, verify};
use show::Show;

/// Exit codes; they stand in `--help` too.
const INCOMPLETE: u8 = 1;
const FAILED: u8 = 3;
const NOT_PROVEN: u8 = 4;
const LIMITED: u8 = 5;
const CANCELLED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let (args, matches) = Args::read();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = match args.places() {
        None => demo::run().await,
        Some((from, to)) => migrate(&args, &matches, from, to).await,
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            Show::new(&args).error(&error);
            ExitCode::from(FAILED)
        }
    }
}

async fn migrate(args: &Args, matches: &ArgMatches, from: &str, to: &str) -> Result<u8> {
    let source = open(from).await.map_err(|error| error.with_context("place", "source"))?;
    let destination = open_destination(to).await.map_err(|error| error.with_context("place", "destination"))?;
    let journal = args.journal_folder(&source, &destination)?;
    let builder = Transfer::builder().from(source).to(destination.clone()).settings(args.settings(matches));
    let builder = match &args.manifest {
        Some(file) => builder.journal(&journal).manifest(file),
        None => builder.journal(&journal),
    };
    let transfer = builder.build()?;
    let show = Show::new(args);
    if args.dry_run {
        return dry_run(&transfer, &show).await;
    }
    let handle = transfer.start().await?;
    stop_on_ctrl_c(handle.steering());
    let report = handle.watch(Duration::from_millis(args.progress_ms()), |progress| show.progress(&progress)).await?;
    show.report(&report, &journal);
    Ok(match report.status {
        Status::Complete => prove(args, &report, &destination, &show).await?,
        Status::Cancelled => CANCELLED,
        Status::Limited => LIMITED,
        _ => INCOMPLETE,
    })
}

/// A folder that is not there yet is made.
async fn open_destination(url: &str) -> Result<Location> {
    match open(url).await {
        Err(error) if error.kind() == ErrorKind::BucketNotFound => {
            let mut settings = LocalSettings::default();
            settings.create_root = true;
            open_with(url, Settings::Local(settings)).await
        }
        opened => opened,
    }
}

async fn dry_run(transfer: &Transfer, show: &Show) -> Result<u8> {
    let mut planned = transfer.plan();
    let mut refused = false;
    while let Some(object) = planned.try_next().await? {
        refused |= matches!(object.action, PlannedAction::Refuse { .. });
        show.planned(&object);
    }
    show.plan_end();
    Ok(if refused { INCOMPLETE } else { 0 })
}

/// Once lets what is on its way end; twice stops at once.
fn stop_on_ctrl_c(steering: Steering) {
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        eprintln!("stopping: what is on its way still ends; press Ctrl-C again to stop at once");
        steering.cancel();
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(CANCELLED.into());
        }
    });
}

async fn prove(args: &Args, report: &Report, destination: &Location, show: &Show) -> Result<u8> {
    let depth = match args.verify {
        Verify::None => return Ok(0),
        Verify::Quick => Depth::Quick,
        Verify::Full => Depth::Full,
    };
    let manifest = report.manifest.as_ref().ok_or_else(|| Error::invalid_input("there is no manifest to verify"))?;
    let found = verify(manifest, destination, depth).await?;
    show.verification(&found);
    Ok(if found.is_proven() { 0 } else { NOT_PROVEN })
}
