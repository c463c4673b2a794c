//! What the programs that move data share: their options, how they speak, how they
//! stop.

pub(crate) mod choose;
pub(crate) mod options;
pub(crate) mod say;
pub(crate) mod show;
mod usage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use futures_util::TryStreamExt as _;
use lepton::data::{PlanSummary, Steering};
use lepton::providers::local::LocalSettings;
use lepton::providers::{Settings, open_with};
use lepton::{Depth, Error, ErrorKind, Location, Report, Result, Status, Transfer, TransferBuilder, open, verify};
use say::complain;

use choose::Choose;
use options::{Options, Verify};
use show::Show;

/// Exit codes; they stand in `--help` too.
pub(crate) const INCOMPLETE: u8 = 1;
pub(crate) const FAILED: u8 = 3;
pub(super) const NOT_PROVEN: u8 = 4;
const LIMITED: u8 = 5;
const CANCELLED: u8 = 130;

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    every object is at the destination (and proven, if asked)
  1    some objects failed; the same command tries them again
  2    the command line is wrong
  3    the run ended early; the same command goes on when the cause is gone
  4    the destination is not what the manifest says
  5    the run came to --max-transfer or --max-duration; the same command goes on
  130  stopped by Ctrl-C; the same command goes on";

/// Log lines on standard error, as `RUST_LOG` says; errors only by default.
pub(crate) fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// A transfer between two places, as the options describe it, and its destination.
pub(crate) struct Job {
    pub(crate) builder: TransferBuilder,
    pub(crate) destination: Location,
    pub(crate) journal: PathBuf,
}

impl Job {
    pub(crate) async fn new(
        from: &str,
        to: &str,
        options: &Options,
        choose: &Choose,
        matches: &ArgMatches,
    ) -> Result<Self> {
        let source = open(from).await.map_err(|error| error.with_context("place", "source"))?;
        let destination = open_destination(to).await.map_err(|error| error.with_context("place", "destination"))?;
        let journal = options.journal_folder(&source, &destination)?;
        let mut settings = options.settings();
        choose.enter(&mut settings, matches);
        let builder = Transfer::builder().from(source).to(destination.clone()).settings(settings).journal(&journal);
        let builder = match &options.manifest {
            Some(file) => builder.manifest(file),
            None => builder,
        };
        let builder = match &choose.from_list {
            Some(file) => builder.from_list(list_file(file, &journal)?),
            None => builder,
        };
        Ok(Self { builder, destination, journal })
    }
}

/// Standard input is kept beside the journal: a list is read more than once.
fn list_file(file: &Path, journal: &Path) -> Result<PathBuf> {
    if file != Path::new("-") {
        return Ok(file.to_owned());
    }
    let kept = journal.join("list");
    let keep = || {
        std::fs::create_dir_all(journal)?;
        std::io::copy(&mut std::io::stdin().lock(), &mut std::fs::File::create(&kept)?)
    };
    keep().map_err(|error| Error::io("cannot keep the list of standard input", error))?;
    Ok(kept)
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

/// Says what would be done, object by object, and in all.
pub(crate) async fn dry_run(transfer: &Transfer, show: &Show) -> Result<u8> {
    let mut planned = transfer.plan();
    let mut summary = PlanSummary::default();
    while let Some(object) = planned.try_next().await? {
        summary.add(&object);
        show.planned(&object);
    }
    show.plan_end(&summary, &transfer.not_kept());
    Ok(if summary.refused > 0 { INCOMPLETE } else { 0 })
}

/// Runs with progress, and stops as Ctrl-C says.
pub(crate) async fn run(transfer: Transfer, show: &Show) -> Result<Report> {
    let handle = transfer.start().await?;
    stop_on_ctrl_c(handle.steering());
    handle.watch(Duration::from_millis(show.every_ms()), |progress| show.progress(&progress)).await
}

/// Proves what came to a good end, if asked; gives the exit code.
pub(crate) async fn end(options: &Options, report: &Report, destination: &Location, show: &Show) -> Result<u8> {
    let depth = match (report.status, options.verify) {
        (Status::Complete, Verify::None) => return Ok(0),
        (Status::Complete, Verify::Quick) => Depth::Quick,
        (Status::Complete, Verify::Full) => Depth::Full,
        (Status::Cancelled, _) => return Ok(CANCELLED),
        (Status::Limited, _) => return Ok(LIMITED),
        _ => return Ok(INCOMPLETE),
    };
    let manifest = report.manifest.as_ref().ok_or_else(|| Error::invalid_input("there is no manifest to verify"))?;
    let found = verify(manifest, destination, depth).await?;
    show.verification(&found);
    Ok(if found.is_proven() { 0 } else { NOT_PROVEN })
}

/// Once lets what is on its way end; twice stops at once.
fn stop_on_ctrl_c(steering: Steering) {
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        complain!("stopping: what is on its way still ends; press Ctrl-C again to stop at once");
        steering.cancel();
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(CANCELLED.into());
        }
    });
}
