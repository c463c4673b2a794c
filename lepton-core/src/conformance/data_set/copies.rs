//! Copies, rounds, and how far behind the follower is.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::fixture::{Subject, cases};
use crate::conformance::expect::{Check, Stop, ensure, same};
use crate::data_set::{Lag, LagStream, Side};

cases! {
    a_copy_copies_every_item,
    a_second_copy_changes_nothing,
    a_new_item_is_followed,
    an_overwrite_of_the_same_length_is_followed,
    a_delete_is_followed,
    rounds_are_counted,
    there_is_a_lag_before_the_first_round,
    a_lag_is_of_one_direction,
}

/// The rounds after which a change must have been followed. Only the next one that begins is
/// promised to have it, but a data set may be in the middle of a round.
const ROUNDS: usize = 5;

async fn next(rounds: &mut LagStream) -> Check<Lag> {
    match rounds.next().await {
        Some(lag) => Ok(lag?),
        None => Err(Stop::Failed("the data set has stopped following".to_owned())),
    }
}

/// Runs rounds until both sides are the same.
async fn followed(s: &Subject, rounds: &mut LagStream) -> Check {
    for _ in 1..ROUNDS {
        next(rounds).await?;
        if s.same_sides().await.is_ok() {
            return Ok(());
        }
    }
    s.same_sides().await.map(drop).map_err(|stop| stop.while_doing(format!("after {ROUNDS} rounds")))
}

async fn a_copy_copies_every_item(s: &Subject) -> Check {
    let set = s.filled().await?;
    let before = s.items(Side::A).await?;
    let summary = set.copy(Side::A).await?;
    same("the items of both sides", s.same_sides().await?, before.clone())?;
    same("the items of the summary", summary.items, before.len() as u64)?;
    same("the bytes of the summary", summary.bytes, before.values().map(|content| content.len() as u64).sum())
}

async fn a_second_copy_changes_nothing(s: &Subject) -> Check {
    let set = s.filled().await?;
    let (first, items) = (set.copy(Side::A).await?, s.same_sides().await?);
    same("the summary of the second copy", set.copy(Side::A).await?, first)?;
    same("the items that the second copy found to differ", set.lag(Side::A).await?.items, 0)?;
    same("the items of both sides", s.same_sides().await?, items)
}

async fn a_new_item_is_followed(s: &Subject) -> Check {
    let set = s.filled().await?;
    let mut rounds = set.follow(Side::A);
    followed(s, &mut rounds).await?;
    s.write(Side::A, "new", "new").await?;
    s.write(Side::A, "new and empty", "").await?;
    followed(s, &mut rounds).await
}

async fn an_overwrite_of_the_same_length_is_followed(s: &Subject) -> Check {
    let set = s.filled().await?;
    let mut rounds = set.follow(Side::A);
    followed(s, &mut rounds).await?;
    for content in ["CONTENT-01", "CONTENT-02"] {
        s.write(Side::A, "item-1", content).await?;
        followed(s, &mut rounds).await?;
        s.has(Side::B, "item-1", content).await?;
    }
    Ok(())
}

async fn a_delete_is_followed(s: &Subject) -> Check {
    let set = s.filled().await?;
    let mut rounds = set.follow(Side::A);
    followed(s, &mut rounds).await?;
    s.delete(Side::A, "item-2").await?;
    s.delete(Side::A, "empty").await?;
    followed(s, &mut rounds).await?;
    same("the item at side B", s.user.read(Side::B, "item-2").await?, None)?;
    // An item that is made again is a new one.
    s.write(Side::A, "item-2", "once more.").await?;
    followed(s, &mut rounds).await
}

async fn rounds_are_counted(s: &Subject) -> Check {
    let set = s.filled().await?;
    let mut rounds = set.follow(Side::A);
    let (first, second, third) = (next(&mut rounds).await?, next(&mut rounds).await?, next(&mut rounds).await?);
    let counted = [first.rounds, second.rounds, third.rounds];
    ensure!(counted[0] >= 1 && counted.is_sorted_by(|a, b| a < b), "three rounds were counted as {counted:?}");
    same("the items that differed when nothing had changed", third.items, 0)?;
    ensure!(third.age < Duration::from_secs(60), "the age after a round is {:?}", third.age);
    let lag = set.lag(Side::A).await?;
    ensure!(lag.rounds >= third.rounds, "after {} rounds the lag has {}", third.rounds, lag.rounds);
    Ok(())
}

/// Fails unless the lag shows that no round has run yet.
fn unknown(lag: Lag) -> Check {
    same("the rounds before the first one", lag.rounds, 0)?;
    same("the age before the first round", lag.age, Duration::MAX)
}

async fn there_is_a_lag_before_the_first_round(s: &Subject) -> Check {
    let set = s.filled().await?;
    unknown(set.lag(Side::A).await?)?;
    set.copy(Side::A).await?;
    let age = set.lag(Side::A).await?.age;
    ensure!(age < Duration::from_secs(60), "the age after a copy is {age:?}");
    Ok(())
}

async fn a_lag_is_of_one_direction(s: &Subject) -> Check {
    let set = s.filled().await?;
    set.copy(Side::A).await?;
    unknown(set.lag(Side::B).await?)
}
