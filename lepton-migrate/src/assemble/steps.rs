//! The steps of the specification.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use lepton_core::deployment::OperationKey;
use lepton_core::resolver::{ProgramRun, Resolver};
use lepton_core::step::{Step, StepState};
use lepton_core::{Error, Result, Retry};

use crate::spec::StepSpec;

/// A step made of programs.
pub(super) struct ProgramStep {
    spec: StepSpec,
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
    pub(super) fn new(spec: &StepSpec, resolver: &Arc<dyn Resolver>) -> Self {
        Self { spec: spec.clone(), resolver: Arc::clone(resolver), applied: AtomicBool::new(false) }
    }

    async fn run(&self, command: &[String], key: Option<&OperationKey>) -> Result<()> {
        let mut variables = vec![("LEPTON_STEP".to_owned(), self.spec.name.clone())];
        if let Some(key) = key {
            variables.push(("LEPTON_OWNER".to_owned(), key.owner.clone()));
            variables.push(("LEPTON_KEY".to_owned(), key.key.clone()));
        }
        self.resolver.run(ProgramRun::new(command.to_vec(), self.spec.timeout).env(variables)).await
    }

    /// A failure of a program becomes a question to a person.
    fn lasting(&self, error: Error) -> Error {
        error.with_retry(Retry::Never).with_context("step", &self.spec.name)
    }
}

#[async_trait]
impl Step for ProgramStep {
    fn name(&self) -> &str {
        &self.spec.name
    }

    async fn plan(&self) -> Result<Vec<String>> {
        Ok(vec![format!("run {}", self.spec.apply.join(" "))])
    }

    async fn apply(&self, key: &OperationKey) -> Result<()> {
        self.run(&self.spec.apply, Some(key)).await.map_err(|error| self.lasting(error))?;
        self.applied.store(true, Ordering::SeqCst);
        Ok(())
    }

    async fn observe(&self) -> Result<StepState> {
        if self.spec.observe.is_empty() {
            let applied = self.applied.load(Ordering::SeqCst);
            return Ok(if applied { StepState::Done } else { StepState::Absent });
        }
        Ok(match self.run(&self.spec.observe, None).await {
            Ok(()) => StepState::Done,
            Err(error) => StepState::Pending { reason: error.to_string() },
        })
    }

    async fn undo(&self, key: &OperationKey) -> Result<()> {
        self.run(&self.spec.undo, Some(key)).await.map_err(|error| self.lasting(error))?;
        self.applied.store(false, Ordering::SeqCst);
        Ok(())
    }
}
