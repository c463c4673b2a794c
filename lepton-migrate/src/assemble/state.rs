//! The state of a migration in its folder, and commands where no driver runs.

use std::path::{Path, PathBuf};

use lepton_core::journal::Journal;
use lepton_core::migration::{Command, Event, Machine, Policy, State};
use lepton_core::{Error, ErrorKind, Result, RuntimeExt as _, SharedRuntime};

use crate::driver::{Record, read_events, replay};
use crate::spec::{CutOver, MigrationSpec};

/// The folder of the journal of the migration, in its folder of state.
const JOURNAL: &str = "journal";

/// The folder of the journal of a migration with this folder of state.
pub fn journal(folder: &Path) -> PathBuf {
    folder.join(JOURNAL)
}

impl MigrationSpec {
    /// The state of the migration, read from its folder of state, also while a driver runs. A
    /// migration that has not started is a draft. Blocks.
    ///
    /// # Errors
    /// `corrupt` if the journal is damaged or belongs to another specification.
    pub fn state(&self, folder: &Path) -> Result<Machine> {
        let machine = Machine::new(self.names(), self.machine_policy())?;
        match read_events(&journal(folder)) {
            Ok(events) => replay(machine, events),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(machine),
            Err(error) => Err(error),
        }
    }

    /// Records a command where no driver runs, and returns the state after it. It opens the journal
    /// and nothing else.
    ///
    /// A plan replaces one that was not approved, also that of other data sets.
    ///
    /// # Errors
    /// As [`Migration::command`](crate::Migration::command); `locked` while a driver runs;
    /// `plan_mismatch` if the folder belongs to another migration; `corrupt` if the journal is
    /// damaged.
    pub async fn record(&self, folder: &Path, command: Command, env: &SharedRuntime) -> Result<State> {
        let (folder, names, policy) = (journal(folder), self.names(), self.machine_policy());
        let open = || Record::open(env, &folder, &self.name, &names, policy);
        let (record, events) = match open().await {
            Err(error) if error.kind() == ErrorKind::PlanMismatch && matches!(command, Command::Plan { .. }) => {
                discard_proposal(&folder, error, env).await?;
                open().await?
            }
            opened => opened?,
        };
        let mut machine = replay(Machine::new(names.clone(), policy)?, events)?;
        let event = Event::from(command);
        machine.apply(event.clone())?;
        record.event(&event).await?;
        Ok(machine.state().clone())
    }

    fn names(&self) -> Vec<String> {
        self.data_sets.iter().map(|set| set.name.clone()).collect()
    }

    pub(super) fn machine_policy(&self) -> Policy {
        Policy::new().fences(self.policy.fences).cuts_over(self.policy.cut_over == CutOver::Auto)
    }
}

/// Discards the journal of another specification that was planned and not approved; otherwise
/// returns the error with which it was opened.
async fn discard_proposal(folder: &Path, mismatch: Error, env: &SharedRuntime) -> Result<()> {
    let folder = folder.to_owned();
    let discarding = move || {
        let only_planned = read_events(&folder)?.iter().all(|event| matches!(event, Event::Planned { .. }));
        if only_planned { Journal::discard(&folder) } else { Err(mismatch) }
    };
    env.run_blocking(discarding).join().await?
}
