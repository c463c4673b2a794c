//! Files that are not as they should be.

use std::os::unix::fs::PermissionsExt as _;

use lepton_core::ErrorKind;
use lepton_core::deployment::Deployment as _;

use crate::place::{Place, builder, serve};

pub(crate) async fn a_damaged_file_is_reported_by_name() {
    let place = Place::new().await;
    let revision = place.apply(&serve(), "1").await.unwrap();
    place.ready(&revision).await;
    let path = place.path("workloads/shop/workload.json");
    let whole = std::fs::read(&path).unwrap();
    for text in ["", "{}", "[1", "{\"version\":1}"] {
        std::fs::write(&path, text).unwrap();
        let error = place.deployment.observe("shop").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("workload.json"), "{error}");
        place.apply(&serve(), "2").await.unwrap_err();
        place.deployment.delete("shop").await.unwrap_err();
    }
    let newer = String::from_utf8_lossy(&whole).replacen("\"version\": 1", "\"version\": 2", 1);
    std::fs::write(&path, newer).unwrap();
    assert_eq!(place.deployment.observe("shop").await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(place.processes().len(), 1, "the replica runs on");
    std::fs::write(&path, whole).unwrap();
    place.ready(&revision).await;
    // What is only derived is written again by the next supervisor.
    place.kill_supervisor();
    std::fs::write(place.path("supervisor.json"), "{").unwrap();
    std::fs::write(place.path("workloads/shop/status.json"), "").unwrap();
    place.ready(&revision).await;
    // A record that cannot be read keeps the next supervisor from working on the workload, but
    // not from deleting it.
    place.kill_supervisor();
    let replica = place.replicas().pop_first().unwrap();
    std::fs::write(place.path(&format!("workloads/shop/replicas/{replica}/record.json")), "{").unwrap();
    place.until("it is reported", |seen| format!("{:?}", seen.reasons).contains("record.json")).await;
    assert_eq!(place.processes().len(), 1, "the replica runs on");
    place.deployment.delete("shop").await.unwrap();
    place.gone().await;
}

pub(crate) async fn a_folder_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = builder(folder.path().to_path_buf()).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("700"), "{error}");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(builder(file).open().await.is_err());
    let inner = folder.path().join("inner");
    let deployment = builder(inner.clone()).open().await.unwrap();
    assert_eq!(std::fs::metadata(&inner).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(deployment.url(), format!("process://{}", inner.canonicalize().unwrap().display()));
}
