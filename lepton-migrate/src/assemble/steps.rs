//! The steps of the specification.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use lepton_core::deployment::OperationKey;
use lepton_core::resolver::{ProgramRun, Resolver};
use lepton_core::step::{Step, StepState};
use lepton_core::{Error, Result, RetryClass};

use crate::driver::step_key;
use crate::spec::{StepSpec, command_line};

/// A step made of programs.
pub(super) struct ProgramStep {
    spec: StepSpec,
    key: OperationKey,
    resolver: Arc<dyn Resolver>,
    /// Whether this driver has run the program that makes the change.
    applied: AtomicBool,
}

impl fmt::Debug for ProgramStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramStep").field("name", &self.spec.name).finish_non_exhaustive()
    }
}

impl ProgramStep {
    /// A step of this migration.
    pub(super) fn new(migration: &str, spec: &StepSpec, resolver: &Arc<dyn Resolver>) -> Self {
        let key = step_key(migration, &spec.name);
        Self { spec: spec.clone(), key, resolver: Arc::clone(resolver), applied: AtomicBool::new(false) }
    }

    async fn run(&self, command: &[String], key: &OperationKey) -> Result<()> {
        let variables = [("LEPTON_STEP", &key.step), ("LEPTON_OWNER", &key.owner), ("LEPTON_KEY", &key.key)];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.clone()));
        self.resolver.run(ProgramRun::new(command.to_vec(), self.spec.timeout).env(variables)).await
    }

    /// A failure of a program becomes a question to a person.
    fn lasting(&self, error: Error) -> Error {
        error.with_retry(RetryClass::Never).with_context("step", &self.spec.name)
    }
}

#[async_trait]
impl Step for ProgramStep {
    fn name(&self) -> &str {
        &self.spec.name
    }

    async fn plan(&self) -> Result<Vec<String>> {
        Ok(vec![format!("run {}", command_line(&self.spec.apply))])
    }

    async fn apply(&self, key: &OperationKey) -> Result<()> {
        self.run(&self.spec.apply, key).await.map_err(|error| self.lasting(error))?;
        self.applied.store(true, Ordering::SeqCst);
        Ok(())
    }

    async fn observe(&self) -> Result<StepState> {
        if self.spec.observe.is_empty() {
            let applied = self.applied.load(Ordering::SeqCst);
            return Ok(if applied { StepState::Done } else { StepState::Absent });
        }
        Ok(match self.run(&self.spec.observe, &self.key).await {
            Ok(()) => StepState::Done,
            Err(error) => StepState::Pending { reason: error.to_string() },
        })
    }

    async fn undo(&self, key: &OperationKey) -> Result<()> {
        self.run(&self.spec.undo, key).await.map_err(|error| self.lasting(error))?;
        self.applied.store(false, Ordering::SeqCst);
        Ok(())
    }
}
