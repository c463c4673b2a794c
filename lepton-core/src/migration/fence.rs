//! The transitions within a fence, the same in both directions.

use std::collections::BTreeSet;

use super::event::Event;
use super::intent::Intent;
use super::record::Record;
use super::state::{Fence, Stage, State};
use crate::Result;
use crate::data_set::{Side, Verdict};

/// The state after an event within a fence.
pub(super) fn step(record: &mut Record, state: State, event: Event) -> Result<State> {
    let (State::Fence(fence) | State::RollingBack(fence)) = state else {
        return Err(state.refuses(event.name()));
    };
    let stage = fence.stage.clone();
    Ok(match (stage, event) {
        (_, Event::Register { owner, epoch, holding }) => registered(record, fence, owner, epoch, holding),
        // The owner cannot be made to accept writes, and there is no fence to give up: it has been
        // given up, or the ownership has moved. A person decides whether to try again.
        (Stage::Allow | Stage::Lift { .. }, Event::Failed { what, why }) => {
            State::asking(format!("{what} failed"), vec![why], within(fence))
        }
        // A switch may be in flight, or the ownership has moved: the register decides.
        (
            Stage::Switch | Stage::Allow | Stage::Release | Stage::Lift { .. } | Stage::Back { .. },
            Event::GivenUp { .. } | Event::Failed { .. },
        ) => within(fence),
        (_, Event::GivenUp { why }) => give_up(fence, why),
        (_, Event::Failed { what, why }) => give_up(fence, format!("{what}: {why}")),
        (Stage::Hold, Event::Held) => within(fence.at(Stage::Drain)),
        (Stage::Drain, Event::Drained { unknown }) => {
            record.unknown = unknown;
            within(fence.at(Stage::Quiesce))
        }
        (Stage::Quiesce, Event::Quiesced { data_set, proof: None }) if record.unknown > 0 => {
            let unknown = record.unknown;
            let why =
                format!("{unknown} writes may still be in flight, and nothing proves that {data_set} refuses them");
            give_up(fence, why)
        }
        (Stage::Quiesce, Event::Quiesced { data_set, .. }) => for_each(record, fence, data_set, Stage::LastDelta),
        (Stage::LastDelta, Event::Verdict(verdict)) => {
            if verdict.epoch != fence.epoch || verdict.from != fence.to.other() {
                return Err(within(fence).refuses("a verdict of another fence"));
            }
            let (data_set, text) = (verdict.data_set.clone(), verdict.to_string());
            let passed = verdict.verdict == Verdict::Pass;
            record.verdicts.push(verdict);
            if passed { for_each(record, fence, data_set, Stage::Switch) } else { give_up(fence, text) }
        }
        (Stage::Allow, Event::Allowed { data_set }) => for_each(record, fence, data_set, Stage::Release),
        (Stage::Lift { why }, Event::Allowed { data_set }) => for_each(record, fence, data_set, Stage::Back { why }),
        (_, event) => return Err(within(fence).refuses(event.name())),
    })
}

/// A fence in the state of its direction.
fn within(fence: Fence) -> State {
    match fence.to {
        Side::B => State::Fence(fence),
        Side::A => State::RollingBack(fence),
    }
}

/// Counts a data set as done; after the last one the next stage begins.
fn for_each(record: &Record, mut fence: Fence, data_set: String, next: Stage) -> State {
    fence.done.insert(data_set);
    let done = record.data_sets.iter().all(|name| fence.done.contains(name));
    within(if done { fence.at(next) } else { fence })
}

/// Gives a fence up: first the owner accepts writes again, then the held requests are sent.
pub(super) fn give_up(fence: Fence, why: String) -> State {
    within(fence.at(Stage::Lift { why }))
}

/// The register decides.
fn registered(record: &mut Record, fence: Fence, owner: Side, epoch: u64, holding: bool) -> State {
    if owner == fence.to {
        return moved(record, fence, epoch, holding);
    }
    match &fence.stage {
        Stage::Back { why } if !holding => {
            // An earlier migration may have used higher epochs.
            record.epoch = record.epoch.max(epoch);
            ended(record, &fence, why.clone())
        }
        // An older register was restored. Whichever side accepts writes now, a person knows better.
        Stage::Allow | Stage::Release => {
            record.owner = owner;
            let why = format!(
                "the register says in epoch {epoch} that side {owner} owns the writes, although they had moved to \
                 side {}",
                fence.to
            );
            State::RollbackBlocked { why }
        }
        Stage::Hold | Stage::Back { .. } | Stage::Lift { .. } => within(fence),
        _ if holding && epoch == fence.epoch => within(fence),
        _ => give_up(fence, "the hold has ended by itself".to_owned()),
    }
}

/// The register has moved, even if no driver has recorded that it requested it. The new owner must
/// accept writes before the held requests are sent to it.
fn moved(record: &mut Record, fence: Fence, epoch: u64, holding: bool) -> State {
    record.owner = fence.to;
    record.given_up.clear();
    let holds = holding && epoch == fence.epoch;
    match fence.stage {
        Stage::Release if holds => within(fence),
        Stage::Release => {
            record.started = false;
            match fence.to {
                Side::B if std::mem::take(&mut record.rolls_back) => State::RollingBack(record.fence(Side::A)),
                Side::B => State::Switched { reversed: BTreeSet::new() },
                Side::A => State::Undoing,
            }
        }
        Stage::Allow => within(fence),
        _ => within(fence.at(Stage::Allow)),
    }
}

/// The fence was given up, and no request is held any more.
fn ended(record: &mut Record, fence: &Fence, why: String) -> State {
    if fence.to == Side::B && std::mem::take(&mut record.rolls_back) {
        return State::Undoing;
    }
    record.given_up.push(why);
    let back = match fence.to {
        Side::B => State::Tested,
        Side::A => State::Holding,
    };
    if (record.given_up.len() as u64) < u64::from(record.policy.fences.max(1)) {
        return back;
    }
    let evidence = std::mem::take(&mut record.given_up);
    let text = format!("{} fences in a row were given up", evidence.len());
    match fence.to {
        Side::B => State::asking(text, evidence, back),
        Side::A => State::RollbackBlocked { why: format!("{text}: {}", evidence.join("; ")) },
    }
}

/// The intents within a fence.
pub(super) fn intents(fence: &Fence, data_sets: &[String]) -> Vec<Intent> {
    let (to, from, epoch) = (fence.to, fence.to.other(), fence.epoch);
    let open = || data_sets.iter().filter(|name| !fence.done.contains(*name)).cloned();
    let mut intents: Vec<Intent> = match &fence.stage {
        Stage::Hold => vec![Intent::Hold { epoch }],
        Stage::Drain => vec![Intent::Drain { side: from }],
        Stage::Quiesce => open().map(|data_set| Intent::Quiesce { data_set, side: from }).collect(),
        Stage::LastDelta => open().map(|data_set| Intent::LastDelta { data_set, from, epoch }).collect(),
        Stage::Switch => vec![Intent::Switch { to, epoch }],
        Stage::Allow => open().map(|data_set| Intent::Allow { data_set, side: to }).collect(),
        Stage::Lift { .. } => open().map(|data_set| Intent::Allow { data_set, side: from }).collect(),
        Stage::Release | Stage::Back { .. } => vec![Intent::Release { epoch }],
    };
    if !matches!(fence.stage, Stage::Hold | Stage::Release | Stage::Back { .. }) {
        intents.push(Intent::KeepHold { epoch });
    }
    intents.push(Intent::KeepBackends);
    // The follower continues until the last delta, which works on the same data.
    if matches!(fence.stage, Stage::Hold | Stage::Drain | Stage::Quiesce) {
        intents.extend(data_sets.iter().cloned().map(|data_set| Intent::Follow { data_set, from }));
    }
    intents
}
