//! The reference of data sets, and the reference with one lie.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use lepton_core::conformance::data_set::{Options, Subject, memory, memory_user, run};
use lepton_core::data_set::{
    CopySummary, Credentials, DataSet, DataVerdict, Lag, LagStream, MemoryDataSet, MemorySide, Quiesced, Side, Verdict,
};
use lepton_core::{ErrorKind, Result, SharedRuntime, SystemRuntime};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    None,
    MissesDeletes,
    ComparesLengths,
    SkipsEmptyItems,
    OverwritesOthers,
    DeletesOthers,
    StopsAtAConflict,
    IsAlwaysCaughtUp,
    HasOneLag,
    CountsNoRounds,
    FindsDifferencesAgain,
    SaysProven,
    NeverLifts,
    DeniesBothSides,
    LeavesItsProbe,
    HasAnotherEpoch,
    HasAnotherDirection,
    CountsOneMore,
    CountsNoBytes,
    PassesWithoutData,
    RemembersItsVerdict,
    OverlooksTheFollower,
    ForgetsAfterACrash,
    ReversesNothing,
    ReversesOverLateWrites,
    CannotReturn,
    KnowsOnlyNames,
}

#[derive(Debug, Clone)]
struct Lying {
    inner: MemoryDataSet,
    sides: [MemorySide; 2],
    env: SharedRuntime,
    lie: Lie,
    /// The first verdict that has passed.
    passed: Arc<Mutex<Option<DataVerdict>>>,
    /// The names of items that were copied.
    proven: Arc<Mutex<BTreeSet<String>>>,
}

impl Lying {
    /// A copy as somebody writes it who has not read the contract.
    fn naive(&self, from: Side) -> CopySummary {
        let (owner, follower) = (&self.sides[from as usize], &self.sides[from.other() as usize]);
        let names: BTreeSet<_> = owner.list().into_iter().chain(follower.list()).collect();
        let mut summary = CopySummary::new(0, 0);
        for name in names {
            let (owned, found) = (owner.read(&name), follower.read(&name));
            summary.items += u64::from(owned.is_some());
            summary.bytes += owned.as_ref().map_or(0, |content| content.len() as u64);
            let length = |content: &Option<bytes::Bytes>| content.as_ref().map(bytes::Bytes::len);
            let lengths = length(&owned) == length(&found);
            match owned {
                Some(_) if lengths && self.lie == Lie::ComparesLengths => {}
                Some(content) if content.is_empty() && self.lie == Lie::SkipsEmptyItems => {}
                Some(content) => follower.write(Credentials::Administrator, &name, content).unwrap(),
                None if self.lie == Lie::MissesDeletes => {}
                None => follower.delete(Credentials::Administrator, &name).unwrap(),
            }
        }
        summary
    }

    async fn round(&self, from: Side) -> Result<CopySummary> {
        match self.lie {
            Lie::MissesDeletes | Lie::ComparesLengths | Lie::SkipsEmptyItems | Lie::OverwritesOthers => {
                Ok(self.naive(from))
            }
            Lie::DeletesOthers => {
                let (owner, follower) = (&self.sides[from as usize], &self.sides[from.other() as usize]);
                for name in follower.list().into_iter().filter(|name| owner.read(name).is_none()) {
                    follower.delete(Credentials::Administrator, &name)?;
                }
                self.inner.copy(from).await
            }
            Lie::StopsAtAConflict => {
                // A first look, after which nothing is copied if there is a conflict.
                let follower = &self.sides[from.other() as usize];
                let before: Vec<_> = follower.list().into_iter().map(|name| (follower.read(&name), name)).collect();
                let copied = self.inner.copy(from).await;
                if copied.is_err() {
                    for name in follower.list() {
                        follower.delete(Credentials::Administrator, &name)?;
                    }
                    for (content, name) in before {
                        follower.write(Credentials::Administrator, &name, content.unwrap())?;
                    }
                }
                copied
            }
            // What the follower has is taken for what a round has written.
            Lie::KnowsOnlyNames => {
                let (owner, follower) = (&self.sides[from as usize], &self.sides[from.other() as usize]);
                for name in follower.list().into_iter().filter(|name| self.proven.lock().unwrap().contains(name)) {
                    follower.delete(Credentials::Administrator, &name)?;
                }
                self.proven.lock().unwrap().extend(owner.list());
                self.inner.copy(from).await
            }
            Lie::CannotReturn if from == Side::A && self.inner.lag(Side::B).await?.rounds > 0 => {
                MemoryDataSet::new("forgotten", self.sides[0].clone(), self.sides[1].clone(), self.env.clone())
                    .copy(from)
                    .await
            }
            _ => self.inner.copy(from).await,
        }
    }

    fn seen(&self, mut lag: Lag) -> Lag {
        match self.lie {
            Lie::IsAlwaysCaughtUp => lag.age = std::time::Duration::ZERO,
            Lie::CountsNoRounds => lag.rounds = 1,
            Lie::FindsDifferencesAgain => lag.items = self.sides[0].list().len() as u64,
            _ => {}
        }
        lag
    }
}

#[async_trait]
impl DataSet for Lying {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn copy(&self, from: Side) -> Result<CopySummary> {
        self.round(from).await
    }

    fn follow(&self, from: Side) -> LagStream {
        let rounds = stream::unfold(self.clone(), move |set| async move {
            let lag = match set.round(from).await {
                Ok(_) => set.lag(from).await,
                Err(error) => Err(error),
            };
            Some((lag, set))
        });
        rounds.boxed()
    }

    async fn lag(&self, from: Side) -> Result<Lag> {
        let from = if self.lie == Lie::HasOneLag { Side::A } else { from };
        Ok(self.seen(self.inner.lag(from).await?))
    }

    async fn quiesce(&self, side: Side, deny: bool, epoch: u64) -> Result<Quiesced> {
        match self.lie {
            Lie::SaysProven if deny => return Ok(Quiesced::Proven("it was denied".into())),
            Lie::NeverLifts if !deny => return Ok(Quiesced::Lifted),
            Lie::DeniesBothSides => drop(self.inner.quiesce(side.other(), deny, epoch).await?),
            Lie::LeavesItsProbe => self.sides[side as usize].write(Credentials::Administrator, ".probe", "")?,
            _ => {}
        }
        self.inner.quiesce(side, deny, epoch).await
    }

    async fn delta(&self, from: Side, epoch: u64) -> Result<DataVerdict> {
        if let (Lie::RemembersItsVerdict, Some(verdict)) = (self.lie, &*self.passed.lock().unwrap()) {
            return Ok(verdict.clone());
        }
        let summary = self.round(from).await;
        if self.lie == Lie::OverlooksTheFollower && summary.as_ref().is_err_and(|e| e.kind() == ErrorKind::Conflict) {
            return Ok(DataVerdict::new(self.name(), epoch, from, Verdict::Pass));
        }
        let summary = summary?;
        let mut verdict = DataVerdict::new(self.name(), epoch, from, Verdict::Pass);
        (verdict.items, verdict.bytes) = (summary.items, summary.bytes);
        "the last copy".clone_into(&mut verdict.evidence);
        match self.lie {
            Lie::MissesDeletes | Lie::ComparesLengths | Lie::SkipsEmptyItems | Lie::OverwritesOthers => {}
            _ => verdict = self.inner.delta(from, epoch).await?,
        }
        match self.lie {
            Lie::HasAnotherEpoch => verdict.epoch -= 1,
            Lie::HasAnotherDirection => verdict.from = from.other(),
            Lie::CountsOneMore => verdict.items += 1,
            Lie::CountsNoBytes => verdict.bytes = 0,
            Lie::PassesWithoutData if verdict.verdict == Verdict::NoData => verdict.verdict = Verdict::Pass,
            _ => {}
        }
        if verdict.verdict == Verdict::Pass {
            *self.passed.lock().unwrap() = Some(verdict.clone());
        }
        Ok(verdict)
    }

    async fn reverse(&self, from: Side, epoch: u64) -> Result<()> {
        match self.lie {
            Lie::ReversesNothing => Ok(()),
            Lie::ReversesOverLateWrites => {
                self.naive(from);
                Ok(())
            }
            Lie::CannotReturn => self.round(from).await.map(drop),
            _ => self.inner.reverse(from, epoch).await,
        }
    }
}

/// The reference with one lie; what it keeps survives a crash, unless that is the lie.
fn lying(lie: Lie, env: &SharedRuntime) -> Subject {
    let sides = [MemorySide::new(), MemorySide::new()];
    let set = {
        let (sides, env) = (sides.clone(), env.clone());
        move || MemoryDataSet::new("lying", sides[0].clone(), sides[1].clone(), env.clone())
    };
    let user = memory_user(sides[0].clone(), sides[1].clone());
    let (env, kept, passed, proven) = (env.clone(), set(), Arc::default(), Arc::default());
    let open = {
        let env = env.clone();
        move || {
            let inner = if lie == Lie::ForgetsAfterACrash { set() } else { kept.clone() };
            let (sides, env) = (sides.clone(), env.clone());
            let (passed, proven) = (Arc::clone(&passed), Arc::clone(&proven));
            Ok(Arc::new(Lying { inner, sides, env, lie, passed, proven }) as Arc<dyn DataSet>)
        }
    };
    Subject::new(open, user, env)
}

const LIES: [(Lie, &str); 26] = [
    (Lie::MissesDeletes, "a_delete_is_followed"),
    (Lie::ComparesLengths, "an_overwrite_of_the_same_length_is_followed"),
    (Lie::SkipsEmptyItems, "a_copy_copies_every_item"),
    (Lie::OverwritesOthers, "a_different_item_of_the_follower_is_kept"),
    (Lie::DeletesOthers, "an_item_that_only_the_follower_has_is_kept"),
    (Lie::StopsAtAConflict, "other_items_are_copied_in_spite_of_a_conflict"),
    (Lie::IsAlwaysCaughtUp, "there_is_a_lag_before_the_first_round"),
    (Lie::HasOneLag, "a_lag_is_of_one_direction"),
    (Lie::CountsNoRounds, "rounds_are_counted"),
    (Lie::FindsDifferencesAgain, "a_second_copy_changes_nothing"),
    (Lie::SaysProven, "a_proof_means_that_writes_are_refused"),
    (Lie::NeverLifts, "a_quiesce_is_lifted"),
    (Lie::DeniesBothSides, "a_quiesce_is_of_one_side"),
    (Lie::LeavesItsProbe, "a_quiesce_leaves_no_items"),
    (Lie::HasAnotherEpoch, "a_verdict_states_what_was_compared"),
    (Lie::HasAnotherDirection, "a_verdict_states_what_was_compared"),
    (Lie::CountsOneMore, "a_verdict_states_what_was_compared"),
    (Lie::CountsNoBytes, "a_verdict_states_what_was_compared"),
    (Lie::PassesWithoutData, "no_data_is_no_pass"),
    (Lie::RemembersItsVerdict, "a_write_after_a_pass_is_found_by_the_next_delta"),
    (Lie::OverlooksTheFollower, "an_item_that_appears_at_the_follower_is_named"),
    (Lie::ForgetsAfterACrash, "a_copy_resumes_after_a_crash"),
    (Lie::ReversesNothing, "an_item_created_after_the_fence_is_named_and_kept"),
    (Lie::ReversesOverLateWrites, "an_item_changed_after_the_fence_is_named_and_kept"),
    (Lie::CannotReturn, "a_second_switch_loses_nothing"),
    (Lie::KnowsOnlyNames, "an_item_that_was_overwritten_at_the_follower_is_kept"),
];

#[tokio::test]
async fn the_reference_passes() {
    let env = SystemRuntime::shared();
    let report = run(Options::new(), async || Ok(memory(&env))).await;
    assert_eq!((report.failures().count(), report.passed()), (0, report.cases.len()), "{report}");
    let report = run(Options::new(), async || Ok(lying(Lie::None, &env))).await;
    assert_eq!(report.failures().count(), 0, "{report}");
}

#[tokio::test]
async fn each_lie_is_found_by_its_case() {
    for (lie, found) in LIES {
        let env = SystemRuntime::shared();
        let report = run(Options::new().only(found), async || Ok(lying(lie, &env))).await;
        assert_eq!(super::failed(&report), [found], "{lie:?}: {report}");
    }
}
