//! The commands on a specification.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use lepton::core::SystemEnv;
use lepton::core::migration::{Choice, Command, Machine, Stage, State};
use lepton::core::resolver::Resolver;
use lepton::migrate::{Control, Migration, MigrationSpec, Plan, control_socket, send_command};
use lepton::providers::resolve::UrlResolver;
use lepton::{Error, ErrorKind, Result};
use serde_json::json;

/// The variable by which the demonstration names the stages at which its driver stops itself.
pub(crate) const STOPS: &str = "MIGRATE_APP_STOPS";

/// The exit code after Ctrl-C or SIGTERM.
pub(crate) const STOPPED: u8 = 130;

/// The exit code where a person has to decide, or a plan has errors.
pub(crate) const DECIDE: u8 = 1;

#[derive(Subcommand)]
pub(crate) enum SpecCommand {
    /// Look at both sides, show what would be done, and propose it. Nothing else is written.
    Plan(Place),
    /// Approve the plan with this hash.
    Approve {
        #[command(flatten)]
        place: Place,
        /// The hash that `plan` has shown.
        hash: String,
    },
    /// Drive the approved migration; may be killed at any moment and started again.
    Run {
        #[command(flatten)]
        place: Place,
        /// End once this state is reached; by default at the ends of the migration.
        #[arg(long, value_name = "STATE")]
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

/// Which migration.
#[derive(Args, Clone)]
pub(crate) struct Place {
    /// The specification: a file in TOML, YAML or JSON.
    spec: PathBuf,
    /// The folder of the state; by default next to the specification, with its name and `.state`.
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Write one JSON object for each line.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Answer {
    Retry,
    Rollback,
}

impl Place {
    pub(crate) fn of(spec: impl Into<PathBuf>) -> Self {
        Self { spec: spec.into(), state: None, json: false }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| self.spec.with_extension("state"))
    }

    fn say(&self, line: &str, fields: &serde_json::Value) {
        if self.json { println!("{fields}") } else { println!("{line}") }
    }
}

/// Runs a command; returns the exit code.
pub(crate) async fn run(command: SpecCommand) -> Result<u8> {
    match command {
        SpecCommand::Plan(place) => plan(&place).await.map(|plan| if plan.is_possible() { 0 } else { DECIDE }),
        SpecCommand::Approve { place, hash } => tell(&place, Command::Approve { hash }).await,
        SpecCommand::Run { place, until } => drive(&place, until.as_deref()).await,
        SpecCommand::Status(place) => status(&place),
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

fn resolver() -> Arc<dyn Resolver> {
    Arc::new(UrlResolver::new(SystemEnv::shared()))
}

async fn open(place: &Place, spec: &MigrationSpec) -> Result<Migration> {
    let folder = place.folder();
    std::fs::create_dir_all(&folder).map_err(|error| Error::io("cannot create the folder of the state", error))?;
    spec.open(&folder, &resolver(), &SystemEnv::shared()).await?.open().await
}

/// Shows the plan, and proposes it unless one was approved.
pub(crate) async fn plan(place: &Place) -> Result<Plan> {
    let spec = MigrationSpec::load(&place.spec)?;
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
            spec.record(&place.folder(), command, &SystemEnv::shared()).await?;
            let next = format!("approve it with: migrate_app approve {} {}", place.spec.display(), plan.hash);
            if !place.json {
                println!("{next}");
            }
        }
        state => place.say(&format!("the migration is {state}: this plan was not proposed"), &json!({"state": state})),
    }
    Ok(plan)
}

/// Sends a command to the driver, or records it where none runs.
async fn tell(place: &Place, command: Command) -> Result<u8> {
    let spec = MigrationSpec::load(&place.spec)?;
    let env = SystemEnv::shared();
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

/// Drives the migration until it ends.
async fn drive(place: &Place, until: Option<&str>) -> Result<u8> {
    let spec = MigrationSpec::load(&place.spec)?;
    let mut migration = open(place, &spec).await?;
    check_approval(&spec, migration.machine())?;
    let _control = Control::serve(control_socket(&place.folder()), migration.commander(), &SystemEnv::shared())?;
    show(place, "resumed", migration.machine().state());
    let ends = |state: &State| match until {
        Some(name) => state.name() == name,
        None => matches!(state, State::RolledBack | State::Finalized | State::Decommissioned),
    };
    let stops = std::env::var(STOPS).unwrap_or_default();
    let mut stops: VecDeque<&str> = stops.split(',').filter(|stage| !stage.is_empty()).collect();
    let observe = |observed: lepton::migrate::Observed<'_>| {
        show(place, observed.event.name(), observed.state);
        if stops.front().is_some_and(|stop| stage(observed.state) == Some(stop)) {
            stops.pop_front();
            // The demonstration lets it continue. If the signal cannot be sent, its count shows that.
            let _ = std::process::Command::new("kill").args(["-STOP", &std::process::id().to_string()]).status();
        }
    };
    let ended = tokio::select! {
        ended = migration.run(ends, observe) => Some(ended),
        () = stopped() => None,
    };
    let Some(ended) = ended else {
        place.say("stopped; the same command resumes", &json!({"event": "stopped"}));
        return Ok(STOPPED);
    };
    ended.map(|()| 0)
}

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut end) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = end.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn check_approval(spec: &MigrationSpec, machine: &Machine) -> Result<()> {
    let refused = |why: String| Err(Error::new(ErrorKind::PreconditionFailed, why));
    if matches!(machine.state(), State::Draft | State::Planned) {
        return refused(format!("the migration is {}: `plan` it and `approve` the plan first", machine.state()));
    }
    match machine.plan() {
        Some(approved) if approved != spec.digest() => {
            let message = "the specification is not the one that was approved; restore it, or roll back and plan anew";
            refused(message.to_owned())
        }
        _ => Ok(()),
    }
}

fn show(place: &Place, event: &str, state: &State) {
    let mut line = format!("{event:<16} {state}");
    if let State::NeedsDecision { question, .. } = state {
        let choices: Vec<String> = question.choices.iter().map(ToString::to_string).collect();
        for evidence in &question.evidence {
            line = format!("{line}\n    {evidence}");
        }
        line = format!("{line}\n    answer with `decide` and one of: {}", choices.join(", "));
    }
    place.say(&line, &json!({"event": event, "state": state.name(), "text": state.to_string()}));
}

fn status(place: &Place) -> Result<u8> {
    let spec = MigrationSpec::load(&place.spec)?;
    let machine = spec.state(&place.folder())?;
    let (state, owner, epoch) = (machine.state(), machine.owner(), machine.epoch());
    let mut text = format!("{}: {state}\n  owner of the writes  {owner}\n  epoch                {epoch}", spec.name);
    if let Some(plan) = machine.plan() {
        text = format!("{text}\n  plan                 {plan}");
    }
    for verdict in machine.verdicts() {
        text = format!("{text}\n  verdict              {verdict}");
    }
    let fields = json!({
        "event": "status", "name": spec.name, "state": state.name(), "details": state, "owner": owner,
        "epoch": epoch, "plan": machine.plan(), "verdicts": machine.verdicts(),
    });
    place.say(&text, &fields);
    Ok(if matches!(state, State::NeedsDecision { .. } | State::RollbackBlocked { .. }) { DECIDE } else { 0 })
}

/// The file of the journal's folder, for the demonstration.
pub(crate) fn journal(spec: &Path) -> PathBuf {
    lepton::migrate::journal(&Place::of(spec).folder())
}

/// The name of the stage of a fence.
pub(crate) fn stage(state: &State) -> Option<&'static str> {
    let (State::Fence(fence) | State::RollingBack(fence)) = state else { return None };
    Some(match fence.stage {
        Stage::Hold => "hold",
        Stage::Drain => "drain",
        Stage::Quiesce => "quiesce",
        Stage::LastDelta => "last_delta",
        Stage::Allow => "allow",
        Stage::Switch => "switch",
        Stage::Release => "release",
        Stage::Lift { .. } => "lift",
        Stage::Back { .. } => "back",
        _ => return None,
    })
}
