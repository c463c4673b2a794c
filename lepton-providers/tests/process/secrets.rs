//! Secrets.

use std::path::Path;

use lepton_core::ErrorKind;
use lepton_core::deployment::{Change, Deployment as _, SecretReference, Secrets, WorkloadSpec};

use crate::place::{Place, key, serve};

const VALUE: &str = "correct-horse-battery";

fn spec(well: &Path) -> WorkloadSpec {
    let mut spec = serve();
    spec.secrets.insert("TOKEN".into(), SecretReference::Env("SHOP_TOKEN".into()));
    // It proves by a digest that it has the value, which it does not write.
    let line = format!(
        r#"printf %s "$TOKEN" | sha256sum > {}; exec {} program serve"#,
        well.display(),
        std::env::current_exe().unwrap().display()
    );
    spec.command = ["sh", "-c", &line].map(str::to_owned).to_vec();
    spec
}

fn holds(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holds(&path, text));
        } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).contains(text) {
            found.push(path.display().to_string());
        }
    }
    found
}

pub(crate) async fn values_are_in_no_file_and_reach_a_restarted_replica() {
    let kept = tempfile::tempdir_in("/dev/shm").unwrap();
    let proof = tempfile::tempdir().unwrap();
    let proof = proof.path().join("proof");
    let place = Place::with(|builder| builder.secrets_folder(kept.path().join("secrets"))).await;
    let (spec, secrets) = (spec(&proof), Secrets::new().with("TOKEN", VALUE));
    let missing = place.deployment.apply(&spec, &Secrets::new(), &key("0")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::InvalidInput, "{missing}");
    let surplus = Secrets::new().with("TOKEN", VALUE).with("OTHER", VALUE);
    let surplus = place.deployment.apply(&spec, &surplus, &key("0")).await.unwrap_err();
    let revision = place.deployment.apply(&spec, &secrets, &key("1")).await.unwrap();
    place.ready(&revision).await;
    let first = std::fs::read_to_string(&proof).unwrap();
    // A restart by a supervisor that never saw the driver's values.
    place.kill_supervisor();
    std::fs::remove_file(&proof).unwrap();
    place.processes().iter().for_each(|found| crate::place::kill(found.pid));
    place.until("it is restarted", |seen| seen.restarts == 1 && seen.is_ready()).await;
    assert_eq!(std::fs::read_to_string(&proof).unwrap(), first);
    let plan = place.deployment.plan(&spec, &Secrets::new().with("TOKEN", "battery-staple")).await.unwrap();
    assert_eq!(plan.change, Change::Update);
    let shown = format!(
        "{plan} {plan:?} {missing:?} {surplus:?} {:?} {:?} {:?}",
        place.deployment,
        place.observe().await,
        place.deployment.revisions("shop").await.unwrap()
    );
    assert!(!shown.contains(VALUE) && !shown.contains("staple"), "{shown}");
    assert_eq!(holds(&place.folder(), VALUE), Vec::<String>::new());
    assert_eq!(holds(kept.path(), VALUE).len(), 1, "the values are where they are documented to be");
    // An older value goes when no replica needs it, and the last with the workload.
    let changed =
        place.deployment.apply(&spec, &Secrets::new().with("TOKEN", "battery-staple"), &key("2")).await.unwrap();
    place.ready(&changed).await;
    place.until_wiped(|| holds(kept.path(), VALUE).is_empty()).await;
    place.deployment.delete("shop").await.unwrap();
    place.gone().await;
    assert!(!kept.path().join("secrets").read_dir().is_ok_and(|mut left| left.next().is_some()), "values are left");
}

pub(crate) async fn lost_values_are_requested_by_a_reason() {
    let kept = tempfile::tempdir_in("/dev/shm").unwrap();
    let proof = tempfile::tempdir().unwrap();
    let folder = kept.path().join("secrets");
    let place = Place::with(|builder| builder.secrets_folder(&folder)).await;
    let (spec, secrets) = (spec(&proof.path().join("proof")), Secrets::new().with("TOKEN", VALUE));
    let revision = place.deployment.apply(&spec, &secrets, &key("1")).await.unwrap();
    place.ready(&revision).await;
    // As after a restart of the machine: no process and no value is left.
    place.kill_supervisor();
    std::fs::remove_dir_all(&folder).unwrap();
    place.processes().iter().for_each(|found| crate::place::kill(found.pid));
    let seen = place.until("it is reported", |seen| seen.reasons.iter().any(|reason| reason.terminal)).await;
    assert!(format!("{:?}", seen.reasons).contains("apply it again"), "{:?}", seen.reasons);
    let again = place.deployment.apply(&spec, &secrets, &key("2")).await.unwrap();
    assert_eq!(again, revision, "the values are the same");
    place.ready(&revision).await;
}

/// A driver was killed after it had written the values, and before the workload.
pub(crate) async fn values_of_a_workload_that_was_never_made_are_wiped_by_a_delete() {
    let kept = tempfile::tempdir_in("/dev/shm").unwrap();
    let folder = kept.path().join("secrets");
    let place = Place::with(|builder| builder.secrets_folder(&folder)).await;
    let secrets = Secrets::new().with("TOKEN", VALUE);
    let workload = place.path("workloads/shop");
    // The rename that makes the workload fails.
    std::fs::create_dir_all(workload.join("other")).unwrap();
    let applied = place.deployment.apply(&spec(&kept.path().join("proof")), &secrets, &key("1")).await;
    assert!(applied.is_err(), "{applied:?}");
    std::fs::remove_dir_all(&workload).unwrap();
    assert_eq!(holds(kept.path(), VALUE).len(), 1);
    place.deployment.delete("shop").await.unwrap();
    assert_eq!(holds(kept.path(), VALUE), Vec::<String>::new());
    assert!(!folder.read_dir().is_ok_and(|mut left| left.next().is_some()), "folders are left");
    // Names that are no names of folders are absent, and nothing more.
    place.deployment.delete("../shop").await.unwrap();
}
