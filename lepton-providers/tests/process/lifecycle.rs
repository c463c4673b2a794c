//! Starts, restarts and ends.

use std::collections::BTreeSet;

use lepton_core::ErrorKind;
use lepton_core::deployment::{Deployment as _, ReasonKind, Severity, UpdateStrategy, Volume, WorkloadSpec};

use crate::place::{Place, program, serve};

/// A shell that ignores the termination signal and becomes the program, which then ignores it
/// too.
fn stubborn() -> WorkloadSpec {
    let mut spec = serve();
    let line = format!("trap '' TERM; exec {} program serve", spec.command[0]);
    spec.command = ["sh", "-c", &line].map(str::to_owned).to_vec();
    spec.args.clear();
    spec
}

pub(crate) async fn a_program_that_ignores_the_signal_is_killed() {
    let place = Place::new().await;
    let mut spec = stubborn();
    spec.termination_grace_period_seconds = 1;
    let revision = place.apply(&spec, "1").await.unwrap();
    place.ready(&revision).await;
    place.deployment.delete("shop").await.unwrap();
    place.gone().await;
}

pub(crate) async fn a_program_that_crashes_is_restarted_more_and_more_rarely() {
    let place = Place::new().await;
    place.apply(&program("crash"), "1").await.unwrap();
    let in_loop =
        |kind| move |seen: &lepton_core::deployment::Observation| seen.reasons.iter().any(|it| it.kind == kind);
    let seen = place.until("it is in a loop", in_loop(ReasonKind::CrashLoop)).await;
    let reason = seen.reasons.iter().find(|reason| reason.kind == ReasonKind::CrashLoop).unwrap();
    assert!(reason.message.contains("there is no more milk"), "the end of the output is missing: {reason}");
    assert!(reason.message.contains("exit status: 3"), "the exit code is missing: {reason}");
    let seen = place.until("it is restarted", |seen| seen.restarts >= 3).await;
    assert_eq!(seen.ready, 0);
    let id = std::fs::read_dir(place.path("workloads/shop/replicas")).unwrap().next().unwrap().unwrap().path();
    let read =
        || -> serde_json::Value { serde_json::from_slice(&std::fs::read(id.join("record.json")).unwrap()).unwrap() };
    // The count of failures, on which the delay depends, outlives the supervisor.
    place.kill_supervisor();
    let before = read()["failures"].as_u64().unwrap();
    place.until("it is restarted further", |seen| seen.restarts > 4).await;
    assert!(read()["failures"].as_u64().unwrap() > before);
}

pub(crate) async fn a_program_that_does_not_exist_is_reported() {
    let place = Place::new().await;
    let spec = WorkloadSpec::of_command("shop", ["/no/such/program"]);
    let findings = place.deployment.preflight(&spec).await.unwrap();
    assert!(findings.iter().any(|finding| finding.severity == Severity::Error && finding.message.contains("/no/such")));
    place.apply(&spec, "1").await.unwrap();
    let seen = place.until("it is reported", |seen| seen.reasons.iter().any(|reason| reason.terminal)).await;
    let reason = seen.reasons.iter().find(|reason| reason.terminal).unwrap();
    assert_eq!(reason.kind, ReasonKind::CannotStart);
    assert!(reason.message.contains("/no/such/program"), "{reason}");
    let mut elsewhere = program("sleep");
    elsewhere.overlay.insert("process".into(), serde_json::json!({ "workingDirectory": "/no/such/folder" }));
    place.apply(&elsewhere, "2").await.unwrap();
    place.until("the folder is reported", |seen| format!("{:?}", seen.reasons).contains("/no/such/folder")).await;
    place.deployment.delete("shop").await.unwrap();
    place.gone().await;
}

pub(crate) async fn what_a_replica_has_started_ends_with_it() {
    let place = Place::new().await;
    let revision = place.apply(&program("child"), "1").await.unwrap();
    place.ready(&revision).await;
    let before = place.until_processes("the child runs", |found| found.len() == 2).await;
    // Its first process ends: the rest is ended before it is started again.
    let first = before.iter().map(|found| found.pid).min().unwrap();
    crate::place::kill(first);
    place.until("it was restarted", |seen| seen.restarts == 1 && seen.is_ready()).await;
    let after = place.until_processes("two processes again", |found| found.len() == 2).await;
    assert!(after.iter().all(|found| !before.contains(found)), "{before:?} {after:?}");
    place.deployment.delete("shop").await.unwrap();
    place.gone().await;
}

pub(crate) async fn traffic_ends_before_the_signal() {
    let place = Place::new().await;
    let mut spec = serve();
    // Longer than the test: the replica cannot end while the test looks.
    spec.pre_stop_seconds = 10_000;
    let first = place.apply(&spec, "1").await.unwrap();
    place.ready(&first).await;
    let old = place.replicas().pop_first().unwrap();
    spec.env.insert("CHANGE".into(), "1".into());
    let second = place.apply(&spec, "2").await.unwrap();
    let ending = |seen: &lepton_core::deployment::Observation| {
        let of_old = seen.endpoints.iter().find(|endpoint| endpoint.replica == old);
        of_old.is_none_or(|endpoint| endpoint.terminating)
    };
    let seen = place.until("the old one ends", ending).await;
    let endpoint = seen.endpoints.iter().find(|endpoint| endpoint.replica == old).expect("it drains before it ends");
    assert!(endpoint.terminating && !endpoint.ready);
    assert_eq!((seen.ready, seen.updated), (1, 1), "the new one was ready first");
    std::net::TcpStream::connect(&endpoint.address).expect("a replica that drains still answers");
    assert_ne!(first, second);
    // With a short time it ends afterwards.
    let place = Place::new().await;
    spec.pre_stop_seconds = 1;
    let revision = place.apply(&spec, "1").await.unwrap();
    place.ready(&revision).await;
    place.deployment.delete("shop").await.unwrap();
    place.gone().await;
}

pub(crate) async fn recreate_never_runs_both() {
    let place = Place::new().await;
    let mut spec = serve();
    (spec.replicas, spec.strategy) = (2, UpdateStrategy::Recreate);
    let first = place.apply(&spec, "1").await.unwrap();
    place.ready(&first).await;
    let (old, start) = (place.replicas(), std::time::Instant::now());
    spec.env.insert("CHANGE".into(), "1".into());
    let second = place.apply(&spec, "2").await.unwrap();
    loop {
        let living = place.replicas();
        let new: BTreeSet<_> = living.difference(&old).collect();
        assert!(new.is_empty() || living.is_disjoint(&old), "{living:?} while {old:?} live");
        let seen = place.observe().await;
        if seen.revision == second && seen.is_ready() {
            break;
        }
        assert!(start.elapsed() < crate::place::LONG, "{seen:?}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

pub(crate) async fn more_replicas_by_a_spec_replace_none() {
    let place = Place::new().await;
    let mut spec = serve();
    let first = place.apply(&spec, "1").await.unwrap();
    place.ready(&first).await;
    let before = place.replicas();
    spec.replicas = 2;
    let second = place.apply(&spec, "2").await.unwrap();
    assert_ne!(first, second);
    place.ready(&second).await;
    assert!(place.replicas().is_superset(&before) && place.replicas().len() == 2);
}

pub(crate) async fn what_cannot_be_honoured_is_refused_by_name() {
    let place = Place::new().await;
    let refused = async |change: fn(&mut WorkloadSpec), kind: ErrorKind, name: &str| {
        let mut spec = serve();
        change(&mut spec);
        let error = place.apply(&spec, "1").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(name), "{error}");
        let findings = place.deployment.preflight(&spec).await.unwrap();
        assert!(!findings.is_empty(), "{name} is no finding");
    };
    refused(|spec| spec.image = Some("shop:1".into()), ErrorKind::Unsupported, "image").await;
    let limit = |spec: &mut WorkloadSpec| spec.resources.memory = Some("1Gi".into());
    refused(limit, ErrorKind::Unsupported, "resources.memory").await;
    let volume = |spec: &mut WorkloadSpec| {
        spec.volumes.push(Volume { name: "data".into(), mount_path: "/data".into() });
    };
    refused(volume, ErrorKind::Unsupported, "volumes").await;
    let overlay = |spec: &mut WorkloadSpec| {
        spec.overlay.insert("process".into(), serde_json::json!({ "nice": 1 }));
    };
    refused(overlay, ErrorKind::InvalidInput, "nice").await;
    assert!(place.deployment.observe("shop").await.unwrap().is_none());
    assert!(place.deployment.observe("../shop").await.unwrap().is_none());
}

pub(crate) async fn drivers_that_apply_at_once_make_one_revision() {
    let place = Place::new().await;
    let spec = serve();
    let applied = futures_util::future::join_all((0..8).map(|_| place.apply(&spec, "1"))).await;
    let revisions: BTreeSet<_> = applied.into_iter().map(Result::unwrap).collect();
    assert_eq!(revisions.len(), 1);
    place.ready(revisions.first().unwrap()).await;
    assert_eq!(place.deployment.revisions("shop").await.unwrap().len(), 1);
    assert_eq!(place.processes().len(), 1);
}
