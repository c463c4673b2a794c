//! The machine: events in, state and intents out.

use std::collections::BTreeSet;

use super::event::{Choice, Event};
use super::fence;
use super::intent::Intent;
use super::record::{Policy, Record};
use super::state::{Stage, State};
use crate::data_set::{Clearance, DataVerdict, Side};
use crate::{Error, ErrorKind, Result, RetryClass};

/// The state machine of one migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    state: State,
    hash: Option<String>,
    record: Record,
}

impl Machine {
    /// A draft of a migration of these data sets.
    ///
    /// # Errors
    /// `invalid_input` if there is none or if two have one name.
    pub fn new(data_sets: Vec<String>, policy: Policy) -> Result<Self> {
        let names: BTreeSet<_> = data_sets.iter().collect();
        if names.is_empty() || names.len() < data_sets.len() {
            return Err(Error::invalid_input("a migration needs data sets, each with a name of its own"));
        }
        Ok(Self { state: State::Draft, hash: None, record: Record::new(data_sets, policy) })
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The side that owns the writes, as far as the driver knows. The register decides.
    pub fn owner(&self) -> Side {
        self.record.owner
    }

    /// The epoch of the last fence.
    pub fn epoch(&self) -> u64 {
        self.record.epoch
    }

    /// The hash of the plan.
    pub fn plan(&self) -> Option<&str> {
        self.hash.as_deref()
    }

    /// The verdicts of the current epoch.
    pub fn verdicts(&self) -> &[DataVerdict] {
        &self.record.verdicts
    }

    /// The clearance for the switch of the current fence.
    ///
    /// # Errors
    /// `precondition_failed` unless every data set has passed in this epoch.
    pub fn clearance(&self, to: Side) -> Result<Clearance> {
        Clearance::new(to, self.record.epoch, &self.record.data_sets, &self.record.verdicts)
    }

    /// Takes an event.
    ///
    /// # Errors
    /// `precondition_failed` if it cannot happen in this state, naming both; nothing has changed
    /// then.
    pub fn apply(&mut self, event: Event) -> Result<()> {
        let mut next = self.clone();
        next.take(event)?;
        *self = next;
        Ok(())
    }

    fn take(&mut self, event: Event) -> Result<()> {
        let state = std::mem::replace(&mut self.state, State::Draft);
        self.state = match (state, event) {
            (State::Draft | State::Planned, Event::Planned { hash }) => {
                self.hash = Some(hash);
                State::Planned
            }
            (State::Planned, Event::Approved { hash }) => self.approved(&hash)?,
            (State::Copying { mut copied }, Event::Copied { data_set }) => {
                copied.insert(data_set);
                self.record.when_all(copied, |copied| State::Copying { copied }, State::Delta { caught_up: false })
            }
            (State::Delta { .. }, Event::CaughtUp) => State::Delta { caught_up: true },
            (State::Delta { caught_up: true }, Event::Deployed) => State::Deployed,
            (State::Deployed, Event::TestsPassed) => State::Tested,
            (State::Deployed, Event::TestsFailed { why }) => {
                let text = "an acceptance test failed at side B".to_owned();
                State::asking(text, vec![why], State::Deployed)
            }
            (State::Tested, Event::CutOver) => State::Fence(self.record.fence(Side::B)),
            (state @ (State::Fence(_) | State::RollingBack(_)), event) if !is_command(&event) => {
                fence::step(&mut self.record, state, event)?
            }
            (State::Switched { mut reversed }, Event::Reversed { data_set }) => {
                reversed.insert(data_set);
                self.record.when_all(reversed, |reversed| State::Switched { reversed }, State::Holding)
            }
            (state @ (State::Switched { .. } | State::Holding), Event::ReverseConflict { data_set, items }) => {
                let text = format!("side A of {data_set} was changed after the fence; it is not overwritten");
                State::asking(text, items, state)
            }
            (state @ (State::Switched { .. } | State::Holding), Event::Started) if !self.record.started => {
                self.record.started = true;
                state
            }
            (State::Holding, Event::Finalize) => State::Finalized,
            (State::Finalized, Event::Decommission) => State::Decommissioning,
            (State::Decommissioning, Event::Decommissioned) => State::Decommissioned,
            (State::Undoing, Event::Undone) => State::RolledBack,
            (State::Undoing, Event::Failed { what, why }) => State::RollbackBlocked { why: format!("{what}: {why}") },
            (state, Event::Failed { what, why }) if works(&state) => {
                State::asking(format!("{what} failed"), vec![why], state)
            }
            (state, event) => self.command(state, event)?,
        };
        Ok(())
    }

    /// A user's command.
    fn command(&mut self, state: State, event: Event) -> Result<State> {
        Ok(match (state, event) {
            (State::Paused(state), Event::Resume) => *state,
            // A fence holds users' requests: it is not paused.
            (state, Event::Pause) if can_pause(&state) => State::Paused(Box::new(state)),
            (State::NeedsDecision { then, .. }, Event::Decided { choice: Choice::Retry }) => *then,
            (State::NeedsDecision { then, .. }, Event::Decided { choice: Choice::Rollback } | Event::Rollback) => {
                match *then {
                    // The question is about the rollback itself.
                    State::RollingBack(fence) => State::RollingBack(fence),
                    then => self.rollback(then)?,
                }
            }
            (State::Paused(state), Event::Rollback) => self.rollback(*state)?,
            (State::RollbackBlocked { .. }, Event::Rollback) if self.record.owner == Side::A => State::Undoing,
            (state, Event::Rollback) => self.rollback(state)?,
            (state, event) => return Err(state.refuses(event.name())),
        })
    }

    fn rollback(&mut self, state: State) -> Result<State> {
        match state {
            // A switch may be in flight.
            State::Fence(fence) if fence.stage == Stage::Switch => Err(State::Fence(fence).refuses("rollback")),
            // Side B owns the writes: its hold ends, and then the fence back begins.
            State::Fence(fence) if self.record.owner == Side::B => {
                self.record.rolls_back = true;
                Ok(State::Fence(fence.at(Stage::Release)))
            }
            State::Fence(fence) => {
                self.record.rolls_back = true;
                Ok(fence::give_up(fence, "a rollback was requested".to_owned()))
            }
            State::Draft
            | State::Planned
            | State::Finalized
            | State::Decommissioning
            | State::Decommissioned
            | State::RollingBack(_)
            | State::RolledBack => Err(state.refuses("rollback")),
            _ if self.record.owner == Side::A => Ok(State::Undoing),
            State::RollbackBlocked { .. } | State::Switched { .. } | State::Holding => {
                Ok(State::RollingBack(self.record.fence(Side::A)))
            }
            _ => Err(state.refuses("rollback")),
        }
    }

    fn approved(&self, hash: &str) -> Result<State> {
        match &self.hash {
            Some(planned) if planned == hash => Ok(State::Copying { copied: BTreeSet::new() }),
            planned => {
                let planned = planned.as_deref().unwrap_or("none");
                let message = format!("the plan is {planned}, but {hash} was approved; look at the plan again");
                Err(Error::new(ErrorKind::PlanMismatch, message).with_retry(RetryClass::Never))
            }
        }
    }

    /// The intents of the current state, a function of the events alone.
    pub fn intents(&self) -> Vec<Intent> {
        let each = |make: &dyn Fn(String) -> Intent, done: &BTreeSet<String>| -> Vec<Intent> {
            self.record.data_sets.iter().filter(|name| !done.contains(*name)).cloned().map(make).collect()
        };
        let none = BTreeSet::new();
        let follow = || each(&|data_set| Intent::Follow { data_set, from: self.record.owner }, &none);
        let with = |mut intents: Vec<Intent>, more: &[Intent]| {
            intents.extend_from_slice(more);
            intents
        };
        let start: &[Intent] = if self.record.started { &[] } else { &[Intent::Start] };
        match &self.state {
            State::Copying { copied } => {
                let open: BTreeSet<_> =
                    self.record.data_sets.iter().filter(|name| !copied.contains(*name)).cloned().collect();
                let mut intents = each(&|data_set| Intent::Copy { data_set }, copied);
                intents.extend(each(&|data_set| Intent::Follow { data_set, from: Side::A }, &open));
                intents
            }
            State::Delta { caught_up: false } => with(follow(), &[Intent::WatchLag]),
            State::Delta { caught_up: true } => with(follow(), &[Intent::Deploy]),
            State::Deployed => with(follow(), &[Intent::Test, Intent::KeepBackends]),
            State::Tested if self.record.policy.cuts_over => {
                let given_up = u32::try_from(self.record.given_up.len()).unwrap_or(u32::MAX);
                with(follow(), &[Intent::KeepBackends, Intent::StartCutOver { given_up }])
            }
            State::Tested => with(follow(), &[Intent::KeepBackends]),
            State::Holding => with(with(follow(), &[Intent::KeepBackends]), start),
            State::Fence(fence) | State::RollingBack(fence) => fence::intents(fence, &self.record.data_sets),
            State::Switched { reversed } => {
                let reverse = each(&|data_set| Intent::Reverse { data_set, from: self.record.owner }, reversed);
                with(with(reverse, &[Intent::KeepBackends]), start)
            }
            State::Undoing => vec![Intent::Undo],
            State::Decommissioning => vec![Intent::Decommission],
            // Side B still follows while a person decides. A side that owns the writes serves.
            State::NeedsDecision { then, .. } => match &**then {
                State::Delta { .. } => follow(),
                State::Deployed | State::Tested => with(follow(), &[Intent::KeepBackends]),
                State::Switched { .. } | State::Holding | State::Fence(_) | State::RollingBack(_) => {
                    vec![Intent::KeepBackends]
                }
                _ => Vec::new(),
            },
            State::Paused(then) if **then == State::Holding => vec![Intent::KeepBackends],
            State::RollbackBlocked { .. } if self.record.owner == Side::B => vec![Intent::KeepBackends],
            _ => Vec::new(),
        }
    }
}

/// Whether an intent of this state may fail in a way that a person must decide about.
fn works(state: &State) -> bool {
    let before = matches!(state, State::Copying { .. } | State::Delta { .. } | State::Deployed | State::Tested);
    before || matches!(state, State::Switched { .. } | State::Holding | State::Decommissioning)
}

fn is_command(event: &Event) -> bool {
    matches!(event, Event::Pause | Event::Resume | Event::Rollback | Event::Decided { .. })
}

fn can_pause(state: &State) -> bool {
    matches!(state, State::Copying { .. } | State::Delta { .. } | State::Deployed | State::Tested | State::Holding)
}
