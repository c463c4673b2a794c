//! Supervisors that come and go, and drivers that die.

use std::process::{Command, ExitCode};
use std::time::Duration;

use lepton_core::ErrorKind;
use lepton_core::deployment::{Deployment as _, Observation, ReasonKind, Secrets};
use lepton_providers::process::{ProcessDeployment, supervise};

use crate::place::{Place, builder, key, kill, program, serve};

/// Applies a workload in this folder and ends without a farewell, as a killed driver does.
pub(crate) fn driver(arguments: &[String]) -> ExitCode {
    let apply = async {
        let deployment = builder(arguments[0].clone().into()).open().await.unwrap();
        let mut spec = serve();
        spec.replicas = 2;
        deployment.apply(&spec, &Secrets::new(), &key("1")).await.unwrap();
    };
    tokio::runtime::Runtime::new().unwrap().block_on(apply);
    kill(std::process::id().cast_signed());
    ExitCode::FAILURE
}

pub(crate) async fn replicas_outlive_their_driver_and_their_supervisor() {
    let place = Place::new().await;
    let own = std::env::current_exe().unwrap();
    let mut driver = Command::new(own);
    let status = driver.arg("driver").arg(place.folder()).env("CREDENTIAL", "of-the-driver").status().unwrap();
    assert!(!status.success());
    // Nobody observes: the supervisor alone starts what the driver has applied.
    place.until_processes("two replicas of a driver that has died", |found| found.len() == 2).await;
    let seen = place.until("both are ready", |seen| seen.ready == 2).await;
    let before = place.processes();
    place.kill_supervisor();
    assert_eq!(place.processes(), before, "the replicas live on without a supervisor");
    for found in &before {
        let environment = std::fs::read(format!("/proc/{}/environ", found.pid)).unwrap();
        assert!(!String::from_utf8_lossy(&environment).contains("CREDENTIAL"), "the driver's variables are its own");
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", found.pid)).unwrap();
        let session = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(3).unwrap().to_owned();
        assert_eq!(session, found.pid.to_string(), "each has a session of its own");
        for (descriptor, target) in [(0, "/dev/null".into()), (1, output(&place, &found.replica))] {
            let open = std::fs::read_link(format!("/proc/{}/fd/{descriptor}", found.pid)).unwrap();
            assert_eq!(open.display().to_string(), target);
        }
    }
    // The next supervisor adopts them, and they stay ready.
    let after = place.until("a supervisor is back", |_| place.supervisor().is_some()).await;
    assert_eq!((after.ready, after.restarts), (2, 0));
    assert_eq!(after.endpoints, seen.endpoints);
    place.deployment.scale("shop", 1).await.unwrap();
    place.until("one replica is left", Observation::is_ready).await;
    assert_eq!(place.processes().len(), 1);
    assert!(before.contains(&place.processes()[0]), "the one that is left was adopted");
    place.deployment.delete("shop").await.unwrap();
    place.gone().await;
}

fn output(place: &Place, replica: &str) -> String {
    let path = place.path("workloads/shop/replicas").join(replica).join("output.log");
    path.canonicalize().unwrap().display().to_string()
}

pub(crate) async fn a_second_supervisor_is_refused() {
    let place = Place::new().await;
    let revision = place.apply(&serve(), "1").await.unwrap();
    place.ready(&revision).await;
    let first = place.supervisor();
    let folder = place.folder();
    let second = tokio::task::spawn_blocking(move || supervise(&folder)).await.unwrap().unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Conflict, "{second}");
    assert!(second.to_string().contains("another supervisor"), "{second}");
    assert_eq!(place.supervisor(), first);
}

pub(crate) async fn a_start_without_a_record_is_adopted_or_withdrawn() {
    let place = Place::new().await;
    let revision = place.apply(&serve(), "1").await.unwrap();
    place.ready(&revision).await;
    let id = place.replicas().pop_first().unwrap();
    let folder = place.path("workloads/shop/replicas").join(id);
    // As if the supervisor had been killed between its intent and the start: there is a record,
    // but nobody has claimed it.
    place.kill_supervisor();
    let before = place.processes();
    before.iter().for_each(|found| kill(found.pid));
    std::fs::remove_file(folder.join("claim-1.json")).unwrap();
    // Until the supervisor has seen the end of the process, it still counts as ready.
    while place.processes() == before {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let seen = place.until("the replica runs again", Observation::is_ready).await;
    assert_eq!(seen.restarts, 0, "a start that never was is no restart");
    assert_eq!(place.processes().len(), 1);
    // The process of the withdrawn start exits if it runs late.
    let own = std::env::current_exe().unwrap();
    let revoked = folder.join("claim-1.json");
    std::fs::write(&revoked, r#"{"revoked":{}}"#).unwrap();
    let late =
        Command::new(own).arg("lepton-launch").arg(&folder).args(["1", "touch"]).arg(folder.join("ran")).output();
    let late = late.unwrap();
    assert!(!late.status.success() && !folder.join("ran").exists());
    assert!(String::from_utf8_lossy(&late.stderr).contains("withdrawn"), "{late:?}");
}

pub(crate) async fn a_number_that_was_reused_is_not_signalled() {
    let place = Place::new().await;
    let revision = place.apply(&serve(), "1").await.unwrap();
    place.ready(&revision).await;
    place.kill_supervisor();
    place.processes().iter().for_each(|found| kill(found.pid));
    // The number was reused by another program, whose start time differs.
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    let id = std::fs::read_dir(place.path("workloads/shop/replicas")).unwrap().next().unwrap().unwrap().path();
    let path = id.join("claim-1.json");
    let mut claim: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    claim["started"]["pid"] = other.id().into();
    std::fs::write(&path, claim.to_string()).unwrap();
    place.until("a replica is started anew", |seen| seen.is_ready() && seen.restarts == 1).await;
    place.deployment.delete("shop").await.unwrap();
    place.gone().await;
    let lives = other.try_wait().unwrap().is_none();
    let _ = other.kill();
    let _ = other.wait();
    assert!(lives, "the program with the reused number was signalled");
}

pub(crate) async fn the_supervisor_leaves_when_nothing_is_left() {
    let place = Place::with(|builder| builder.idle(Duration::from_millis(50))).await;
    for round in ["1", "2"] {
        let revision = place.apply(&program("sleep"), round).await.unwrap();
        place.ready(&revision).await;
        place.deployment.delete("shop").await.unwrap();
        place.gone().await;
        let start = std::time::Instant::now();
        while place.path("supervisor.json").exists() {
            assert!(start.elapsed() < crate::place::LONG, "the supervisor stays");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub(crate) async fn a_program_that_is_no_supervisor_is_reported() {
    let place = Place::with(|builder| builder.supervisor("/bin/false", ["x"])).await;
    place.apply(&program("sleep"), "1").await.unwrap();
    let seen = place.until("it is reported", |seen| seen.reasons.iter().any(|reason| reason.terminal)).await;
    let reported = format!("{:?}", seen.reasons);
    assert!(reported.contains("/bin/false") && reported.contains("supervise_if_asked"), "{reported}");
    assert!(seen.reasons.iter().any(|reason| reason.kind == ReasonKind::CannotStart));
    let absent = ProcessDeployment::builder(place.folder()).supervisor("/no/such", ["x"]).open().await.unwrap();
    let findings = absent.preflight(&program("sleep")).await.unwrap();
    assert!(findings.iter().any(|finding| finding.message.contains("/no/such")), "{findings:?}");
    let error = absent.apply(&program("sleep"), &Secrets::new(), &key("1")).await.unwrap_err();
    assert_eq!(error.effect(), lepton_core::Effect::Unknown, "{error}");
}
