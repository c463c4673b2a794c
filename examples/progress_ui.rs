//! A transfer with a progress display of its own: a bar that reaches its end, and the objects in
//! flight below it.
//!
//! `cargo run --bin progress_ui -- ./photos s3://bucket/photos?endpoint=http://127.0.0.1:9000`

#[path = "common/say.rs"]
mod say;
#[path = "common/signals.rs"]
mod signals;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;
use indicatif::{HumanBytes, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use lepton::data::{ObjectEnd, ObjectEvent, Phase, RunControl};
use lepton::{Error, Progress, Report, Result, Status, Transfer, open};

use say::{complain, say};
use signals::Signals;

/// The steps of the bar, which shows a fraction.
const STEPS: u64 = 1000;
/// How many of the objects in flight are shown.
const SHOWN: usize = 5;

/// Copies what differs, and shows how it goes on.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 complete, 1 some objects failed, 2 wrong command line, 3 ended early, \
                                 130 stopped by a signal"
)]
struct Args {
    /// Where the objects are: a path or a URL.
    source: String,
    /// Where they go.
    destination: String,
    /// The folder of the journal, with which the same command resumes.
    #[arg(long, default_value = "progress_ui.journal")]
    journal: String,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(report) => {
            tell(&args, &report);
            ExitCode::from(match report.status {
                Status::Complete => 0,
                Status::Cancelled => 130,
                _ => 1,
            })
        }
        Err(error) => {
            complain!("error: {}", error.full_message());
            ExitCode::from(3)
        }
    }
}

async fn run(args: &Args) -> Result<Report> {
    let display = Arc::new(Display::new());
    let seen = Arc::clone(&display);
    let transfer = Transfer::builder()
        .from(open(&args.source).await?)
        .to(open(&args.destination).await?)
        .existing(lepton::ExistingPolicy::IfDifferent)
        .journal(&args.journal)
        .on_object(move |event| seen.event(event))
        .build()?;
    let handle = transfer.start().await?;
    let signals = Signals::listen().map_err(|error| Error::io("cannot listen to signals", error))?;
    let stopping = tokio::spawn(stop(signals, handle.control()));
    let report = handle.watch(Duration::from_millis(100), |progress| display.progress(&progress)).await;
    stopping.abort();
    display.clear();
    report
}

/// The first signal lets what is in flight end; the second does not.
async fn stop(mut signals: Signals, control: RunControl) {
    signals.next().await;
    control.cancel();
    signals.next().await;
    control.abort();
}

/// The bar, and a line for each object that is shown.
struct Display {
    bar: ProgressBar,
    lines: Vec<ProgressBar>,
    in_flight: Mutex<BTreeMap<String, u64>>,
}

impl Display {
    /// Draws to standard error; nothing, if that is no terminal.
    fn new() -> Self {
        let all = MultiProgress::new();
        let style =
            |template: &str| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = all.add(ProgressBar::new(STEPS).with_style(style("{bar:40} {percent:>3} % {msg}")));
        let line = || all.add(ProgressBar::new_spinner().with_style(style("  {msg}")));
        let lines = std::iter::repeat_with(line).take(SHOWN).collect();
        Self { bar, lines, in_flight: Mutex::default() }
    }

    fn event(&self, event: &ObjectEvent) {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            ObjectEvent::Started { key, size } => drop(in_flight.insert(key.to_string(), *size)),
            ObjectEvent::Ended { key, end, .. } => {
                in_flight.remove(&key.to_string());
                if let ObjectEnd::Failed(reason) = end {
                    self.bar.suspend(|| complain!("failed: {key}: {reason}"));
                }
            }
            _ => {}
        }
    }

    fn progress(&self, progress: &Progress) {
        // Until everything is listed, nobody knows how much there is.
        let fraction = progress.fraction().unwrap_or(0.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction from 0 to 1")]
        self.bar.set_position((fraction * 1000.0) as u64);
        let rate = progress.recent_bytes_per_second;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people")]
        let rate = HumanBytes(rate as u64);
        let left = progress.remaining.map_or_else(String::new, |left| format!(", {} left", HumanDuration(left)));
        let phase = match progress.phase {
            _ if progress.paused => "paused",
            Phase::Copying => "copying",
            Phase::Deleting => "deleting",
            Phase::WritingManifest => "writing the manifest",
            Phase::Ended | Phase::Stopped => "ended",
            _ => "starting",
        };
        self.bar.set_message(format!("{phase}: {} at {rate}/s{left}", HumanBytes(progress.bytes)));
        let in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let mut objects = in_flight.iter();
        for line in &self.lines {
            let text = objects.next().map(|(key, size)| format!("{key} ({})", HumanBytes(*size)));
            line.set_message(text.unwrap_or_default());
        }
    }

    fn clear(&self) {
        self.lines.iter().for_each(ProgressBar::finish_and_clear);
        self.bar.finish_and_clear();
    }
}

fn tell(args: &Args, report: &Report) {
    if args.json {
        return say!("{}", serde_json::json!(report));
    }
    say!(
        "{:?}: {} copied ({}), {} unchanged, {} failed",
        report.status,
        report.objects,
        HumanBytes(report.bytes),
        report.unchanged,
        report.failed()
    );
}
