//! The other direction, after a switch.

use super::fixture::{Subject, cases, conflict};
use crate::conformance::expect::{Check, same};
use crate::data_set::{DataSet, Side};

cases! {
    the_old_owner_follows_after_a_reversal,
    a_reversal_is_idempotent,
    an_item_changed_after_the_fence_is_named_and_kept,
    an_item_created_after_the_fence_is_named_and_kept,
    both_changes_of_an_item_are_kept,
    the_way_back_loses_nothing,
    a_second_switch_loses_nothing,
}

/// The application writes, overwrites and deletes at the new owner.
async fn changed(s: &Subject, owner: Side, mark: &str) -> Check {
    s.write(owner, &format!("new at {owner}, {mark}"), mark).await?;
    s.write(owner, "item-1", &format!("{mark:-<10}")).await?;
    s.write(owner, "empty", mark).await?;
    s.write(owner, &format!("item-3, {mark}"), "").await?;
    s.delete(owner, if mark == "first" { "item-2" } else { "item-4" }).await
}

async fn the_old_owner_follows_after_a_reversal(s: &Subject) -> Check {
    let set = s.switched().await?;
    changed(s, Side::B, "first").await?;
    let items = s.items(Side::B).await?;
    set.reverse(Side::B, 1).await?;
    set.copy(Side::B).await?;
    same("the items of both sides", s.same_sides().await?, items)
}

async fn a_reversal_is_idempotent(s: &Subject) -> Check {
    let set = s.switched().await?;
    for (set, mark) in [(&set, "first"), (&set, "second"), (&s.open()?, "third")] {
        s.write(Side::B, "item-1", mark).await?;
        s.write(Side::B, mark, mark).await?;
        set.reverse(Side::B, 1).await?;
    }
    let items = s.items(Side::B).await?;
    s.fence(&*set, Side::B, 2).await?;
    same("the items of both sides", s.same_sides().await?, items)
}

async fn an_item_changed_after_the_fence_is_named_and_kept(s: &Subject) -> Check {
    let set = s.switched().await?;
    s.interfere(Side::A, "item-5", "late-after").await?;
    for set in [set, s.open()?] {
        conflict(set.reverse(Side::B, 1).await, &["item-5"])?;
        s.has(Side::A, "item-5", "late-after").await?;
        s.has(Side::B, "item-5", "content-5 ").await?;
    }
    Ok(())
}

async fn an_item_created_after_the_fence_is_named_and_kept(s: &Subject) -> Check {
    let set = s.switched().await?;
    s.interfere(Side::A, "late-1", "kept").await?;
    s.interfere(Side::A, "late-2", "").await?;
    conflict(set.reverse(Side::B, 1).await, &["late-1", "late-2"])?;
    s.has(Side::A, "late-1", "kept").await?;
    s.has(Side::A, "late-2", "").await
}

async fn both_changes_of_an_item_are_kept(s: &Subject) -> Check {
    let set = s.switched().await?;
    s.interfere(Side::A, "item-5", "late-after").await?;
    s.write(Side::B, "item-5", "new-at-b--").await?;
    s.interfere(Side::A, "item-6", "late-after").await?;
    s.delete(Side::B, "item-6").await?;
    conflict(set.reverse(Side::B, 1).await, &["item-5", "item-6"])?;
    s.has(Side::A, "item-5", "late-after").await?;
    s.has(Side::A, "item-6", "late-after").await?;
    s.has(Side::B, "item-5", "new-at-b--").await
}

/// Switches back to side A: what side B got is at side A.
async fn switched_back(s: &Subject, set: &dyn DataSet) -> Check {
    changed(s, Side::B, "first").await?;
    set.reverse(Side::B, 1).await?;
    s.write(Side::B, "the last write", "of side B").await?;
    let items = s.items(Side::B).await?;
    let verdict = s.fence(set, Side::B, 2).await?;
    same("the epoch and the side of the verdict", (verdict.epoch, verdict.from), (2, Side::B))?;
    same("the items of both sides", s.same_sides().await?, items)
}

async fn the_way_back_loses_nothing(s: &Subject) -> Check {
    let set = s.switched().await?;
    switched_back(s, &*set).await
}

async fn a_second_switch_loses_nothing(s: &Subject) -> Check {
    let set = s.switched().await?;
    switched_back(s, &*set).await?;
    set.quiesce(Side::A, false, 2).await?;
    changed(s, Side::A, "second").await?;
    s.write(Side::A, "new at B, first", "by side A").await?;
    s.delete(Side::A, "the last write").await?;
    set.reverse(Side::A, 2).await?;
    let items = s.items(Side::A).await?;
    s.fence(&*set, Side::A, 3).await?;
    same("the items of both sides", s.same_sides().await?, items)
}
