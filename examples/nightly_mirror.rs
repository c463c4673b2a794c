//! A mirror that runs every night, unattended, from cron or a systemd timer.
//!
//! `nightly_mirror /srv/photos s3://backup/photos --state /var/lib/mirror`
//!
//! It deletes within a cap, keeps what it replaces or deletes, verifies what it has written, leaves a
//! report for each night, and tells by its exit code whether it needs attention. The next night
//! resumes a night that was killed or failed: nothing has to be removed by hand.

#[path = "common/say.rs"]
mod say;
#[path = "common/signals.rs"]
mod signals;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use lepton::{Error, ErrorKind, ExistingPolicy, Report, Result, Status, Transfer, VerifyDepth, open};

use say::{complain, say};
use signals::Signals;

/// Makes a destination the same as a source.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Args {
    /// What is mirrored: a path or a URL.
    source: String,
    /// The mirror.
    destination: String,
    /// The folder of the journal and the reports. It belongs to this pair of places.
    #[arg(long)]
    state: PathBuf,
    /// Delete nothing if more than this share of the mirror would be deleted.
    #[arg(long, value_name = "PERCENT", default_value_t = 10)]
    max_delete_percent: u8,
    /// Keep what is replaced or deleted below this prefix of the mirror.
    #[arg(long, value_name = "PREFIX")]
    keep: Option<String>,
    /// Start no further object after so many hours.
    #[arg(long, value_name = "HOURS")]
    hours: Option<u32>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    the mirror is the same as the source, and verified
  1    some objects failed; the next night tries them again
  2    the command line is wrong
  3    the night ended early: the message says why; the next night resumes
  4    the mirror is not what was written to it: look at the report
  5    the time was over; the next night resumes
  6    another night is still running
  7    more would be deleted than is allowed: look at the source, then allow it once
  130  stopped by a signal; the next night resumes";

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let code = match run(&args).await {
        Ok(report) => code_of(&report),
        Err(error) => {
            complain!("error: {}", error.full_message());
            match error.kind() {
                ErrorKind::Locked => 6,
                ErrorKind::TooManyDeletes => 7,
                _ => 3,
            }
        }
    };
    ExitCode::from(code)
}

async fn run(args: &Args) -> Result<Report> {
    let night = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut transfer = Transfer::builder()
        .from(open(&args.source).await?)
        .to(open(&args.destination).await?)
        .existing(ExistingPolicy::IfDifferent)
        .delete(true)
        .max_delete_percent(args.max_delete_percent)
        .journal(args.state.join("journal"))
        .verify(Some(VerifyDepth::Quick));
    if let Some(prefix) = &args.keep {
        // One folder for all nights: a run that resumes must have the same settings.
        transfer = transfer.backup_prefix(Some(prefix.clone()));
    }
    if let Some(hours) = args.hours {
        transfer = transfer.max_duration(Some(Duration::from_secs(u64::from(hours) * 3600)));
    }
    let mut signals = Signals::listen().map_err(|error| Error::io("cannot listen to signals", error))?;
    let handle = transfer.build()?.start().await?;
    let control = handle.control();
    let run = handle.wait();
    tokio::pin!(run);
    let report = tokio::select! {
        report = &mut run => report?,
        () = signals.next() => {
            control.cancel();
            run.await?
        }
    };
    keep_report(&args.state.join("reports"), night, &report)?;
    tell(args, &report);
    Ok(report)
}

/// Saves the report for the operator.
fn keep_report(folder: &Path, night: u64, report: &Report) -> Result<()> {
    let failed = |error| Error::io("the report cannot be kept", error).with_context("path", folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    let text = serde_json::json!(report).to_string();
    std::fs::write(folder.join(format!("{night}.json")), text).map_err(failed)
}

fn code_of(report: &Report) -> u8 {
    match (report.status, &report.verification) {
        (Status::Complete, Some(found)) if !found.is_proven() => 4,
        (Status::Complete, _) => 0,
        (Status::Cancelled, _) => 130,
        (Status::Limited, _) => 5,
        _ => 1,
    }
}

fn tell(args: &Args, report: &Report) {
    if args.json {
        return say!("{}", serde_json::json!(report));
    }
    let Report { objects, bytes, unchanged, deleted, .. } = report;
    say!("{:?}: {objects} copied ({bytes} bytes), {unchanged} unchanged, {deleted} deleted", report.status);
    for failure in report.failures.iter().take(20) {
        complain!("failed: {}: {}", failure.key, failure.error);
    }
    for problem in report.verification.iter().flat_map(|found| &found.problems).take(20) {
        complain!("not as written: {}: {}", problem.key, problem.reason);
    }
    if report.passed_over.total() > 0 {
        say!("{} entries of the source are no files, and were passed over", report.passed_over.total());
    }
}
