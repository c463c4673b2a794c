//! Synchronises two places: copies what differs, deletes extraneous objects if requested, shows
//! in advance what it would do, and can save that as a plan to execute later.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

#[path = "../common/mod.rs"]
mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use common::running::{RUNNING, Running};
use common::show::Show;
use common::{Asked, EXIT_CODES, FAILED, INCOMPLETE, Job};
use lepton::{ExistingPolicy, Result, TransferConfig};

/// Synchronises two places.
///
/// Copies what differs (unless --existing or --compare change that) and, with --delete, deletes
/// extraneous objects. Places are those of the program `migrate`.
#[derive(Debug, Parser)]
#[command(name = "sync", version, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// Options that a saved plan has already decided: they would have no effect on it. The options
/// for names must be the same as when the plan was made, and all others take effect.
const DECIDED: [&str; 19] = [
    "existing",
    "sync",
    "update",
    "ignore_existing",
    "immutable",
    "compare",
    "checksum",
    "time_window",
    "include",
    "exclude",
    "min_size",
    "max_size",
    "min_age",
    "max_age",
    "from_list",
    "delete",
    "delete_excluded",
    "allow_empty",
    "versions",
];

#[derive(Debug, Subcommand)]
enum Command {
    /// Synchronise, or execute a plan.
    Run {
        #[command(flatten)]
        places: Places,
        #[command(flatten)]
        running: Running,
        /// Execute this plan and nothing else: each action only if both sides are still as the
        /// plan recorded them.
        #[arg(long, value_name = "FILE", group = "deletes")]
        #[arg(conflicts_with_all = DECIDED)]
        plan: Option<PathBuf>,
        /// Only show what would be done.
        #[arg(long, conflicts_with_all = RUNNING.into_iter().chain(["plan"]))]
        dry_run: bool,
    },
    /// Show what would be done, with the reason for each action.
    Plan {
        #[command(flatten)]
        places: Places,
        /// Write the plan to this file, for `run --plan`.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Places {
    /// The source.
    source: String,
    /// The destination.
    destination: String,
    #[command(flatten)]
    asked: Asked,
}

impl Places {
    async fn job(&self, running: Option<&Running>, settings: TransferConfig) -> Result<Job> {
        Job::new((&self.source, &self.destination), &self.asked, running, settings).await
    }
}

impl Command {
    fn places(&self) -> &Places {
        match self {
            Self::Run { places, .. } | Self::Plan { places, .. } => places,
        }
    }

    /// The options for running; `None` when nothing is written.
    fn running(&self) -> Option<&Running> {
        match self {
            Self::Run { running, dry_run: false, .. } => Some(running),
            _ => None,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut command = CommandLine::command();
    let matches = command.get_matches_mut();
    let line = CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let (asked, running) = (&line.command.places().asked, line.command.running());
    let given = matches.subcommand().map_or(&matches, |(_, given)| given);
    let settings = asked.settings(running, ExistingPolicy::IfDifferent, given, &mut command);
    common::log();
    let show = Show::new(&asked.output, running.is_some_and(|running| running.stats));
    match act(&line.command, settings, &show).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            show.error(&error);
            ExitCode::from(FAILED)
        }
    }
}

async fn act(command: &Command, settings: TransferConfig, show: &Show) -> Result<u8> {
    show.settings(&settings);
    let running = command.running();
    let mut job = command.places().job(running, settings).await?;
    if let Command::Run { plan: Some(file), .. } = command {
        job.builder = job.builder.saved_plan(file);
    }
    if running.is_some() {
        return common::run(job, show).await;
    }
    let transfer = job.builder.build()?;
    let Command::Plan { out: Some(file), .. } = command else { return common::dry_run(&transfer, show).await };
    let summary = transfer.save_plan(file).await?;
    show.plan_end(&summary, &transfer);
    Ok(if summary.refused > 0 { INCOMPLETE } else { 0 })
}
