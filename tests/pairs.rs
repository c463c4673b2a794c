//! Between pairs of stores (all of them with `LEPTON_TEST_PAIRS=all`), everything arrives
//! byte for byte, or is refused by name before a byte of it is sent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::StreamExt as _;
use lepton::core::{Attribute, Attributes, Body, HeadOptions, PutOptions};
use lepton::{
    ErrorKind, Location, ObjectKey, Report, SharedStorage, Status, StorageExt as _, Transfer, VerifyDepth, verify,
};
use support::journals::Journals;
use support::life::killed;
use support::places::{Place, every_pair};
use support::*;

/// Moves everything and verifies the manifest against both sides.
async fn moved(from: &Place, to: &Place) -> Report {
    moved_in(from, to, 8 * MIB as u64).await
}

/// Through this process, even if one server holds both sides: `server_copy.rs` tests
/// server-side copies.
async fn moved_in(from: &Place, to: &Place, part_size: u64) -> Report {
    let folder = Journals::new();
    let transfer = Transfer::builder().from(from.storage.clone()).to(to.storage.clone()).journal(folder.path());
    let transfer = transfer.part_size(part_size).server_copy(false);
    let report = transfer.build().unwrap().run().await.unwrap();
    for depth in [VerifyDepth::Quick, VerifyDepth::Full] {
        let found =
            verify(report.manifest.as_ref().unwrap(), &Location::from(to.storage.clone()), depth).await.unwrap();
        let wrong = found.failed + found.unreachable;
        assert!(wrong == 0, "{} → {}, {depth:?}: {:?}", from.kind, to.kind, found.problems);
        assert_eq!(found.is_proven(), report.status == Status::Complete, "{} → {}", from.kind, to.kind);
    }
    report
}

async fn keys(place: &Place) -> BTreeSet<ObjectKey> {
    place.storage.objects("".into()).map(|object| object.unwrap().key).collect().await
}

const SIZES: [usize; 9] = [0, 1, MIB - 1, MIB, MIB + 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 2 * 8 * MIB + 1];

#[tokio::test(flavor = "multi_thread")]
async fn every_size_around_the_boundaries() {
    let fill = async |source: &SharedStorage| {
        for (seed, size) in SIZES.into_iter().enumerate() {
            source.write(&key(&format!("size/{size}")), bytes(seed as u64, size)).await.unwrap();
        }
    };
    every_pair(fill, async |from, to| {
        let report = moved(from, to).await;
        assert_eq!((report.status, report.objects), (Status::Complete, SIZES.len() as u64), "{:?}", report.failures);
        assert_same(from.storage.as_ref(), to.storage.as_ref()).await;
    })
    .await;
}

const ODD: [&str; 22] = [
    "lead",
    "/lead",
    "a//b",
    "a/b",
    "./dot",
    "a/./b",
    "../up",
    "a/../b",
    "folder/",
    "folder/x",
    "a b",
    "a+b",
    "a%2Fb",
    "%",
    "a&b<c>'\"",
    "ctl\u{1}\u{7f}",
    "tab\tnew\nline",
    "größe/漢字🚚",
    "x",
    "x/y",
    "~!*()[]{}^|\\`",
    "#?=;:@$,",
];

#[tokio::test(flavor = "multi_thread")]
async fn odd_keys_are_kept_exactly_or_refused_by_name() {
    let fill = async |source: &SharedStorage| {
        for (seed, name) in ODD.into_iter().enumerate() {
            let len = if name.ends_with('/') { 0 } else { 10 + seed };
            // Keys that the source itself cannot store cannot be moved.
            if let Err(error) = source.write(&key(name), bytes(seed as u64, len)).await {
                assert_eq!(error.kind(), ErrorKind::InvalidKey, "{name:?}: {error:?}");
            }
        }
    };
    every_pair(fill, async |from, to| {
        let report = moved(from, to).await;
        let refused: BTreeSet<ObjectKey> = report.failures.iter().map(|failure| failure.key.clone()).collect();
        for failure in &report.failures {
            let named = failure.kind == "invalid_key" && failure.error.contains(&failure.key.to_string());
            assert!(named, "{} → {}: {failure:?}", from.kind, to.kind);
        }
        let (there, arrived) = (keys(from).await, keys(to).await);
        let mut expected: BTreeSet<ObjectKey> = there.difference(&refused).cloned().collect();
        // An empty marker is passed over where it cannot be held, and counted.
        if report.passed_over.folder_markers > 0 {
            assert_eq!(report.passed_over.folder_markers, 1, "{} → {}", from.kind, to.kind);
            assert!(expected.remove(&key("folder/")), "{} → {}", from.kind, to.kind);
        }
        assert_eq!(arrived, expected, "{} → {}", from.kind, to.kind);
        for name in arrived {
            let read = async |place: &Place| place.storage.read(&name, 1000).await.unwrap();
            assert_eq!(read(from).await, read(to).await, "{} → {}: {name}", from.kind, to.kind);
        }
    })
    .await;
}

fn dressed() -> Attributes {
    let mut attributes = Attributes::default();
    attributes.content_type = Some("text/plain; charset=utf-8".into());
    attributes.content_disposition = Some("attachment; filename=\"x y.txt\"".into());
    attributes.content_language = Some("de".into());
    attributes.cache_control = Some("no-cache, max-age=5".into());
    attributes.user_metadata = BTreeMap::from([("color".into(), "red".into()), ("note".into(), "a, b; c=d".into())]);
    attributes.tags = BTreeMap::from([("team".into(), "a b".into()), ("stage".into(), "x/y".into())]);
    attributes
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_and_tags_arrive_or_are_recorded_as_lost() {
    let fill = async |source: &SharedStorage| {
        let mut attributes = dressed();
        for attribute in Attribute::ALL {
            if !source.capabilities().keeps(*attribute) {
                attributes.remove(*attribute);
            }
        }
        for (name, len) in [("small", 100), ("large", 9 * MIB)] {
            let options = PutOptions::new().attributes(attributes.clone());
            source.put(&key(name), Body::from(bytes(1, len)), options).await.unwrap();
        }
    };
    every_pair(fill, async |from, to| {
        let report = moved(from, to).await;
        assert_eq!(report.status, Status::Complete, "{:?}", report.failures);
        let mut lost = 0;
        for name in ["small", "large"] {
            let head = async |place: &Place| {
                place.storage.head(&key(name), HeadOptions::new().tags(true)).await.unwrap().attributes
            };
            let (left, right) = (head(from).await, head(to).await);
            for attribute in left.present() {
                if !to.storage.capabilities().keeps(attribute) {
                    lost += 1;
                } else if attribute == Attribute::UserMetadata {
                    // A local disk adds the file's time and mode.
                    let kept =
                        left.user_metadata.iter().all(|(name, value)| right.user_metadata.get(name) == Some(value));
                    assert!(kept, "{} → {}: {left:?} became {right:?}", from.kind, to.kind);
                } else {
                    assert!(right.has(attribute), "{} → {}: {attribute:?} of {name}", from.kind, to.kind);
                }
            }
            let plain = |mut attributes: Attributes| {
                attributes.user_metadata.clear();
                attributes.tags =
                    if to.storage.capabilities().keeps(Attribute::Tags) { attributes.tags } else { BTreeMap::new() };
                attributes
            };
            assert_eq!(plain(left), plain(right), "{} → {}", from.kind, to.kind);
        }
        assert_eq!(report.metadata_lost > 0, lost > 0, "{} → {}", from.kind, to.kind);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_objects() {
    // The emulators are slow: fewer objects from them.
    let count = |kind: &str| if ["moto", "azurite", "fake-gcs"].contains(&kind) { 1000 } else { 5000 };
    let fill = async |source: &SharedStorage| {
        let puts = (0..count(&source.capabilities().preset)).map(|i| {
            let (source, name) = (source.clone(), key(&format!("{:02}/{i:04}", i % 13)));
            async move { source.write(&name, bytes(i, usize::try_from(i % 2000).unwrap())).await.unwrap() }
        });
        futures_util::stream::iter(puts).buffer_unordered(16).for_each(async |_| ()).await;
    };
    every_pair(fill, async |from, to| {
        let folder = Journals::new();
        let transfer = Transfer::builder().from(from.storage.clone()).to(to.storage.clone()).journal(folder.path());
        let report = transfer.build().unwrap().run().await.unwrap();
        let count = count(from.kind);
        assert_eq!((report.status, report.objects), (Status::Complete, count), "{:?}", report.failures.first());
        let manifest = report.manifest.unwrap();
        let found = verify(&manifest, &Location::from(to.storage.clone()), VerifyDepth::Full).await.unwrap();
        assert!(
            found.is_proven() && found.objects == count,
            "{} → {}: {:?}",
            from.kind,
            to.kind,
            found.problems.first()
        );
    })
    .await;
}

/// With a source of 64 MiB; `LEPTON_TEST_LARGE=1` makes it 1 GiB. moto reads the whole object
/// for each range, so only a few ranges are requested.
#[tokio::test(flavor = "multi_thread")]
async fn one_large_object() {
    let large = std::env::var("LEPTON_TEST_LARGE").is_ok_and(|value| value == "1");
    // The emulators of other clouds hold it in memory several times.
    let emulator = |kind: &str| ["azurite", "fake-gcs"].contains(&kind);
    let len = |kind: &str| if large && !emulator(kind) { 1 << 30 } else { 64 * MIB } + 5;
    let piece: Bytes = bytes(7, MIB + 1);
    let fill = async |source: &SharedStorage| {
        let len = len(&source.capabilities().preset);
        let pieces = (0..len / piece.len()).map(|_| piece.clone()).chain([piece.slice(..len % piece.len())]);
        let place = Place::fresh("memory").await;
        place.storage.put(&key("large"), Body::from_pieces(pieces), PutOptions::new()).await.unwrap();
        let transfer = Transfer::builder().from(place.storage.clone()).to(source.clone()).build().unwrap();
        assert_eq!(transfer.run().await.unwrap().status, Status::Complete);
    };
    every_pair(fill, async |from, to| {
        let len = len(from.kind);
        // Once from each store is enough.
        if len > 1 << 30 && (emulator(to.kind) || from.kind == to.kind) {
            return;
        }
        let part_size = if [from.kind, to.kind].contains(&"moto") { len.next_power_of_two() / 8 } else { 8 * MIB };
        let report = moved_in(from, to, part_size as u64).await;
        let what = format!("{} → {}: {:?}", from.kind, to.kind, report.failures);
        let moved = (report.status, report.bytes, report.bytes_read);
        assert_eq!(moved, (Status::Complete, len as u64, len as u64), "{what}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle() {
    let fill = async |source: &SharedStorage| {
        for i in 0..60 {
            source.write(&key(&format!("small/{i:02}")), bytes(i as u64, 1000 * i)).await.unwrap();
        }
        for i in 0..3 {
            source.write(&key(&format!("large/{i}")), bytes(100 + i as u64, 17 * MIB + i)).await.unwrap();
        }
    };
    every_pair(fill, async |from, to| {
        let folder = Journals::new();
        for after in [20, 60] {
            let (from, to, journal) = (from.storage.clone(), to.storage.clone(), folder.path().to_owned());
            let make = || Transfer::builder().from(from).to(to).journal(journal).server_copy(false);
            killed(make, std::time::Duration::from_millis(after)).await;
        }
        let transfer = Transfer::builder().from(from.storage.clone()).to(to.storage.clone()).server_copy(false);
        let report = transfer.journal(folder.path()).build().unwrap().run().await.unwrap();
        assert_eq!(report.status, Status::Complete, "{} → {}: {:?}", from.kind, to.kind, report.failures);
        let place = Location::from(to.storage.clone());
        let found = verify(report.manifest.as_ref().unwrap(), &place, VerifyDepth::Full).await.unwrap();
        assert!(found.is_proven() && found.objects == 63, "{} → {}: {:?}", from.kind, to.kind, found.problems);
        assert_same(from.storage.as_ref(), to.storage.as_ref()).await;
    })
    .await;
}
