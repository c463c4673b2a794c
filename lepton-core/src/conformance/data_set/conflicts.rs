//! Items of the follower that somebody else wrote: they are named and kept.

use super::fixture::{Subject, cases, conflict, named};
use crate::conformance::expect::{Check, same};
use crate::data_set::Side;

cases! {
    an_item_that_only_the_follower_has_is_kept,
    a_different_item_of_the_follower_is_kept,
    an_item_that_was_overwritten_at_the_follower_is_kept,
    an_item_that_was_deleted_at_the_owner_and_changed_at_the_follower_is_kept,
    the_same_item_at_both_sides_is_no_conflict,
    other_items_are_copied_in_spite_of_a_conflict,
}

async fn an_item_that_only_the_follower_has_is_kept(s: &Subject) -> Check {
    s.write(Side::B, "foreign", "kept").await?;
    let set = s.filled().await?;
    conflict(set.copy(Side::A).await, &["foreign"])?;
    named(set.delta(Side::A, 1).await, "foreign")?;
    s.has(Side::B, "foreign", "kept").await
}

async fn a_different_item_of_the_follower_is_kept(s: &Subject) -> Check {
    s.write(Side::B, "item-1", "foreign-01").await?;
    let set = s.filled().await?;
    conflict(set.copy(Side::A).await, &["item-1"])?;
    named(set.delta(Side::A, 1).await, "item-1")?;
    s.has(Side::B, "item-1", "foreign-01").await
}

async fn an_item_that_was_overwritten_at_the_follower_is_kept(s: &Subject) -> Check {
    let set = s.filled().await?;
    set.copy(Side::A).await?;
    s.write(Side::B, "item-1", "foreign-01").await?;
    s.write(Side::A, "item-1", "CONTENT-01").await?;
    // The first process and one that opens its state both keep the item.
    for set in [set, s.open()?] {
        conflict(set.copy(Side::A).await, &["item-1"])?;
        named(set.delta(Side::A, 1).await, "item-1")?;
        s.has(Side::B, "item-1", "foreign-01").await?;
    }
    Ok(())
}

async fn an_item_that_was_deleted_at_the_owner_and_changed_at_the_follower_is_kept(s: &Subject) -> Check {
    let set = s.filled().await?;
    set.copy(Side::A).await?;
    s.write(Side::B, "item-1", "foreign-01").await?;
    s.delete(Side::A, "item-1").await?;
    conflict(set.copy(Side::A).await, &["item-1"])?;
    s.has(Side::B, "item-1", "foreign-01").await
}

async fn the_same_item_at_both_sides_is_no_conflict(s: &Subject) -> Check {
    s.write(Side::B, "item-1", "content-1 ").await?;
    let set = s.filled().await?;
    set.copy(Side::A).await?;
    let items = s.same_sides().await?;
    same("the items of side A", s.items(Side::A).await?, items)
}

async fn other_items_are_copied_in_spite_of_a_conflict(s: &Subject) -> Check {
    s.write(Side::B, "item-1", "foreign-01").await?;
    let set = s.filled().await?;
    conflict(set.copy(Side::A).await, &["item-1"])?;
    let (mut a, mut b) = (s.items(Side::A).await?, s.items(Side::B).await?);
    a.remove("item-1");
    b.remove("item-1");
    same("the other items of side B", b, a)
}
