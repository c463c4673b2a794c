//! The manifest proves a transfer, and every forgery is named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lepton_core::{ErrorKind, Location, MemoryStorage, RetryClass, StorageExt as _, TreeHasher};
use lepton_data::{ManifestReader, Transfer, Verification, Verifier, VerifyDepth, verify};
use support::faulty::{Fault, Faulty};
use support::*;

async fn moved(folder: &Path) -> (MemoryStorage, PathBuf) {
    let (from, to) = stores();
    fill(&from, &[("empty", 0), ("large", 5 * MIB + 3), ("small", 1000)]).await;
    let built = transfer(shared(&from), shared(&to)).journal(folder).build().unwrap();
    let report = built.run().await.unwrap();
    assert_same(&from, &to).await;
    (to, report.manifest.unwrap())
}

async fn check(manifest: &Path, store: &MemoryStorage, depth: VerifyDepth) -> Verification {
    verify(manifest, &Location::new(shared(store), ""), depth).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_moved_verifies_and_the_digests_are_the_tree_hash() {
    let folder = tempfile::tempdir().unwrap();
    let (to, manifest) = moved(folder.path()).await;
    for depth in [VerifyDepth::Full, VerifyDepth::Quick] {
        let found = check(&manifest, &to, depth).await;
        assert!(found.is_proven() && found.objects == 3, "{found:?}");
    }
    for entry in ManifestReader::open(&manifest).unwrap() {
        let entry = entry.unwrap();
        let bytes = to.read(&entry.key, u64::MAX).await.unwrap();
        assert_eq!(entry.digest(), Some(TreeHasher::of(&bytes)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_found_in_its_part() {
    let folder = tempfile::tempdir().unwrap();
    let (to, manifest) = moved(folder.path()).await;
    let mut large = to.read(&key("large"), u64::MAX).await.unwrap().to_vec();
    large[3 * MIB + 7] ^= 1;
    to.write(&key("large"), large.into()).await.unwrap();
    let found = check(&manifest, &to, VerifyDepth::Full).await;
    assert_eq!(found.failed, 1);
    assert!(found.problems[0].reason.contains("part 4"), "{:?}", found.problems);
    assert_eq!(check(&manifest, &to, VerifyDepth::Quick).await.failed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_and_a_shortened_object_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (to, manifest) = moved(folder.path()).await;
    to.remove(&key("empty")).await.unwrap();
    to.write(&key("small"), bytes(3, 999)).await.unwrap();
    for depth in [VerifyDepth::Full, VerifyDepth::Quick] {
        let found = check(&manifest, &to, depth).await;
        let what: Vec<String> = found.problems.iter().map(|p| format!("{}: {}", p.key, p.reason)).collect();
        assert_eq!(what, ["empty: the object is missing", "small: the object has 999 bytes instead of 1000"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_manifest_never_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let (to, manifest) = moved(folder.path()).await;
    let text = std::fs::read_to_string(&manifest).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut forgeries: Vec<String> = (0..lines.len())
        .map(|cut| lines.iter().enumerate().filter(|(i, _)| *i != cut).map(|(_, line)| format!("{line}\n")).collect())
        .collect();
    forgeries.push(format!("{text}{}\n", lines[1]));
    forgeries.push(text.replace("\"size\":1000", "\"size\":1001"));
    forgeries.push(String::new());
    forgeries.extend((0..text.len() - 1).step_by(97).map(|len| text[..len].to_owned()));
    for forgery in forgeries {
        std::fs::write(&manifest, &forgery).unwrap();
        let error = verify(&manifest, &Location::new(shared(&to), ""), VerifyDepth::Quick).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_are_counted_by_object() {
    let folder = tempfile::tempdir().unwrap();
    let (to, manifest) = moved(folder.path()).await;
    let mut bytes = to.read(&key("large"), u64::MAX).await.unwrap().to_vec();
    (bytes[0], bytes[5 * MIB]) = (!bytes[0], !bytes[5 * MIB]);
    to.write(&key("large"), bytes.into()).await.unwrap();
    let found = check(&manifest, &to, VerifyDepth::Full).await;
    let [problem] = &found.problems[..] else { panic!("{found:?}") };
    assert!(found.failed == 1 && problem.reason.contains("part 1 ") && problem.reason.contains("part 6 "), "{found:?}");
    to.remove(&key("large")).await.unwrap();
    let found = check(&manifest, &to, VerifyDepth::Full).await;
    assert_eq!((found.failed, found.problems.len()), (1, 1));
    assert_eq!(found.problems[0].reason, "the object is missing");
}

/// A store that does not respond has damaged nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_is_not_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (to, manifest) = moved(folder.path()).await;
    to.remove(&key("small")).await.unwrap();
    for kind in [ErrorKind::Network, ErrorKind::Timeout, ErrorKind::Unavailable, ErrorKind::Throttled] {
        let down = Faulty::new(&to, move |call, key| {
            (call == "get" && key.as_str() == Some("large")).then_some(Fault::Fail(kind, RetryClass::Now))
        });
        let verifier = Verifier::new(&manifest, Location::new(Arc::new(down), "")).attempts(NonZeroU32::MIN);
        let found = verifier.run().await.unwrap();
        assert_eq!((found.failed, found.unreachable), (1, 1), "{found:?}");
        assert!(!found.is_proven() && found.unreachable_reason.unwrap().contains("told to fail"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_another_folder_is_refused() {
    let (from, to, folder) = (MemoryStorage::new(), MemoryStorage::new(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 1)]).await;
    let place = |path: &str| Location::new(shared(&to), path.as_bytes().to_vec());
    let transfer = Transfer::builder().from(shared(&from)).to(place("folder/")).journal(folder.path());
    let manifest = transfer.build().unwrap().run().await.unwrap().manifest.unwrap();
    for path in ["", "folder", "folder/"] {
        assert!(verify(&manifest, &place(path), VerifyDepth::Full).await.unwrap().is_proven(), "{path}");
    }
    for path in ["other", "fold", "folder/a/"] {
        let error = verify(&manifest, &place(path), VerifyDepth::Full).await.unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.message().contains("folder/a"), "{path}: {error}");
    }
}
