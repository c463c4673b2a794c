//! The steps of a migration, each in effect before the next one.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::deployment::OperationKey;
use lepton_core::step::{Step, StepState};
use lepton_core::{Error, ErrorKind, Result, RetryClass};

use super::journal::Note;
use super::parts::Parts;

/// The pause between two looks at a step.
const PAUSE: Duration = Duration::from_millis(250);

/// The key of a step, the same for every call of one migration.
pub(crate) fn step_key(migration: &str, step: &str) -> OperationKey {
    OperationKey::new(migration, step, "1")
}

impl Parts {
    /// Makes the steps of one part of the migration, and waits until each is in effect.
    pub(super) async fn make_steps(&self, after_switch: bool) -> Result<()> {
        for placed in self.steps.iter().filter(|placed| placed.after_switch == after_switch) {
            let (step, record, key) = (Arc::clone(&placed.step), self.record.clone(), self.key(&*placed.step));
            let made = async move {
                record.note(&Note::Step { step: step.name().to_owned(), key: key.key.clone() }).await?;
                step.apply(&key).await
            };
            self.effect(&self.deploying, made).await?;
            self.wait_for(&*placed.step).await?;
        }
        Ok(())
    }

    /// Takes all steps back, the last one first.
    pub(super) async fn take_steps_back(&self) -> Result<()> {
        for placed in self.steps.iter().rev() {
            let (step, record, key) = (Arc::clone(&placed.step), self.record.clone(), self.key(&*placed.step));
            let undone = async move {
                step.undo(&key).await?;
                record.note(&Note::StepUndone { step: step.name().to_owned() }).await
            };
            self.effect(&self.deploying, undone).await?;
        }
        Ok(())
    }

    fn key(&self, step: &dyn Step) -> OperationKey {
        step_key(&self.name, step.name())
    }

    async fn wait_for(&self, step: &dyn Step) -> Result<()> {
        let begun = self.env.uptime();
        loop {
            let state = step.observe().await;
            let reason = match state {
                Ok(StepState::Done) => return Ok(()),
                Ok(StepState::Pending { reason }) => reason,
                Ok(_) => "it is not there".to_owned(),
                Err(error) if error.retry() == RetryClass::Never => return Err(error.with_context("step", step.name())),
                Err(error) => error.to_string(),
            };
            if self.env.uptime().saturating_sub(begun) >= self.wait.deadline {
                let message =
                    format!("the step {} is not in effect after {:?}: {reason}", step.name(), self.wait.deadline);
                return Err(Error::new(ErrorKind::Timeout, message).with_retry(RetryClass::Never));
            }
            self.env.sleep(PAUSE).await;
        }
    }
}
