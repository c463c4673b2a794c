//! What takes part in a fence.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use super::side::Side;
use super::verdict::DataVerdict;
use crate::Result;

/// Data that exactly one side owns at any time: the objects below a prefix, a database, a
/// volume. `from` is the side that owns the writes; the other side follows.
///
/// Every method may be called again after a crash with the same arguments, and goes on.
#[async_trait]
pub trait DataSet: Debug + Send + Sync {
    /// The name, unique in a migration.
    fn name(&self) -> &str;

    /// Copies everything once. What has been proven before is not copied again.
    ///
    /// # Errors
    /// Errors of the copy; the next call goes on.
    async fn copy(&self, from: Side) -> Result<CopySummary>;

    /// Follows the owner's changes in rounds, until it is dropped, and reports after each round
    /// how far behind the follower is. Deletes are followed too.
    fn follow(&self, from: Side) -> LagStream;

    /// How far behind the follower is in this direction.
    ///
    /// # Errors
    /// Errors of both sides.
    async fn lag(&self, from: Side) -> Result<Lag>;

    /// Makes a side refuse its application's writes, or allows them again, and proves it by a
    /// write with the application's credentials. It is idempotent.
    ///
    /// # Errors
    /// `precondition_failed` if the side still accepts writes afterwards.
    async fn quiesce(&self, side: Side, deny: bool, epoch: u64) -> Result<Quiesced>;

    /// Brings the follower to the owner's last state and compares both sides wholly. The owner
    /// must have been made to refuse writes.
    ///
    /// # Errors
    /// Errors of the copy. What a comparison found is a verdict.
    async fn delta(&self, from: Side, epoch: u64) -> Result<DataVerdict>;

    /// Starts to follow in the other direction, after a switch: from now on `from` owns the
    /// writes. What of the old owner is newer than the fence is named and never deleted.
    ///
    /// # Errors
    /// `conflict`, naming the items that the old owner has changed since the fence of `epoch`.
    async fn reverse(&self, from: Side, epoch: u64) -> Result<()>;
}

/// How far behind a follower is, after each round.
pub type LagStream = BoxStream<'static, Result<Lag>>;

/// How far behind a follower is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// Items that differed when the last round began.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The time since the beginning of the last complete round: a change that is older has been
    /// followed. [`Duration::MAX`] before the first one.
    pub age: Duration,
    /// Complete rounds since the follower was started.
    pub rounds: u64,
}

/// What a copy has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopySummary {
    /// Items at the follower.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Lag {
    /// The lag before the first round.
    pub fn new() -> Self {
        Self { age: Duration::MAX, ..Self::default() }
    }
}

impl CopySummary {
    /// A copy of this much.
    pub fn new(items: u64, bytes: u64) -> Self {
        Self { items, bytes }
    }
}

/// What is known of a side that was told to refuse writes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quiesced {
    /// A write with the application's credentials was refused; the text says how.
    Proven(String),
    /// Only the router sends writes to this side. That is an assumption of the user, which plan
    /// and report state.
    Assumed,
    /// The side accepts writes, as it should.
    Lifted,
}
