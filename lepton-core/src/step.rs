//! Changes that a migration makes in addition to its data, workloads and route, such as a DNS record.
//! **Unstable.**

use std::fmt::Debug;

use async_trait::async_trait;

use crate::Result;
use crate::deployment::OperationKey;

/// A change that a migration makes and can take back.
///
/// Every method is idempotent and never waits: after a crash the driver calls it again.
#[async_trait]
pub trait Step: Debug + Send + Sync {
    /// The name in plans and reports, unique in a migration.
    fn name(&self) -> &str;

    /// What [`apply`](Self::apply) would change now, one line each; nothing if it is in effect. It
    /// writes nothing.
    ///
    /// # Errors
    /// Errors of the provider.
    async fn plan(&self) -> Result<Vec<String>>;

    /// Makes the change. The key is the same for every call of one migration.
    ///
    /// # Errors
    /// Errors of the provider. One that is not retryable becomes a question to a person.
    async fn apply(&self, key: &OperationKey) -> Result<()>;

    /// Whether the change is in effect. The driver waits until it is.
    ///
    /// # Errors
    /// Errors of the provider.
    async fn observe(&self) -> Result<StepState>;

    /// Takes the change back. A change that was never made is fine.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    async fn undo(&self, key: &OperationKey) -> Result<()>;
}

/// The state of the change of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepState {
    /// It was not made, or it was taken back.
    Absent,
    /// It was made, and is not in effect yet.
    Pending {
        /// What it waits for.
        reason: String,
    },
    /// It is in effect.
    Done,
}
