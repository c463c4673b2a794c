//! Checks a store step by step, and says in words what is wrong: `doctor PLACE`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

mod advice;
mod examine;
mod find;
mod forms;
mod place;
mod probe;
#[path = "../common/say.rs"]
mod say;
#[path = "../common/signals.rs"]
mod signals;
mod tell;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use place::Place;
use say::complain;
use signals::Signals;
use tell::Doctor;

/// Exit codes; they stand in `--help` too.
const WRONG: u8 = 1;
const CANCELLED: u8 = 130;

const EXIT_CODES: &str = "\
Exit codes:
  0    all is well
  1    something is wrong
  2    the command line is wrong
  130  stopped by Ctrl-C, SIGTERM or SIGHUP; the probe is deleted";

/// Checks a store step by step: settings, name, connection, TLS, credentials, listing, and
/// a probe that is written, read back and deleted; compares the clocks.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Args {
    /// The store: a path or a URL such as s3://bucket/folder?endpoint=…
    place: String,
    /// A JSON file of settings, for secrets: {"type": "s3", "session_token": "…"}.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Write nothing: for places that are only read from.
    #[arg(long)]
    read_only: bool,
    /// Find out which odd keys the store keeps, and print what to set. Writes and deletes
    /// some fifty tiny objects; there are servers that fail to list a bucket while one of
    /// them is there, so take one that is not in use.
    #[arg(long, conflicts_with = "read_only")]
    keys: bool,
    /// Say everything as JSON, a step a line.
    #[arg(long)]
    json: bool,
}

/// What signals and the examination know of each other.
#[derive(Debug, Default)]
struct Stop {
    /// Somebody wants to stop.
    wanted: AtomicBool,
    /// There may be something to delete.
    written: AtomicBool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let stop = Arc::new(Stop::default());
    match Signals::listen() {
        Ok(signals) => drop(tokio::spawn(stop_on_signals(signals, Arc::clone(&stop)))),
        Err(error) => complain!("signals end this program at once, without deleting the probe: {error}"),
    }
    let mut doctor = Doctor::new(args.json, Arc::clone(&stop));
    match Place::new(&args.place, args.settings.as_deref()) {
        Ok(place) => doctor.examine(&place, &args).await,
        Err(error) => drop(doctor.step("settings", Err::<(), _>(error))),
    }
    if stop.wanted.load(Ordering::SeqCst) {
        return ExitCode::from(CANCELLED);
    }
    ExitCode::from(if doctor.wrong { WRONG } else { 0 })
}

/// Ends at once while there is nothing to delete; else when it is deleted, or at the second
/// signal.
async fn stop_on_signals(mut signals: Signals, stop: Arc<Stop>) {
    signals.next().await;
    stop.wanted.store(true, Ordering::SeqCst);
    if stop.written.load(Ordering::SeqCst) {
        complain!("stopping: the probe is still deleted; press Ctrl-C again, or send another signal, to stop at once");
        signals.next().await;
    }
    std::process::exit(CANCELLED.into());
}
