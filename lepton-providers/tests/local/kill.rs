//! A process that is killed leaves whole objects and nothing else.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use lepton_core::{ObjectKey, StorageExt as _};
use lepton_providers::local::Durability;

use super::{builder, key, on_disk, open};

const ROOT: &str = "LEPTON_TEST_KILL_ROOT";
const SIZE: usize = (1 << 20) + 4321;

/// Not a test of its own: what the child process does until it is killed.
#[tokio::test]
async fn write_until_killed() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let store = builder(Path::new(&root)).sync(Durability::None).open().await.unwrap();
    for round in 0u64.. {
        let name = ObjectKey::new(format!("folder/{:03}", round % 200)).unwrap();
        store.write(&name, vec![round as u8; SIZE].into()).await.unwrap();
    }
}

fn child(root: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["kill::write_until_killed", "--exact"]).env(ROOT, root);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[tokio::test]
async fn a_killed_process_leaves_whole_objects_only() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let visible = || std::fs::read_dir(dir.path().join("folder")).map_or(0, Iterator::count);
    for round in 0..12 {
        let mut child = child(dir.path());
        // First while the objects are new, then while they are replaced.
        let enough = (20 * round).min(200);
        while visible() < enough {
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let mut names = on_disk(dir.path());
        names.retain(|name| name != "folder" && name != "folder/.lepton-0.tmp");
        for name in names {
            let whole = std::fs::read(dir.path().join(&name)).unwrap();
            let seed = whole.first().copied().unwrap_or_default();
            assert!(whole == vec![seed; SIZE], "{name} is not whole");
        }
    }
    std::fs::write(dir.path().join("folder/.lepton-0.tmp"), "left by a kill").unwrap();
    open(dir.path()).await.write(&key("folder/000"), "new".into()).await.unwrap();
    assert!(!dir.path().join("folder/.lepton-0.tmp").exists());
}
