//! Idempotency and owners.

use super::fixture::{Case, Fixture, refused};
use crate::ErrorKind;
use crate::conformance::expect::{Check, same};
use crate::deployment::{OperationKey, Secrets};

pub(super) const CASES: &[Case] = &[
    ("deployment/the_same_key_has_one_effect", |f| Box::pin(the_same_key_has_one_effect(f))),
    ("deployment/nothing_to_change_makes_no_revision", |f| Box::pin(nothing_to_change_makes_no_revision(f))),
    ("deployment/a_key_that_changed_nothing_is_remembered", |f| Box::pin(a_key_that_changed_nothing_is_remembered(f))),
    ("deployment/a_key_stands_for_one_spec", |f| Box::pin(a_key_stands_for_one_spec(f))),
    ("deployment/what_another_owns_is_left_alone", |f| Box::pin(what_another_owns_is_left_alone(f))),
    ("deployment/an_owner_finds_what_it_made", |f| Box::pin(an_owner_finds_what_it_made(f))),
];

async fn the_same_key_has_one_effect(f: &Fixture<'_>) -> Check {
    let mut spec = f.spec();
    let first = f.apply(&spec, "1").await?;
    same("the revision of the same key", f.apply(&spec, "1").await?, first.clone())?;
    spec.env.insert("LEPTON_CONFORMANCE".into(), "2".into());
    let second = f.apply(&spec, "2").await?;
    same("the revision of the first key, after another", f.apply(&f.spec(), "1").await?, first)?;
    let seen = f.ready(&second, |_| {}).await?;
    same("the revision that runs", seen.revision, second)?;
    same("revisions", f.deployment.revisions(f.name()).await?.len(), 2.min(f.deployment.capabilities().revisions))
}

async fn nothing_to_change_makes_no_revision(f: &Fixture<'_>) -> Check {
    let first = f.apply(&f.spec(), "1").await?;
    same("the revision of another key", f.apply(&f.spec(), "2").await?, first)?;
    same("revisions", f.deployment.revisions(f.name()).await?.len(), 1)
}

async fn a_key_that_changed_nothing_is_remembered(f: &Fixture<'_>) -> Check {
    let mut spec = f.spec();
    let first = f.apply(&spec, "1").await?;
    same("the revision of a key that changes nothing", f.apply(&spec, "2").await?, first.clone())?;
    spec.env.insert("LEPTON_CONFORMANCE".into(), "2".into());
    let latest = f.apply(&spec, "3").await?;
    same("the revision of that key, after another", f.apply(&f.spec(), "2").await?, first)?;
    refused("another spec under that key", f.apply(&spec, "2").await, ErrorKind::Conflict)?;
    let seen = f.ready(&latest, |_| {}).await?;
    same("the revision that runs", seen.revision, latest)
}

async fn a_key_stands_for_one_spec(f: &Fixture<'_>) -> Check {
    f.apply(&f.spec(), "1").await?;
    let mut spec = f.spec();
    spec.replicas += 1;
    refused("another spec under the same key", f.apply(&spec, "1").await, ErrorKind::Conflict)?;
    Ok(())
}

async fn what_another_owns_is_left_alone(f: &Fixture<'_>) -> Check {
    f.apply(&f.spec(), "1").await?;
    let other = OperationKey::new(format!("{}-other", f.owner), "apply", "1");
    let mut spec = f.spec();
    spec.replicas += 1;
    let applied = f.deployment.apply(&spec, &Secrets::new(), &other).await;
    refused("a workload of another owner", applied, ErrorKind::Conflict)?;
    same("revisions", f.deployment.revisions(f.name()).await?.len(), 1)
}

async fn an_owner_finds_what_it_made(f: &Fixture<'_>) -> Check {
    same("workloads before", f.deployment.find(&f.owner).await?, vec![])?;
    f.apply(&f.spec(), "1").await?;
    same("workloads of the owner", f.deployment.find(&f.owner).await?, vec![f.name().to_owned()])?;
    f.deployment.delete(f.name()).await?;
    f.absent().await?;
    same("workloads afterwards", f.deployment.find(&f.owner).await?, vec![])
}
