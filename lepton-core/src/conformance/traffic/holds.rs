//! What waits during a hold, and what ends it.

use std::time::Duration;

use super::fixture::{Case, Subject, cleared, refused};
use crate::ErrorKind;
use crate::conformance::expect::{Check, ensure, same};
use crate::data_set::Side;

pub(super) const CASES: &[Case] = &[
    ("traffic/writes_wait_and_reads_do_not", |s| Box::pin(writes_wait_and_reads_do_not(s))),
    ("traffic/a_request_past_the_limit_ends_the_hold", |s| Box::pin(a_request_past_the_limit_ends_the_hold(s))),
    ("traffic/a_silent_driver_ends_the_hold", |s| Box::pin(a_silent_driver_ends_the_hold(s))),
    ("traffic/a_long_hold_ends", |s| Box::pin(a_long_hold_ends(s))),
];

async fn writes_wait_and_reads_do_not(s: &Subject) -> Check {
    let hold = s.hold(1).await?;
    let write = s.held_write(&hold, 1).await?;
    same("the side of a read", s.user.request(false).await?, Some(Side::A))?;
    let writes = s.traffic.verify().await?.a.writes;
    same("writes that reached side A during the hold", writes, 0)?;
    s.traffic.release(&hold.id, 1).await?;
    same("the side of the held write", s.answered(write).await?, Some(Side::A))?;
    same("requests that were held", s.traffic.verify().await?.held, 1)
}

async fn a_request_past_the_limit_ends_the_hold(s: &Subject) -> Check {
    let hold = s.hold_for(1, |limits| limits.requests = 1).await?;
    let write = s.held_write(&hold, 1).await?;
    same("a write past the limit", s.user.request(true).await?, None)?;
    let switched = s.traffic.switch(cleared(Side::B, 1)?, &hold.id, 1).await;
    refused("the switch after the limit", switched, ErrorKind::PreconditionFailed)?;
    let route = s.traffic.get().await?;
    ensure!(route.hold.is_none() && route.owner == Side::A, "the route afterwards: {route:?}");
    same("the side of the held write", s.answered(write).await?, Some(Side::A))?;
    same("the side of the next write", s.user.request(true).await?, Some(Side::A))?;
    let counters = s.traffic.verify().await?;
    same("requests that were refused and that were held", (counters.refused, counters.held), (1, 1))
}

async fn a_silent_driver_ends_the_hold(s: &Subject) -> Check {
    let hold = s.hold_for(1, |limits| limits.silence = Duration::from_millis(200)).await?;
    let write = s.held_write(&hold, 1).await?;
    same("the side of the held write", s.answered(write).await?, Some(Side::A))?;
    let route = s.traffic.get().await?;
    ensure!(route.hold.is_none() && route.owner == Side::A, "the route afterwards: {route:?}");
    let released = s.traffic.release(&hold.id, 1).await;
    refused("the release that comes too late", released, ErrorKind::PreconditionFailed)
}

async fn a_long_hold_ends(s: &Subject) -> Check {
    let hold = s.hold_for(1, |limits| limits.time = Duration::from_millis(300)).await?;
    // The driver is not silent; the hold is too long all the same.
    for _ in 0..200 {
        if s.traffic.renew(&hold.id).await.is_err() {
            return same("the side of a write", s.user.request(true).await?, Some(Side::A));
        }
        s.pause().await;
    }
    ensure!(false, "the hold has not ended after its time");
    Ok(())
}
