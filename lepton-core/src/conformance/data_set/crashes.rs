//! Calls that end half-way, and the process that resumes them.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::StreamExt as _;

use super::fixture::{Subject, cases};
use crate::Result;
use crate::conformance::expect::{Check, same};
use crate::data_set::{DataSet, Side};

cases! {
    a_copy_resumes_after_a_crash,
    a_round_resumes_after_a_crash,
    a_delta_resumes_after_a_crash,
    a_reversal_resumes_after_a_crash,
}

/// When a call is dropped: after it was polled so often and, for work that it does in the
/// background, after this many microseconds.
const CRASHES: [(u64, u64); 10] =
    [(1, 0), (2, 0), (3, 0), (5, 0), (8, 0), (1, 200), (1, 500), (1, 1000), (1, 2000), (1, 5000)];

type Call = for<'a> fn(&'a dyn DataSet) -> BoxFuture<'a, Result<()>>;

/// Makes a call and drops it.
async fn crash(s: &Subject, set: &dyn DataSet, call: Call, polls: u64, micros: u64) -> Check {
    let mut running = call(set);
    let mut polled = 0;
    let ended = poll_fn(|context| {
        polled += 1;
        match running.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if polled >= polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    if let Some(result) = ended {
        return Ok(result?);
    }
    if micros > 0 {
        s.env.sleep(Duration::from_micros(micros)).await;
    }
    Ok(())
}

/// Makes a call that crashes again and again, while the application changes the owner's items, and
/// then completes it. Returns the data set that has completed it.
async fn resumed(s: &Subject, owner: Side, call: Call) -> Check<Arc<dyn DataSet>> {
    for (number, (polls, micros)) in CRASHES.into_iter().enumerate() {
        crash(s, &*s.open()?, call, polls, micros).await?;
        s.interfere(owner, "item-1", &format!("crash-{number:04}")).await?;
        s.interfere(owner, "item-8", &format!("crash-{number:04}")).await?;
        s.interfere(owner, &format!("crash-{number}"), "").await?;
    }
    let set = s.open()?;
    call(&*set).await?;
    Ok(set)
}

async fn a_copy_resumes_after_a_crash(s: &Subject) -> Check {
    s.filled().await?;
    let set = resumed(s, Side::A, |set| Box::pin(async { set.copy(Side::A).await.map(drop) })).await?;
    let items = s.same_sides().await?;
    same("the items of side A", items.len(), 12 + CRASHES.len())?;
    same("the items of another copy", set.copy(Side::A).await?.items, items.len() as u64)
}

async fn a_round_resumes_after_a_crash(s: &Subject) -> Check {
    s.filled().await?;
    let round: Call = |set| {
        Box::pin(async {
            let mut rounds = set.follow(Side::A);
            rounds.next().await.transpose().map(drop)
        })
    };
    resumed(s, Side::A, round).await?;
    s.same_sides().await.map(drop)
}

async fn a_delta_resumes_after_a_crash(s: &Subject) -> Check {
    s.switched().await?;
    let set = resumed(s, Side::A, |set| Box::pin(async { set.delta(Side::A, 1).await.map(drop) })).await?;
    let items = s.items(Side::A).await?;
    let verdict = s.fence(&*set, Side::A, 1).await?;
    same("the items of the verdict", verdict.items, items.len() as u64)
}

async fn a_reversal_resumes_after_a_crash(s: &Subject) -> Check {
    s.switched().await?;
    let set = resumed(s, Side::B, |set| Box::pin(async { set.reverse(Side::B, 1).await })).await?;
    let items = s.items(Side::B).await?;
    s.fence(&*set, Side::B, 2).await?;
    same("the items of both sides", s.same_sides().await?, items)
}
