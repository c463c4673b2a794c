//! Sides that refuse the application's writes.

use super::fixture::{Subject, cases, proven};
use crate::conformance::expect::{Check, same};
use crate::data_set::{Quiesced, Side};

cases! {
    a_proof_means_that_writes_are_refused,
    only_the_application_is_refused,
    a_quiesce_is_of_one_side,
    a_quiesce_is_idempotent,
    a_quiesce_is_lifted,
    a_quiesce_leaves_no_items,
}

async fn a_proof_means_that_writes_are_refused(s: &Subject) -> Check {
    let set = s.filled().await?;
    for side in [Side::A, Side::B] {
        proven(&set.quiesce(side, true, 1).await?)?;
        s.refuses_writes(side).await?;
    }
    s.has(Side::A, "item-0", "content-0 ").await
}

async fn only_the_application_is_refused(s: &Subject) -> Check {
    let set = s.filled().await?;
    for side in [Side::A, Side::B] {
        proven(&set.quiesce(side, true, 1).await?)?;
    }
    set.copy(Side::A).await?;
    s.same_sides().await.map(drop)
}

async fn a_quiesce_is_of_one_side(s: &Subject) -> Check {
    let set = s.filled().await?;
    proven(&set.quiesce(Side::A, true, 1).await?)?;
    s.write(Side::B, "at side B", "").await.map_err(|stop| stop.while_doing("a write at the other side"))
}

async fn a_quiesce_is_idempotent(s: &Subject) -> Check {
    let set = s.filled().await?;
    for _ in 0..2 {
        same("a side that accepts writes", set.quiesce(Side::A, false, 1).await?, Quiesced::Lifted)?;
    }
    for set in [&set, &set, &s.open()?] {
        proven(&set.quiesce(Side::A, true, 1).await?)?;
        s.refuses_writes(Side::A).await?;
    }
    Ok(())
}

async fn a_quiesce_is_lifted(s: &Subject) -> Check {
    let set = s.filled().await?;
    proven(&set.quiesce(Side::A, true, 1).await?)?;
    // The process that lifts it is often another one.
    for set in [s.open()?, set] {
        same("a side that was made to accept writes", set.quiesce(Side::A, false, 1).await?, Quiesced::Lifted)?;
        s.write(Side::A, "item-0", "lifted").await?;
    }
    // A second fence, of another epoch.
    proven(&s.open()?.quiesce(Side::A, true, 2).await?)?;
    s.refuses_writes(Side::A).await
}

async fn a_quiesce_leaves_no_items(s: &Subject) -> Check {
    let set = s.filled().await?;
    let before = s.items(Side::A).await?;
    for deny in [false, true, false] {
        set.quiesce(Side::A, deny, 1).await?;
        same("the items after a quiesce", s.items(Side::A).await?, before.clone())?;
    }
    Ok(())
}
