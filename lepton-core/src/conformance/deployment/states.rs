//! Readiness, logs, scale and delete.

use futures_util::{StreamExt as _, TryStreamExt as _};

use super::fixture::{Case, Fixture, refused};
use crate::ErrorKind;
use crate::conformance::expect::{Check, ensure, same};
use crate::deployment::{Change, LogRequest, Secrets};

pub(super) const CASES: &[Case] = &[
    ("deployment/what_fails_is_not_waited_for", |f| Box::pin(what_fails_is_not_waited_for(f))),
    ("deployment/logs_are_kept", |f| Box::pin(logs_are_kept(f))),
    ("deployment/the_number_of_replicas_changes", |f| Box::pin(the_number_of_replicas_changes(f))),
    ("deployment/an_apply_restores_the_number_of_replicas", |f| Box::pin(an_apply_restores_the_number_of_replicas(f))),
    ("deployment/a_workload_of_no_replicas_is_ready", |f| Box::pin(a_workload_of_no_replicas_is_ready(f))),
    ("deployment/an_absent_workload_is_deleted", |f| Box::pin(an_absent_workload_is_deleted(f))),
    ("deployment/a_deleted_workload_can_be_made_again", |f| Box::pin(a_deleted_workload_can_be_made_again(f))),
];

async fn what_fails_is_not_waited_for(f: &Fixture<'_>) -> Check {
    let revision = f.apply(&f.failing(), "1").await?;
    let told = refused("waiting for it", f.ready(&revision, |_| {}).await, ErrorKind::Unavailable)?;
    ensure!(told.contains("will not become ready"), "the error has no reason: {told}");
    Ok(())
}

async fn logs_are_kept(f: &Fixture<'_>) -> Check {
    let revision = f.apply(&f.spec(), "1").await?;
    f.ready(&revision, |_| {}).await?;
    // What a replica has just written may be on its way.
    let mut lines = Vec::new();
    for _ in 0..100 {
        lines = f.deployment.logs(f.name(), LogRequest::default()).try_collect().await?;
        if !lines.is_empty() {
            break;
        }
        f.ready(&revision, |_| {}).await?;
    }
    ensure!(!lines.is_empty(), "the replica has written a line, but the log is empty");
    let tail: Vec<_> = f.deployment.logs(f.name(), LogRequest::tail(1)).try_collect().await?;
    same("the last line", tail.last(), lines.last())?;
    let absent = f.deployment.logs("conformance-absent", LogRequest::default()).next().await;
    ensure!(matches!(absent, Some(Err(_))), "the log of an absent workload: {absent:?}");
    Ok(())
}

async fn the_number_of_replicas_changes(f: &Fixture<'_>) -> Check {
    let revision = f.apply(&f.spec(), "1").await?;
    f.ready(&revision, |_| {}).await?;
    for replicas in [3, 1] {
        f.deployment.scale(f.name(), replicas).await?;
        let seen = f.ready(&revision, |_| {}).await?;
        same("replicas", (seen.desired, seen.ready), (replicas, replicas))?;
    }
    same("revisions", f.deployment.revisions(f.name()).await?.len(), 1)?;
    refused("an absent workload", f.deployment.scale("conformance-absent", 1).await, ErrorKind::NotFound)?;
    Ok(())
}

async fn an_apply_restores_the_number_of_replicas(f: &Fixture<'_>) -> Check {
    let revision = f.apply(&f.spec(), "1").await?;
    f.deployment.scale(f.name(), 2).await?;
    f.ready(&revision, |_| {}).await?;
    let plan = f.deployment.plan(&f.spec(), &Secrets::new()).await?;
    ensure!(plan.change != Change::Unchanged, "the plan for a scaled workload changes nothing");
    let revision = f.apply(&f.spec(), "2").await?;
    let seen = f.ready(&revision, |_| {}).await?;
    same("replicas", seen.desired, f.spec().replicas)
}

async fn a_workload_of_no_replicas_is_ready(f: &Fixture<'_>) -> Check {
    let mut spec = f.spec();
    spec.replicas = 0;
    let revision = f.apply(&spec, "1").await?;
    let seen = f.ready(&revision, |_| {}).await?;
    same("replicas", (seen.desired, seen.updated, seen.endpoints.len()), (0, 0, 0))
}

async fn an_absent_workload_is_deleted(f: &Fixture<'_>) -> Check {
    f.deployment.delete(f.name()).await?;
    ensure!(f.deployment.observe(f.name()).await?.is_none(), "deleting has made it");
    refused("revisions", f.deployment.revisions(f.name()).await, ErrorKind::NotFound)?;
    Ok(())
}

async fn a_deleted_workload_can_be_made_again(f: &Fixture<'_>) -> Check {
    f.apply(&f.spec(), "1").await?;
    f.deployment.delete(f.name()).await?;
    f.deployment.delete(f.name()).await?;
    f.absent().await?;
    let revision = f.apply(&f.spec(), "2").await?;
    f.ready(&revision, |_| {}).await?;
    Ok(())
}
