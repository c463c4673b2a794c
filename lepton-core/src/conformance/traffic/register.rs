//! The register: compare-and-set, and epochs.

use super::fixture::{Case, Subject, cleared, refused};
use crate::ErrorKind;
use crate::conformance::expect::{Check, ensure, same};
use crate::data_set::Side;
use crate::traffic::{Backend, HoldId, RouteChange};

pub(super) const CASES: &[Case] = &[
    ("traffic/a_new_route_belongs_to_a", |s| Box::pin(a_new_route_belongs_to_a(s))),
    ("traffic/a_change_needs_the_version", |s| Box::pin(a_change_needs_the_version(s))),
    ("traffic/an_epoch_is_used_once", |s| Box::pin(an_epoch_is_used_once(s))),
    ("traffic/a_hold_begun_twice_is_one", |s| Box::pin(a_hold_begun_twice_is_one(s))),
    ("traffic/one_fence_at_a_time", |s| Box::pin(one_fence_at_a_time(s))),
    ("traffic/a_release_needs_its_hold_and_epoch", |s| Box::pin(a_release_needs_its_hold_and_epoch(s))),
    ("traffic/a_clearance_is_of_one_epoch_and_side", |s| Box::pin(a_clearance_is_of_one_epoch_and_side(s))),
];

async fn a_new_route_belongs_to_a(s: &Subject) -> Check {
    let route = s.traffic.get().await?;
    same("the owner", route.owner, Side::A)?;
    ensure!(route.weights.of(Side::A) > 0 && route.weights.of(Side::B) == 0, "the weights are {}", route.weights);
    ensure!(route.hold.is_none(), "a new route holds: {:?}", route.hold);
    Ok(())
}

async fn a_change_needs_the_version(s: &Subject) -> Check {
    let before = s.traffic.get().await?;
    let backends = vec![Backend::new("new", "127.0.0.1:9")];
    let change = || RouteChange::Backends(Side::B, backends.clone());
    let after = s.traffic.set(change(), before.version).await?;
    ensure!(after.version > before.version, "the version stayed {}", after.version);
    same("the backends", &after.b, &backends)?;
    same("what is read back", s.traffic.get().await?, after)?;
    refused(
        "a change of an older version",
        s.traffic.set(change(), before.version).await,
        ErrorKind::PreconditionFailed,
    )
}

async fn an_epoch_is_used_once(s: &Subject) -> Check {
    let hold = s.hold(5).await?;
    s.traffic.release(&hold.id, 5).await?;
    for epoch in [5, 4] {
        refused("a fence of an older epoch", s.hold(epoch).await, ErrorKind::PreconditionFailed)?;
    }
    let hold = s.hold(6).await?;
    same("the epoch of the route", s.traffic.get().await?.epoch, 6)?;
    s.traffic.release(&hold.id, 6).await?;
    Ok(())
}

async fn a_hold_begun_twice_is_one(s: &Subject) -> Check {
    let first = s.hold(1).await?;
    same("the hold of the same epoch", s.hold(1).await?.id, first.id)
}

async fn one_fence_at_a_time(s: &Subject) -> Check {
    s.hold(1).await?;
    refused("a second fence", s.hold(2).await, ErrorKind::Conflict)
}

async fn a_release_needs_its_hold_and_epoch(s: &Subject) -> Check {
    let hold = s.hold(3).await?;
    let other = HoldId::new("another");
    let kind = ErrorKind::PreconditionFailed;
    refused("another hold", s.traffic.release(&other, 3).await, kind)?;
    refused("another epoch", s.traffic.release(&hold.id, 2).await, kind)?;
    refused("a switch of another hold", s.traffic.switch(cleared(Side::B, 3)?, &other, 3).await, kind)?;
    refused("a switch of another epoch", s.traffic.switch(cleared(Side::B, 2)?, &hold.id, 2).await, kind)?;
    s.traffic.release(&hold.id, 3).await?;
    refused("a hold that has ended", s.traffic.release(&hold.id, 3).await, kind)?;
    refused("its switch", s.traffic.switch(cleared(Side::B, 3)?, &hold.id, 3).await, kind)?;
    refused("its renewal", s.traffic.renew(&hold.id).await, kind)
}

async fn a_clearance_is_of_one_epoch_and_side(s: &Subject) -> Check {
    let hold = s.hold(3).await?;
    for clearance in [cleared(Side::B, 2)?, cleared(Side::A, 3)?] {
        let switched = s.traffic.switch(clearance, &hold.id, 3).await;
        refused("the clearance of another epoch or of the owner", switched, ErrorKind::PreconditionFailed)?;
        let route = s.traffic.get().await?;
        same("the owner and the hold", (route.owner, route.hold.is_some()), (Side::A, true))?;
    }
    Ok(())
}
