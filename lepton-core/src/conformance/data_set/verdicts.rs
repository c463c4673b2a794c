//! The last delta, and what its verdict states.

use futures_util::future::join;

use super::fixture::{Subject, cases, named};
use crate::conformance::expect::{Check, ensure, same};
use crate::data_set::{DataSet, Side, Verdict};

cases! {
    a_delta_copies_the_last_changes,
    a_verdict_states_what_was_compared,
    a_delta_without_a_copy_passes,
    no_data_is_no_pass,
    a_write_after_a_pass_is_found_by_the_next_delta,
    a_write_during_a_delta_is_found,
    an_item_that_appears_at_the_follower_is_named,
}

async fn a_delta_copies_the_last_changes(s: &Subject) -> Check {
    let set = s.filled().await?;
    set.copy(Side::A).await?;
    s.write(Side::A, "new", "").await?;
    s.write(Side::A, "item-1", "CONTENT-01").await?;
    s.delete(Side::A, "item-2").await?;
    let items = s.items(Side::A).await?;
    s.fence(&*set, Side::A, 1).await?;
    same("the items of both sides", s.same_sides().await?, items)
}

async fn a_verdict_states_what_was_compared(s: &Subject) -> Check {
    let set = s.switched().await?;
    let items = s.same_sides().await?;
    let verdict = s.fence(&*set, Side::A, 7).await?;
    same("the data set", verdict.data_set.as_str(), set.name())?;
    same("the epoch", verdict.epoch, 7)?;
    same("the side that owns the writes", verdict.from, Side::A)?;
    same("the items", verdict.items, items.len() as u64)?;
    same("the bytes", verdict.bytes, items.values().map(|content| content.len() as u64).sum())?;
    same("the differences of a pass", verdict.differences, Vec::new())?;
    ensure!(!verdict.evidence.is_empty(), "the verdict has no evidence");
    Ok(())
}

async fn a_delta_without_a_copy_passes(s: &Subject) -> Check {
    let set = s.filled().await?;
    let items = s.items(Side::A).await?;
    s.fence(&*set, Side::A, 1).await?;
    same("the items of both sides", s.same_sides().await?, items)
}

async fn no_data_is_no_pass(s: &Subject) -> Check {
    let set = s.open()?;
    set.copy(Side::A).await?;
    set.quiesce(Side::A, true, 1).await?;
    let verdict = set.delta(Side::A, 1).await?;
    same("the verdict without items", verdict.verdict, Verdict::NoData)?;
    same("its items and bytes", (verdict.items, verdict.bytes), (0, 0))
}

async fn a_write_after_a_pass_is_found_by_the_next_delta(s: &Subject) -> Check {
    let set = s.switched().await?;
    s.interfere(Side::A, "item-3", "CONTENT-03").await?;
    s.interfere(Side::A, "late", "late").await?;
    found_later(s, &*set).await?;
    s.has(Side::B, "item-3", "CONTENT-03").await?;
    s.has(Side::B, "late", "late").await
}

/// Deltas until one passes, after which both sides are the same. The first one may fail.
async fn found_later(s: &Subject, set: &dyn DataSet) -> Check {
    for _ in 0..3 {
        if set.delta(Side::A, 1).await?.verdict == Verdict::Pass {
            return s.same_sides().await.map(drop);
        }
    }
    ensure!(false, "three deltas without writes have not passed");
    Ok(())
}

async fn a_write_during_a_delta_is_found(s: &Subject) -> Check {
    let set = s.switched().await?;
    for attempt in 0..5 {
        let others = async {
            for number in 0..5 {
                s.interfere(Side::A, &format!("item-{number}"), &format!("during {attempt}{number}")).await?;
                s.interfere(Side::A, &format!("during-{number}"), &format!("{attempt}")).await?;
            }
            Check::Ok(())
        };
        let (delta, written) = join(set.delta(Side::A, 1), others).await;
        written?;
        if delta.is_ok_and(|verdict| verdict.verdict == Verdict::Pass) && s.same_sides().await.is_ok() {
            continue;
        }
        found_later(s, &*set).await?;
    }
    Ok(())
}

async fn an_item_that_appears_at_the_follower_is_named(s: &Subject) -> Check {
    let set = s.switched().await?;
    s.interfere(Side::B, "somebody else's", "kept").await?;
    named(set.delta(Side::A, 1).await, "somebody else's")?;
    s.has(Side::B, "somebody else's", "kept").await
}
