//! Proves a manifest against a destination: `verify MANIFEST DESTINATION`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

#[path = "common/limits.rs"]
mod limits;
#[path = "common/say.rs"]
mod say;
#[path = "common/signals.rs"]
mod signals;
#[path = "common/units.rs"]
mod units;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use lepton::{Error, ErrorKind, Progress, Result, Verification, Verifier, VerifyDepth, open};

use limits::Limits;
use say::{complain, say};
use signals::Signals;

/// Compares the objects at a destination with those that a manifest lists.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Args {
    /// The manifest of a transfer.
    manifest: PathBuf,
    /// The store that the transfer wrote to: its bucket or root folder.
    destination: String,
    /// Trust the store's sizes, checksums and tags instead of reading every byte.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    limits: Limits,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    everything is as the manifest says
  2    the command line is wrong
  3    it could not be found out
  4    something is not as the manifest says
  130  stopped by Ctrl-C, SIGTERM or SIGHUP";

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(found) if found.is_proven() => ExitCode::SUCCESS,
        Ok(found) if found.failed + found.not_copied == 0 => ExitCode::from(3),
        Ok(_) => ExitCode::from(4),
        Err(error) if error.kind() == ErrorKind::Cancelled => ExitCode::from(130),
        Err(error) => {
            complain!("error: {}", error.full_message());
            ExitCode::from(3)
        }
    }
}

async fn run(args: &Args) -> Result<Verification> {
    let mut signals = Signals::listen().map_err(|error| Error::io("cannot listen to signals", error))?;
    let verifier = Verifier::new(&args.manifest, open(&args.destination).await?)
        .depth(if args.quick { VerifyDepth::Quick } else { VerifyDepth::Full })
        .concurrency(args.limits.concurrency)
        .memory(args.limits.memory)
        .bandwidth(args.limits.bandwidth)
        .requests_per_second(args.limits.requests_per_second)
        .attempts(args.limits.attempts);
    let bar = (!args.json && std::io::stderr().is_terminal()).then(bar);
    let running = verifier.start().await?;
    let control = running.control();
    let watched = running.watch(Duration::from_millis(200), |progress| show(bar.as_ref(), &progress));
    tokio::pin!(watched);
    let found = tokio::select! {
        found = &mut watched => found,
        () = signals.next() => {
            control.cancel();
            (&mut watched).await
        }
    };
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    let found = found?;
    report(args, &found);
    Ok(found)
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {binary_bytes_per_sec} {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: Option<&ProgressBar>, progress: &Progress) {
    let Some(bar) = bar else { return };
    bar.set_length(progress.total_bytes);
    bar.set_position(progress.bytes);
    bar.set_message(format!(
        "{} of {} objects, {} problems",
        progress.objects, progress.total_objects, progress.failed
    ));
}

fn report(args: &Args, found: &Verification) {
    if args.json {
        return say!("{}", serde_json::json!(found));
    }
    for problem in &found.problems {
        say!("{}: {}", problem.key, problem.reason);
    }
    say!("{} objects, {}: {} problems", found.objects, HumanBytes(found.bytes), found.failed);
    if found.unreachable > 0 {
        let reason = found.unreachable_reason.as_deref().unwrap_or_default();
        say!("{} objects could not be compared, the first because of this: {reason}", found.unreachable);
    }
    if found.not_copied > 0 {
        say!("{} objects failed in the run that wrote the manifest, and have no entry in it", found.not_copied);
    }
    if found.size_only > 0 {
        say!("of {} objects nothing but the size could be compared; a full verification reads them", found.size_only);
    }
}
