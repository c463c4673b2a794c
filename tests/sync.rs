//! Between stores of every kind (with `LEPTON_TEST_PAIRS=all` every ordered pair): an unchanged
//! pair is left alone, differences are copied, extraneous objects are deleted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::time::Duration;

use lepton::core::DeleteRequest;
use lepton::{
    Compare, ExistingPolicy, Location, Report, SharedStorage, Status, StorageExt as _, Transfer, VerifyDepth, verify,
};
use support::journals::Journals;
use support::places::{Place, every_pair};
use support::*;

/// All clocks are those of one machine.
const WINDOW: Duration = Duration::from_millis(10);
/// Longer than the coarsest time stamps.
const LATER: Duration = Duration::from_millis(1100);

async fn mirror(from: &Place, to: &Place, compare: Compare) -> Report {
    let folder = Journals::new();
    let transfer = Transfer::builder()
        .from(from.storage.clone())
        .to(to.storage.clone())
        .existing(ExistingPolicy::IfDifferent)
        .compare(compare)
        .time_window(WINDOW)
        .delete(true)
        .max_delete_percent(50)
        .journal(folder.path());
    let report = transfer.build().unwrap().run().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{} → {}: {:?}", from.kind, to.kind, report.failures);
    let place = Location::from(to.storage.clone());
    let found = verify(report.manifest.as_ref().unwrap(), &place, VerifyDepth::Full).await.unwrap();
    assert!(found.is_proven(), "{} → {}: {:?}", from.kind, to.kind, found.problems);
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_follows_its_source() {
    const OBJECTS: u64 = 23;
    let fill = async |source: &SharedStorage| {
        fill_mixed(source.as_ref(), 7, 20, 2).await;
        // Written a while before it is copied, as is usual for real data.
        tokio::time::sleep(LATER).await;
    };
    every_pair(fill, async |from, to| {
        let pair = format!("{} → {}", from.kind, to.kind);
        assert_eq!(mirror(from, to, Compare::Auto).await.objects, OBJECTS, "{pair}");
        for (compare, reads) in [(Compare::Auto, false), (Compare::Checksum, true), (Compare::Content, true)] {
            let report = mirror(from, to, compare).await;
            assert_eq!((report.objects, report.unchanged), (0, OBJECTS), "{pair}: {compare:?}");
            assert!(reads || report.bytes_read == 0, "{pair}: {compare:?} reads {}", report.bytes_read);
        }
        tokio::time::sleep(LATER).await;
        let store = &to.storage;
        store.write(&key("extra"), bytes(1, 10)).await.unwrap();
        store.write(&key("empty"), bytes(1, 10)).await.unwrap();
        store.delete(vec![DeleteRequest::new(key("large/1"))]).await.unwrap().check().unwrap();
        let report = mirror(from, to, Compare::Auto).await;
        let told = (report.objects, report.unchanged, report.extras, report.deleted);
        assert_eq!(told, (2, OBJECTS - 2, 1, 1), "{pair}");
        assert_same(from.storage.as_ref(), store.as_ref()).await;
    })
    .await;
}
