//! Synchronises two places: copies what differs, deletes what is too much if asked,
//! says before what it would do, and can keep that as a plan to carry out later.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

#[path = "../common/mod.rs"]
mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use common::choose::Choose;
use common::options::Options;
use common::show::Show;
use common::{EXIT_CODES, FAILED, INCOMPLETE, Job};
use lepton::Result;

/// Synchronises two places.
///
/// Copies what differs (--existing and --compare say otherwise) and, with --delete,
/// deletes what the source has not. Places are those of the program `migrate`.
#[derive(Debug, Parser)]
#[command(name = "sync", version, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Synchronise, or carry out a plan.
    Run {
        #[command(flatten)]
        places: Places,
        /// Carry out this plan, and nothing else: each action only if both sides are
        /// still as the plan saw them.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["existing", "include", "exclude", "delete"])]
        plan: Option<PathBuf>,
        /// Only say what would be done.
        #[arg(long, conflicts_with = "plan")]
        dry_run: bool,
    },
    /// Say what would be done, with the reason for each action.
    Plan {
        #[command(flatten)]
        places: Places,
        /// Write the plan into this file, for `run --plan`.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Places {
    /// Where the objects are.
    source: String,
    /// Where they go.
    destination: String,
    #[command(flatten)]
    choose: Choose,
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = CommandLine::command().mut_subcommands(|command| {
        // What this program is for.
        command.mut_arg("existing", |existing| existing.default_value("if-different"))
    });
    let matches = command.get_matches();
    let line = CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    common::log();
    let matches = matches.subcommand().map_or(&matches, |(_, matches)| matches);
    let show = match &line.command {
        Command::Run { places, .. } | Command::Plan { places, .. } => Show::new(&places.options),
    };
    match act(&line.command, matches, &show).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            show.error(&error);
            ExitCode::from(FAILED)
        }
    }
}

async fn act(command: &Command, matches: &ArgMatches, show: &Show) -> Result<u8> {
    match command {
        Command::Run { places, plan, dry_run } => {
            let job = places.job(matches).await?;
            let builder = match plan {
                Some(file) => job.builder.saved_plan(file),
                None => job.builder,
            };
            let transfer = builder.build()?;
            if *dry_run {
                return common::dry_run(&transfer, show).await;
            }
            let report = common::run(transfer, show).await?;
            show.report(&report, &job.journal);
            common::end(&places.options, &report, &job.destination, show).await
        }
        Command::Plan { places, out } => {
            let transfer = places.job(matches).await?.builder.build()?;
            let Some(file) = out else { return common::dry_run(&transfer, show).await };
            let summary = transfer.save_plan(file).await?;
            show.plan_end(&summary, &transfer.not_kept());
            Ok(if summary.refused > 0 { INCOMPLETE } else { 0 })
        }
    }
}

impl Places {
    async fn job(&self, matches: &ArgMatches) -> Result<Job> {
        Job::new(&self.source, &self.destination, &self.options, &self.choose, matches).await
    }
}
