//! Files that are not as they should be are refused, and never more than that.

use std::path::Path;

use lepton_core::deployment::{OperationKey, RevisionId, Secrets, WorkloadSpec};
use proptest::prelude::*;

use super::{
    Applied, Claim, KeptSecrets, Record, StateDir, Status, UsedKey, Workload, read_json, read_values, write_values,
};
use crate::process::system::Identity;

/// A state folder with one workload that has one replica.
fn state_dir(root: &Path) -> StateDir {
    let state_dir = StateDir::create(&root.join("place"), 1, |_| {}).unwrap().unwrap();
    let spec = WorkloadSpec::of_command("shop", ["/bin/shop"]);
    let secrets = Some(KeptSecrets { digest: "00".into(), file: root.join("values") });
    let applied = Applied { id: RevisionId::new("1"), applied_ms: 1, spec: spec.clone(), secrets };
    let mut workload = Workload::new("me");
    workload.add(applied.clone());
    workload.note(UsedKey::new(&OperationKey::new("me", "deploy", "1"), &applied.id, &spec, b"key"));
    let replica = state_dir.replicas("shop").join("1-0");
    super::create_folder(&replica).unwrap();
    workload.write(&state_dir.workload("shop")).unwrap();
    let record = Record {
        id: "1-0".into(),
        revision: applied.id.clone(),
        applied,
        attempt: 1,
        live: true,
        ports: [("http".to_owned(), 80)].into(),
        restarts: 0,
        failures: 0,
        boot: "boot".into(),
        not_before_ms: 0,
        stop: Some(super::Stop { remove: true, why: None, since_ms: 1, signalled_ms: Some(2) }),
        ended: Some(super::Ended { what: "it ended".into(), cannot_start: false }),
    };
    record.write(&replica).unwrap();
    let claim = Claim::Started(Identity { pid: 1, start: 2, boot: "boot".into() });
    assert!(super::link_json(&Record::claim(&replica, 1), &claim, |_| Ok(())).unwrap());
    assert!(!super::link_json(&Record::claim(&replica, 1), &Claim::Revoked {}, |_| Ok(())).unwrap());
    Status::default().write(&state_dir.workload("shop")).unwrap();
    write_values(&root.join("values"), &Secrets::new().with("TOKEN", "hunter2")).unwrap();
    state_dir
}

/// Reads everything; the texts of the errors.
fn read_all(root: &Path, state_dir: &StateDir) -> Vec<String> {
    let replica = state_dir.replicas("shop").join("1-0");
    let errors = [
        Workload::read(state_dir, "shop").map(drop),
        Record::read(&replica).map(drop),
        read_json::<Claim>(&Record::claim(&replica, 1)).map(drop),
        Status::read(&state_dir.workload("shop")).map(drop),
        read_values(&root.join("values")).map(drop),
        StateDir::open(state_dir.root()).map(drop),
    ];
    errors.into_iter().filter_map(|read| read.err().map(|error| error.full_message())).collect()
}

#[test]
fn written_files_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let state_dir = state_dir(folder.path());
    assert_eq!(read_all(folder.path(), &state_dir), Vec::<String>::new());
    assert_eq!(state_dir.names().unwrap(), ["shop"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_damaged_file_is_named_and_no_value_is_shown(
        file in 0usize..6, at in 0usize..1000, cut in any::<bool>(), bytes in prop::collection::vec(any::<u8>(), 0..8)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = state_dir(folder.path());
        let replica = state_dir.replicas("shop").join("1-0");
        let files = [
            state_dir.workload("shop").join("workload.json"), replica.join("record.json"), replica.join("claim-1.json"),
            state_dir.workload("shop").join("status.json"), folder.path().join("values"), state_dir.root().join("place.json"),
        ];
        let mut content = std::fs::read(&files[file]).unwrap();
        let from = content.len() * at / 1000;
        let to = if cut { content.len() } else { (from + bytes.len()).min(content.len()) };
        content.splice(from..to, bytes);
        std::fs::write(&files[file], content).unwrap();
        for error in read_all(folder.path(), &state_dir) {
            prop_assert!(error.contains(&files[file].display().to_string()), "{}", error);
            prop_assert!(!error.contains("hunter2"), "{}", error);
        }
    }
}
