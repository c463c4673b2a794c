//! What a migration shows of itself: its events, its state, and how far a follower is behind.

use std::time::Duration;

use lepton::core::SystemRuntime;
use lepton::core::data_set::Side;
use lepton::core::migration::{Event, Stage, State};
use lepton::migrate::{DataSetLag, MigrationSpec, control_socket, read_lag};
use lepton::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::place::{DECIDE, Place};

/// How long a driver may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// Shows an event and the state after it. Without an event, a driver has resumed.
pub(crate) fn show(place: &Place, event: Option<&Event>, state: &State) {
    let name = event.map_or("resumed", Event::name);
    let why = event.map(reason).unwrap_or_default();
    let mut line = format!("{name:<16} {state}");
    if !why.is_empty() {
        line = format!("{line}\n    {why}");
    }
    line += &question(state);
    place.say(&line, &json!({"event": name, "why": why, "state": state.name(), "text": state.to_string()}));
}

/// Why something has failed.
pub(crate) fn reason(event: &Event) -> String {
    match event {
        Event::Failed { what, why } => format!("{what}: {why}"),
        Event::GivenUp { why } | Event::TestsFailed { why } => why.clone(),
        Event::ReverseConflict { data_set, items } => format!("{data_set}: {}", items.join("; ")),
        _ => String::new(),
    }
}

/// The evidence of a question and its answers, one line each.
fn question(state: &State) -> String {
    let State::NeedsDecision { question, .. } = state else { return String::new() };
    let choices: Vec<String> = question.choices.iter().map(ToString::to_string).collect();
    let mut lines: String = question.evidence.iter().map(|evidence| format!("\n    {evidence}")).collect();
    lines += &format!("\n    answer with `decide` and one of: {}", choices.join(", "));
    lines
}

/// Shows the state; returns the exit code.
pub(crate) async fn status(place: &Place) -> Result<u8> {
    let spec = MigrationSpec::load(place.spec())?;
    let machine = spec.state(&place.folder())?;
    let (state, owner, epoch) = (machine.state(), machine.owner(), machine.epoch());
    let mut text = format!("{}: {state}{}", spec.name, question(state));
    text = format!("{text}\n  owner of the writes  {owner}\n  epoch                {epoch}");
    if let Some(plan) = machine.plan() {
        text = format!("{text}\n  plan                 {plan}");
    }
    for verdict in machine.verdicts() {
        text = format!("{text}\n  verdict              {verdict}");
    }
    let lags = lag(place, machine.owner()).await;
    text = match &lags {
        Ok(lags) => format!("{text}\n  lag                  {}", behind(lags)),
        Err(error) if error.kind() == ErrorKind::NotFound => format!("{text}\n  no driver runs"),
        Err(error) => format!("{text}\n  the driver does not answer: {error}"),
    };
    let fields = json!({
        "event": "status", "name": spec.name, "state": state.name(), "details": state, "owner": owner,
        "epoch": epoch, "plan": machine.plan(), "verdicts": machine.verdicts(), "driven": lags.is_ok(),
        "lag": lags.as_deref().ok().map(lag_fields),
    });
    place.say(&text, &fields);
    Ok(if matches!(state, State::NeedsDecision { .. } | State::RollbackBlocked { .. }) { DECIDE } else { 0 })
}

/// How far the followers of this owner are behind.
///
/// # Errors
/// `not_found` if no driver runs; `timeout` if it does not answer.
pub(crate) async fn lag(place: &Place, owner: Side) -> Result<Vec<DataSetLag>> {
    let (socket, env) = (control_socket(&place.folder()), SystemRuntime::shared());
    let late = |_| Err(Error::new(ErrorKind::Timeout, format!("no answer after {ANSWER:?}")));
    tokio::time::timeout(ANSWER, read_lag(&socket, owner, &env)).await.unwrap_or_else(late)
}

/// How far each follower is behind, as text.
pub(crate) fn behind(lags: &[DataSetLag]) -> String {
    let each = lags.iter().map(|lag| match lag.age {
        Some(age) => {
            let (name, seconds) = (&lag.data_set, age.as_secs_f64());
            let (items, bytes) = (lag.items, lag.bytes);
            format!("{name}: {seconds:.1} s behind; the last round had {items} objects with {bytes} bytes to copy")
        }
        None => format!("{}: no round is complete yet", lag.data_set),
    });
    each.collect::<Vec<_>>().join(", ")
}

/// The same for a program that reads it.
pub(crate) fn lag_fields(lags: &[DataSetLag]) -> Vec<Value> {
    let fields = |lag: &DataSetLag| {
        let age = lag.age.map(|age| age.as_secs_f64());
        json!({"data_set": lag.data_set, "items": lag.items, "bytes": lag.bytes, "age_seconds": age})
    };
    lags.iter().map(fields).collect()
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
