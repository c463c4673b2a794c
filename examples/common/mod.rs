//! Code shared by the programs that move data: options, output, stopping.

pub(crate) mod asked;
pub(crate) mod choose;
mod job;
mod limits;
mod log;
pub(crate) mod options;
pub(crate) mod policy;
pub(crate) mod running;
pub(crate) mod say;
pub(crate) mod show;
mod signals;
mod units;
mod usage;

use std::time::Duration;

use futures_util::TryStreamExt as _;
use lepton::data::PlanSummary;
use lepton::{Error, Report, Result, Status, Transfer, Verification};
use say::complain;
use tracing_subscriber::filter::LevelFilter;

pub(crate) use asked::Asked;
pub(crate) use job::Job;
use show::Show;
use signals::Signals;

/// Exit codes; `--help` lists them too.
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
  3    the run ended early; the same command resumes when the cause is gone
  4    the destination is not what the manifest says
  5    the run came to --max-transfer or --max-duration; the same command resumes
  130  stopped by Ctrl-C, SIGTERM or SIGHUP; the same command resumes";

/// Logs errors, or what `RUST_LOG` specifies.
pub(crate) fn log() {
    log::log(LevelFilter::ERROR);
}

/// Shows what would be done, object by object and in total.
pub(crate) async fn dry_run(transfer: &Transfer, show: &Show) -> Result<u8> {
    let mut planned = transfer.plan();
    let mut summary = PlanSummary::default();
    while let Some(object) = planned.try_next().await? {
        summary.add(&object);
        show.planned(&object);
    }
    summary.passed_over = planned.passed_over();
    show.plan_end(&summary, transfer);
    Ok(if summary.refused > 0 { INCOMPLETE } else { 0 })
}

/// Runs the transfer to the end, reports the result, and returns the exit code.
pub(crate) async fn run(job: Job, show: &Show) -> Result<u8> {
    let mut stop = Stop::listen()?;
    let report = watch(job.builder.build()?, show, &mut stop).await?;
    show.report(&report, &job.journal);
    Ok(end(&report, show))
}

/// Runs the transfer with progress output, and stops it on signals.
async fn watch(transfer: Transfer, show: &Show, stop: &mut Stop) -> Result<Report> {
    let handle = tokio::select! {
        handle = transfer.start() => handle?,
        // Nothing is in flight yet.
        () = stop.signals.next() => exit_at_once(),
    };
    let control = handle.control();
    let ended = handle.watch(Duration::from_millis(show.every_ms()), |progress| show.progress(&progress));
    tokio::pin!(ended);
    loop {
        tokio::select! {
            report = &mut ended => return report,
            () = stop.signals.next() => {}
        }
        if stop.wanted {
            exit_at_once();
        }
        stop.wanted = true;
        // First, so that nothing starts any more after the message.
        control.cancel();
        complain!(
            "stopping: what is in flight still ends; press Ctrl-C again, or send another signal, to stop at once"
        );
    }
}

/// The exit code of a verification: what could not be reached is not damaged.
pub(super) fn verdict(found: &Verification) -> u8 {
    match found {
        found if found.is_proven() => 0,
        found if found.failed + found.not_copied == 0 => FAILED,
        _ => NOT_PROVEN,
    }
}

/// The exit code of a run.
fn end(report: &Report, show: &Show) -> u8 {
    if let Some(found) = &report.verification {
        show.verification(found);
    }
    match (report.status, &report.verification) {
        (Status::Complete, Some(found)) => verdict(found),
        (Status::Complete, None) => 0,
        (Status::Cancelled, _) => CANCELLED,
        (Status::Limited, _) => LIMITED,
        _ => INCOMPLETE,
    }
}

/// The signals, and whether one has arrived.
struct Stop {
    signals: Signals,
    wanted: bool,
}

impl Stop {
    fn listen() -> Result<Self> {
        let signals = Signals::listen().map_err(|error| Error::io("cannot listen to signals", error))?;
        Ok(Self { signals, wanted: false })
    }
}

/// The journal is in the same state as after a kill.
fn exit_at_once() -> ! {
    std::process::exit(CANCELLED.into())
}
