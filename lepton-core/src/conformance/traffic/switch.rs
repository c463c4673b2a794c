//! Who gets the requests.

use super::fixture::{Case, Subject, cleared};
use crate::conformance::expect::{Check, ensure, same};
use crate::data_set::Side;
use crate::traffic::{InFlightPolicy, Release};

pub(super) const CASES: &[Case] = &[
    ("traffic/a_side_without_weight_gets_nothing", |s| Box::pin(a_side_without_weight_gets_nothing(s))),
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

async fn the_cleared_side_gets_everything(s: &Subject) -> Check {
    let hold = s.hold(1).await?;
    let write = s.held_write(&hold, 1).await?;
    let route = s.traffic.release(Release::Forward(cleared(Side::B, 1)?), &hold.id, 1).await?;
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
    s.traffic.release(Release::Forward(cleared(Side::B, 1)?), &hold.id, 1).await?;
    let hold = s.hold(2).await?;
    let write = s.held_write(&hold, 1).await?;
    let route = s.traffic.release(Release::Forward(cleared(Side::A, 2)?), &hold.id, 2).await?;
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
