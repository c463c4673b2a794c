//! Creating, changing and rolling back.

use std::collections::BTreeSet;

use super::fixture::{Case, Fixture, needs, refused};
use crate::conformance::expect::{Check, Stop, ensure, same};
use crate::deployment::{Change, Secrets, Severity, UpdateStrategy};

pub(super) const CASES: &[Case] = &[
    ("deployment/what_is_asked_is_not_done", |f| Box::pin(what_is_asked_is_not_done(f))),
    ("deployment/a_wrong_spec_is_a_finding", |f| Box::pin(a_wrong_spec_is_a_finding(f))),
    ("deployment/an_applied_workload_becomes_ready", |f| Box::pin(an_applied_workload_becomes_ready(f))),
    ("deployment/a_change_is_a_revision", |f| Box::pin(a_change_is_a_revision(f))),
    ("deployment/an_old_revision_is_applied_again", |f| Box::pin(an_old_revision_is_applied_again(f))),
    ("deployment/an_update_keeps_enough_replicas", |f| Box::pin(an_update_keeps_enough_replicas(f))),
    ("deployment/a_changed_secret_is_a_change", |f| Box::pin(a_changed_secret_is_a_change(f))),
];

async fn what_is_asked_is_not_done(f: &Fixture<'_>) -> Check {
    let plan = f.deployment.plan(&f.spec(), &Secrets::new()).await?;
    same("the plan for an absent workload", plan.change, Change::Create)?;
    let findings = f.deployment.preflight(&f.spec()).await?;
    let errors: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    ensure!(errors.is_empty(), "preflight of a workload that runs: {errors:?}");
    ensure!(f.deployment.observe(f.name()).await?.is_none(), "plan or preflight has made the workload");
    Ok(())
}

async fn a_wrong_spec_is_a_finding(f: &Fixture<'_>) -> Check {
    let mut spec = f.spec();
    spec.labels.insert("lepton/key".into(), "mine".into());
    let findings = f.deployment.preflight(&spec).await?;
    let error = findings.iter().find(|finding| finding.severity == Severity::Error);
    ensure!(error.is_some_and(|error| error.message.contains("lepton/")), "the label is not named: {findings:?}");
    refused("applying it", f.apply(&spec, "1").await, crate::ErrorKind::InvalidInput)?;
    ensure!(f.deployment.observe(f.name()).await?.is_none(), "a refused workload was made");
    Ok(())
}

async fn an_applied_workload_becomes_ready(f: &Fixture<'_>) -> Check {
    let mut spec = f.spec();
    spec.replicas = 2;
    let revision = f.apply(&spec, "1").await?;
    let seen = f.ready(&revision, |_| {}).await?;
    same("replicas that are wanted, updated and ready", (seen.desired, seen.updated, seen.ready), (2, 2, 2))?;
    same("endpoints", seen.endpoints.len(), 2 * spec.ports.len())?;
    let addresses: BTreeSet<_> = seen.endpoints.iter().map(|endpoint| &endpoint.address).collect();
    same("addresses that differ", addresses.len(), seen.endpoints.len())?;
    ensure!(seen.endpoints.iter().all(|e| e.ready && !e.terminating), "an endpoint is not ready: {:?}", seen.endpoints);
    same("the plan afterwards", f.deployment.plan(&spec, &Secrets::new()).await?.change, Change::Unchanged)
}

async fn a_change_is_a_revision(f: &Fixture<'_>) -> Check {
    let mut spec = f.spec();
    let first = f.apply(&spec, "1").await?;
    f.ready(&first, |_| {}).await?;
    spec.env.insert("LEPTON_CONFORMANCE".into(), "2".into());
    let plan = f.deployment.plan(&spec, &Secrets::new()).await?;
    let fields: Vec<_> = plan.differences.iter().map(|difference| difference.field.as_str()).collect();
    same("the fields that differ", fields, vec!["env.LEPTON_CONFORMANCE"])?;
    let second = f.apply(&spec, "2").await?;
    ensure!(first != second, "a change has not made a revision");
    let seen = f.ready(&second, |_| {}).await?;
    same("replicas of the old revision", seen.outdated, 0)?;
    let revisions = f.deployment.revisions(f.name()).await?;
    same("the latest revision", revisions.first().map(|revision| &revision.id), Some(&second))
}

async fn an_old_revision_is_applied_again(f: &Fixture<'_>) -> Check {
    needs(f.deployment.capabilities().revisions > 1, "earlier revision")?;
    let mut spec = f.spec();
    let first = f.apply(&spec, "1").await?;
    spec.env.insert("LEPTON_CONFORMANCE".into(), "2".into());
    let second = f.apply(&spec, "2").await?;
    f.ready(&second, |_| {}).await?;
    let revisions = f.deployment.revisions(f.name()).await?;
    let old = revisions.iter().find(|revision| revision.id == first);
    let Some(old) = old else { return Err(Stop::Failed(format!("revision {first} is gone: {revisions:?}"))) };
    same("the old spec", &old.spec, &f.spec())?;
    let back = f.apply(&old.spec, "3").await?;
    f.ready(&back, |_| {}).await?;
    same("the plan afterwards", f.deployment.plan(&f.spec(), &Secrets::new()).await?.change, Change::Unchanged)
}

async fn an_update_keeps_enough_replicas(f: &Fixture<'_>) -> Check {
    needs(f.deployment.capabilities().rolling_update, "rolling update")?;
    let mut spec = f.spec();
    needs(!spec.ports.is_empty(), "port, and so no endpoint by which replicas are counted")?;
    (spec.replicas, spec.strategy) = (2, UpdateStrategy::RollingUpdate { max_surge: 1, max_unavailable: 0 });
    let first = f.apply(&spec, "1").await?;
    f.ready(&first, |_| {}).await?;
    spec.env.insert("LEPTON_CONFORMANCE".into(), "2".into());
    let second = f.apply(&spec, "2").await?;
    let (mut fewest, mut most) = (usize::MAX, 0);
    f.ready(&second, |seen| {
        let replicas = |ready: bool| {
            let counted = seen.endpoints.iter().filter(|e| !ready || (e.ready && !e.terminating));
            counted.map(|endpoint| &endpoint.replica).collect::<BTreeSet<_>>().len()
        };
        fewest = fewest.min(replicas(true));
        let ending = seen.endpoints.iter().filter(|e| e.terminating).map(|e| &e.replica).collect::<BTreeSet<_>>();
        most = most.max(replicas(false) - ending.len());
    })
    .await?;
    ensure!(fewest >= 2, "only {fewest} of 2 replicas were ready during an update with maxUnavailable 0");
    ensure!(most <= 3, "{most} replicas ran during an update of 2 with maxSurge 1");
    Ok(())
}

async fn a_changed_secret_is_a_change(f: &Fixture<'_>) -> Check {
    let mut spec = f.spec();
    spec.secrets.insert("LEPTON_SECRET".into(), crate::deployment::SecretReference::Env("LEPTON_SECRET".into()));
    let (old, new) =
        (Secrets::new().with("LEPTON_SECRET", "correct-horse"), Secrets::new().with("LEPTON_SECRET", "battery-staple"));
    let first = f.deployment.apply(&spec, &old, &f.key("1")).await?;
    same("the plan with the same value", f.deployment.plan(&spec, &old).await?.change, Change::Unchanged)?;
    let plan = f.deployment.plan(&spec, &new).await?;
    ensure!(plan.change != Change::Unchanged, "another value of a secret is no change");
    let told = format!("{plan} {plan:?} {:?}", f.deployment.revisions(f.name()).await?);
    ensure!(!told.contains("horse") && !told.contains("staple"), "the value of a secret is shown");
    let second = f.deployment.apply(&spec, &new, &f.key("2")).await?;
    ensure!(first != second, "another value of a secret has not made a revision");
    f.ready(&second, |_| {}).await?;
    Ok(())
}
