//! Probes.

use lepton_core::deployment::{Probe, ReasonKind};

use crate::place::{Place, patient, serve};

pub(crate) async fn each_kind_decides_when_a_replica_is_ready() {
    let well = tempfile::tempdir().unwrap();
    let file = well.path().join("well").display().to_string();
    let kinds = [
        (Probe::http("/ready", "http"), true),
        (Probe::exec(["test", "-e", &file]), true),
        (Probe::exec(["sh", "-c", r#"test -e "$WELL""#]), true),
        (Probe::tcp("http"), false),
    ];
    for (probe, waits) in kinds {
        let place = Place::new().await;
        let _ = std::fs::remove_file(&file);
        let mut spec = serve();
        spec.env.insert("WELL".into(), file.clone());
        spec.readiness_probe = Some(patient(probe).failure_threshold(1));
        let revision = place.apply(&spec, "1").await.unwrap();
        if waits {
            let failing = |seen: &lepton_core::deployment::Observation| {
                seen.reasons.iter().any(|reason| reason.kind == ReasonKind::ProbeFailed)
            };
            let seen = place.until("the probe fails", failing).await;
            assert_eq!(seen.ready, 0);
            std::fs::write(&file, "").unwrap();
        }
        place.ready(&revision).await;
        if waits {
            std::fs::remove_file(&file).unwrap();
            let seen = place.until("it is not ready any more", |seen| seen.ready == 0).await;
            assert_eq!((seen.updated, seen.restarts), (1, 0), "it gets no traffic, but runs on");
        }
    }
}

pub(crate) async fn a_replica_that_is_not_alive_is_restarted() {
    let well = tempfile::tempdir().unwrap();
    let file = well.path().join("well");
    std::fs::write(&file, "").unwrap();
    let place = Place::new().await;
    let mut spec = serve();
    spec.env.insert("WELL".into(), file.display().to_string());
    spec.readiness_probe = Some(patient(Probe::tcp("http")));
    spec.liveness_probe = Some(patient(Probe::http("/alive", "http")).failure_threshold(1));
    let revision = place.apply(&spec, "1").await.unwrap();
    place.ready(&revision).await;
    let before = place.processes();
    std::fs::remove_file(&file).unwrap();
    place.until("it is restarted", |seen| seen.restarts > 0).await;
    std::fs::write(&file, "").unwrap();
    place.ready(&revision).await;
    let after = place.processes();
    assert_eq!(before[0].replica, after[0].replica, "it is the same replica");
    assert_ne!(before[0].pid, after[0].pid, "with another process");
}

pub(crate) async fn a_startup_probe_holds_the_others_back() {
    let well = tempfile::tempdir().unwrap();
    let file = well.path().join("well").display().to_string();
    let place = Place::new().await;
    let mut spec = serve();
    spec.startup_probe = Some(patient(Probe::exec(["test", "-e", &file])).failure_threshold(1000));
    spec.liveness_probe = Some(patient(Probe::exec(["test", "-e", &file])).failure_threshold(1));
    let revision = place.apply(&spec, "1").await.unwrap();
    let failing = |seen: &lepton_core::deployment::Observation| format!("{:?}", seen.reasons).contains("startup probe");
    let seen = place.until("the startup probe fails", failing).await;
    assert_eq!((seen.ready, seen.restarts), (0, 0));
    std::fs::write(&file, "").unwrap();
    let seen = place.ready(&revision).await;
    assert_eq!(seen.restarts, 0, "the liveness probe was asked before the start was over");
    std::fs::remove_file(&file).unwrap();
    place.until("the liveness probe restarts it", |seen| seen.restarts > 0).await;
}
