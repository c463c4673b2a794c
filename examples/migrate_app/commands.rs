//! The commands on a specification.

use clap::{Subcommand, ValueEnum};
use lepton::core::SystemRuntime;
use lepton::core::migration::{Choice, Command, State};
use lepton::migrate::{MigrationSpec, Plan, control_socket, send_command};
use lepton::{ErrorKind, Result};
use serde_json::json;

use crate::drive::drive;
use crate::place::{DECIDE, Place, resolver};
use crate::say::say;
use crate::show::status;

/// The states that `--until` takes.
const STATES: [&str; 17] = [
    "draft",
    "planned",
    "copying",
    "delta",
    "deployed",
    "tested",
    "fence",
    "switched",
    "holding",
    "finalized",
    "decommissioning",
    "decommissioned",
    "rolling_back",
    "rolled_back",
    "rollback_blocked",
    "paused",
    "needs_decision",
];

#[derive(Subcommand)]
pub(crate) enum SpecCommand {
    /// Look at both sides, show what would be done, and propose it. At both sides it writes
    /// nothing, except that a place for processes creates its empty folder. A plan that was not
    /// approved is replaced.
    Plan(Place),
    /// Approve the plan with this hash.
    Approve {
        #[command(flatten)]
        place: Place,
        /// The hash that `plan` has shown.
        hash: String,
    },
    /// Drive the approved migration; may be killed at any moment and started again.
    ///
    /// The first SIGINT, SIGTERM or SIGHUP within a fence, which holds the users' requests, stops
    /// the driver at the end of the fence; a second one stops it at once, as a signal outside of
    /// a fence does. RUST_LOG selects what is logged to standard error; the default is `warn`.
    Run {
        #[command(flatten)]
        place: Place,
        /// End once this state is reached; by default at the ends of the migration.
        #[arg(long, value_name = "STATE", value_parser = STATES)]
        until: Option<String>,
    },
    /// Show the state, also while a driver runs.
    Status(Place),
    /// Start the move of the writes to side B.
    CutOver(Place),
    /// Stop after what is in progress.
    Pause(Place),
    /// Continue after a pause.
    Resume(Place),
    /// Answer a question.
    Decide {
        #[command(flatten)]
        place: Place,
        /// The answer.
        answer: Answer,
    },
    /// Give the writes back to side A, and remove what was created at side B.
    Rollback(Place),
    /// Pass the point of no return: side A no longer follows.
    Finalize(Place),
    /// Remove what the plan owns at side A.
    Decommission(Place),
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Answer {
    Retry,
    Rollback,
}

/// Runs a command; returns the exit code.
pub(crate) async fn run(command: SpecCommand) -> Result<u8> {
    match command {
        SpecCommand::Plan(place) => plan(&place).await.map(|plan| if plan.is_possible() { 0 } else { DECIDE }),
        SpecCommand::Approve { place, hash } => tell(&place, Command::Approve { hash }).await,
        SpecCommand::Run { place, until } => drive(&place, until.as_deref()).await,
        SpecCommand::Status(place) => status(&place).await,
        SpecCommand::CutOver(place) => tell(&place, Command::CutOver).await,
        SpecCommand::Pause(place) => tell(&place, Command::Pause).await,
        SpecCommand::Resume(place) => tell(&place, Command::Resume).await,
        SpecCommand::Decide { place, answer } => {
            let choice = match answer {
                Answer::Retry => Choice::Retry,
                Answer::Rollback => Choice::Rollback,
            };
            tell(&place, Command::Decide { choice }).await
        }
        SpecCommand::Rollback(place) => tell(&place, Command::Rollback).await,
        SpecCommand::Finalize(place) => tell(&place, Command::Finalize).await,
        SpecCommand::Decommission(place) => tell(&place, Command::Decommission).await,
    }
}

/// Shows the plan, and proposes it unless one was approved.
pub(crate) async fn plan(place: &Place) -> Result<Plan> {
    let spec = MigrationSpec::load(place.spec())?;
    let plan = Plan::of(&spec, &resolver()).await?;
    let findings: Vec<String> = plan.findings.iter().map(ToString::to_string).collect();
    let fields = json!({
        "event": "plan", "hash": plan.hash, "possible": plan.is_possible(), "steps": plan.steps,
        "objects": plan.data_sets.iter().map(|data| data.objects).sum::<u64>(),
        "bytes": plan.data_sets.iter().map(|data| data.bytes).sum::<u64>(),
        "assumptions": plan.assumptions, "findings": findings,
    });
    place.say(&plan.to_string(), &fields);
    if !plan.is_possible() {
        return Ok(plan);
    }
    match spec.state(&place.folder())?.state() {
        State::Draft | State::Planned => {
            let command = Command::Plan { hash: plan.hash.clone() };
            spec.record(&place.folder(), command, &SystemRuntime::shared()).await?;
            let next = format!("approve it with: migrate_app approve {} {}", place.spec().display(), plan.hash);
            if !place.is_json() {
                say!("{next}");
            }
        }
        state => place.say(&format!("the migration is {state}: this plan was not proposed"), &json!({"state": state})),
    }
    Ok(plan)
}

/// Sends a command to the driver, or records it where none runs.
async fn tell(place: &Place, command: Command) -> Result<u8> {
    let spec = MigrationSpec::load(place.spec())?;
    let env = SystemRuntime::shared();
    let (state, driven) = match send_command(&control_socket(&place.folder()), &command, &env).await {
        Ok(state) => (state, true),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            (spec.record(&place.folder(), command, &env).await?.to_string(), false)
        }
        Err(error) => return Err(error),
    };
    let hint = if driven { "" } else { "; no driver runs: start one with `run`" };
    place.say(
        &format!("the migration is {state} now{hint}"),
        &json!({"event": "command", "state": state, "driven": driven}),
    );
    Ok(0)
}
