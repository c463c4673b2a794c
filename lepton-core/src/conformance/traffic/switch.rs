//! Who gets the requests.

use std::time::Duration;

use super::fixture::{Case, Subject, cleared, refused};
use crate::ErrorKind;
use crate::conformance::expect::{Check, ensure, same};
use crate::data_set::Side;
use crate::traffic::InFlightPolicy;

pub(super) const CASES: &[Case] = &[
    ("traffic/a_side_without_weight_gets_nothing", |s| Box::pin(a_side_without_weight_gets_nothing(s))),
    ("traffic/a_switch_keeps_the_hold", |s| Box::pin(a_switch_keeps_the_hold(s))),
    ("traffic/a_hold_that_ends_after_the_switch_ends_at_the_new_owner", |s| {
        Box::pin(a_hold_that_ends_after_the_switch_ends_at_the_new_owner(s))
    }),
    ("traffic/the_cleared_side_gets_everything", |s| Box::pin(the_cleared_side_gets_everything(s))),
    ("traffic/the_way_back_is_the_same", |s| Box::pin(the_way_back_is_the_same(s))),
    ("traffic/nothing_is_in_flight_after_answers", |s| Box::pin(nothing_is_in_flight_after_answers(s))),
];

async fn a_side_without_weight_gets_nothing(s: &Subject) -> Check {
    for writes in [true, false].into_iter().cycle().take(20) {
        same("the side", s.user.request(writes).await?, Some(Side::A))?;
    }
    let counters = s.traffic.verify().await?;
    same("requests and writes at side A", (counters.a.requests, counters.a.writes), (20, 10))?;
    same("requests at side B", (counters.b.requests, counters.b.writes), (0, 0))
}

async fn a_switch_keeps_the_hold(s: &Subject) -> Check {
    let hold = s.hold(1).await?;
    let write = s.held_write(&hold, 1).await?;
    let before = s.traffic.get().await?.version;
    let route = s.traffic.switch(cleared(Side::B, 1)?, &hold.id, 1).await?;
    same("the owner", route.owner, Side::B)?;
    ensure!(route.version > before, "the version stayed {before}");
    same("the hold", route.hold.map(|hold| hold.id), Some(hold.id.clone()))?;
    same("the side of a read", s.user.request(false).await?, Some(Side::B))?;
    let more = s.held_write(&hold, 2).await?;
    let counters = s.traffic.verify().await?;
    same("writes that were sent", (counters.a.writes, counters.b.writes), (0, 0))?;
    let again = s.traffic.switch(cleared(Side::B, 1)?, &hold.id, 1).await;
    refused("a switch to the owner", again, ErrorKind::PreconditionFailed)?;
    let route = s.traffic.release(&hold.id, 1).await?;
    same("the owner and the hold", (route.owner, route.hold.is_some()), (Side::B, false))?;
    for write in [write, more] {
        same("the side of a held write", s.answered(write).await?, Some(Side::B))?;
    }
    Ok(())
}

async fn a_hold_that_ends_after_the_switch_ends_at_the_new_owner(s: &Subject) -> Check {
    let hold = s.hold_for(1, |limits| limits.silence = Duration::from_millis(1500)).await?;
    let write = s.held_write(&hold, 1).await?;
    s.traffic.switch(cleared(Side::B, 1)?, &hold.id, 1).await?;
    same("the side of the held write", s.answered(write).await?, Some(Side::B))?;
    let route = s.traffic.get().await?;
    ensure!(route.hold.is_none() && route.owner == Side::B, "the route afterwards: {route:?}");
    Ok(())
}

async fn the_cleared_side_gets_everything(s: &Subject) -> Check {
    let hold = s.hold(1).await?;
    let write = s.held_write(&hold, 1).await?;
    let route = s.switch(Side::B, &hold).await?;
    same("the owner", route.owner, Side::B)?;
    ensure!(route.weights.of(Side::A) == 0 && route.weights.of(Side::B) > 0, "the weights are {}", route.weights);
    same("the side of the held write", s.answered(write).await?, Some(Side::B))?;
    for writes in [true, false] {
        same("the side", s.user.request(writes).await?, Some(Side::B))?;
    }
    let counters = s.traffic.verify().await?;
    same("requests at side A and at side B", (counters.a.requests, counters.b.requests), (0, 3))
}

async fn the_way_back_is_the_same(s: &Subject) -> Check {
    let hold = s.hold(1).await?;
    s.switch(Side::B, &hold).await?;
    let hold = s.hold(2).await?;
    let write = s.held_write(&hold, 1).await?;
    let route = s.switch(Side::A, &hold).await?;
    same("the owner and the epoch", (route.owner, route.epoch), (Side::A, 2))?;
    same("the side of the held write", s.answered(write).await?, Some(Side::A))?;
    same("requests at side B", s.traffic.verify().await?.b.requests, 0)
}

async fn nothing_is_in_flight_after_answers(s: &Subject) -> Check {
    s.user.request(true).await?;
    let left = s.traffic.drain(Side::A, InFlightPolicy::Wait).await?;
    ensure!(left.no_writes() && left.unknown == 0, "in flight: {left:?}");
    Ok(())
}
