//! The reference: a data set that exists only in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};

use super::contract::{CopySummary, DataSet, Lag, LagStream, Quiesced};
use super::memory_side::{Credentials, MemorySide};
use super::side::Side;
use super::verdict::{DataVerdict, Verdict};
use crate::{Error, ErrorKind, Result, RetryClass, SharedRuntime};

/// A data set in memory, for tests and as the reference of the contract. Clones share its state;
/// a clone is what a data set is after a crash of its driver.
///
/// A round replaces and deletes only items of the follower that a round has written or has found
/// to be the same at both sides.
#[derive(Debug, Clone)]
pub struct MemoryDataSet {
    name: String,
    env: SharedRuntime,
    sides: [MemorySide; 2],
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The versions of each item at both sides when its contents were the same.
    proofs: BTreeMap<String, [u64; 2]>,
    /// By the side that owns the writes, with the time at which the last complete round began.
    lags: [(Lag, Option<Duration>); 2],
}

/// What a round has found.
#[derive(Debug, Default)]
struct Round {
    items: u64,
    bytes: u64,
    changed: u64,
    changed_bytes: u64,
    conflicts: Vec<String>,
}

impl MemoryDataSet {
    /// A data set over these two sides.
    pub fn new(name: impl Into<String>, a: MemorySide, b: MemorySide, env: SharedRuntime) -> Self {
        Self { name: name.into(), env, sides: [a, b], state: Arc::default() }
    }

    fn side(&self, side: Side) -> &MemorySide {
        &self.sides[side as usize]
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of both sides.
    fn names(&self) -> BTreeSet<String> {
        self.sides.iter().flat_map(MemorySide::list).collect()
    }

    /// Makes every item of the follower the owner's.
    ///
    /// # Errors
    /// `conflict` with the names of items of the follower that somebody else has written.
    async fn round(&self, from: Side) -> Result<Round> {
        let began = self.env.uptime();
        let mut round = Round::default();
        for name in self.names() {
            self.settle(&name, from, &mut round);
            yield_now().await;
        }
        let mut state = self.state();
        let (lag, followed) = &mut state.lags[from as usize];
        (lag.items, lag.bytes) = (round.changed, round.changed_bytes);
        if round.conflicts.is_empty() {
            lag.rounds += 1;
            *followed = Some(began);
            return Ok(round);
        }
        let (side, names) = (from.other(), round.conflicts.join(", "));
        let message = format!("side {side} has items that this data set did not write; they are kept: {names}");
        Err(Error::new(ErrorKind::Conflict, message).with_retry(RetryClass::Never).with_context("data set", &self.name))
    }

    /// Makes one item of the follower the owner's. A call that is dropped stops between two items.
    fn settle(&self, name: &str, from: Side, round: &mut Round) {
        let mut state = self.state();
        let follower = self.side(from.other());
        let (owned, found) = (self.side(from).get(name), follower.get(name));
        let proof = |owned: u64, found: u64| if from == Side::A { [owned, found] } else { [found, owned] };
        if let Some(owned) = &owned {
            round.items += 1;
            round.bytes += owned.content.len() as u64;
        }
        if owned.as_ref().map(|item| &item.content) == found.as_ref().map(|item| &item.content) {
            match (owned, found) {
                (Some(owned), Some(found)) => {
                    state.proofs.insert(name.to_owned(), proof(owned.version, found.version));
                }
                _ => drop(state.proofs.remove(name)),
            }
            return;
        }
        round.changed += 1;
        round.changed_bytes += owned.as_ref().or(found.as_ref()).map_or(0, |item| item.content.len() as u64);
        let proven = state.proofs.get(name).map(|versions| versions[from.other() as usize]);
        let found = found.map(|item| item.version);
        let written = match found {
            Some(_) if found != proven => None,
            _ => follower.replace(name, found, owned.as_ref().map(|item| item.content.clone())),
        };
        match (written, owned) {
            (None, _) => round.conflicts.push(name.to_owned()),
            (Some(version), Some(owned)) => {
                state.proofs.insert(name.to_owned(), proof(owned.version, version));
            }
            (Some(_), None) => drop(state.proofs.remove(name)),
        }
    }

    fn lag_of(&self, from: Side) -> Lag {
        let (mut lag, followed) = self.state().lags[from as usize];
        lag.age = followed.map_or(Duration::MAX, |began| self.env.uptime().saturating_sub(began));
        lag
    }
}

#[async_trait]
impl DataSet for MemoryDataSet {
    fn name(&self) -> &str {
        &self.name
    }

    async fn copy(&self, from: Side) -> Result<CopySummary> {
        let round = self.round(from).await?;
        Ok(CopySummary::new(round.items, round.bytes))
    }

    fn follow(&self, from: Side) -> LagStream {
        let rounds = stream::unfold((self.clone(), false), move |(set, again)| async move {
            if again {
                set.env.sleep(Duration::from_millis(1)).await;
            }
            let lag = set.round(from).await.map(|_| set.lag_of(from));
            Some((lag, (set, true)))
        });
        rounds.boxed()
    }

    async fn lag(&self, from: Side) -> Result<Lag> {
        Ok(self.lag_of(from))
    }

    async fn quiesce(&self, side: Side, deny: bool, _: u64) -> Result<Quiesced> {
        self.side(side).deny(deny);
        match (self.side(side).allows(Credentials::Application), deny) {
            (Err(refusal), true) => Ok(Quiesced::Proven(refusal.to_string())),
            (Ok(()), false) => Ok(Quiesced::Lifted),
            _ => {
                let message = format!("side {side} was changed by somebody else at the same time");
                Err(Error::new(ErrorKind::PreconditionFailed, message))
            }
        }
    }

    async fn delta(&self, from: Side, epoch: u64) -> Result<DataVerdict> {
        self.round(from).await?;
        let mut verdict = DataVerdict::new(&self.name, epoch, from, Verdict::Pass);
        for name in self.names() {
            match (self.side(from).read(&name), self.side(from.other()).read(&name)) {
                (Some(owned), Some(found)) if owned == found => {
                    verdict.items += 1;
                    verdict.bytes += owned.len() as u64;
                }
                _ => verdict.differences.push(name),
            }
            yield_now().await;
        }
        verdict.verdict = match () {
            () if !verdict.differences.is_empty() => Verdict::Fail,
            () if verdict.items == 0 => Verdict::NoData,
            () => Verdict::Pass,
        };
        "both sides were compared in memory".clone_into(&mut verdict.evidence);
        Ok(verdict)
    }

    async fn reverse(&self, from: Side, _: u64) -> Result<()> {
        self.round(from).await.map(drop)
    }
}

/// Lets others run, and is where a call that is dropped stops.
async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
