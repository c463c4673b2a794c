//! Names that change on the way: a synchronisation with rules does what one without does
//! whose source has the new names, and two objects never share one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use lepton_core::{
    Capabilities, DeleteRequest, ErrorKind, KeyHandling, Location, MemoryStorage, ObjectKey, Storage as _,
    StorageExt as _,
};
use lepton_data::{
    ComparedBy, ExistingPolicy, Filters, ManifestReader, PlannedAction, PrefixMap, Reason, Report, Status,
    TransferBuilder, VerifyDepth, verify,
};
use proptest::prelude::*;
use support::*;

fn rules(rules: &[(&str, &str)]) -> Vec<PrefixMap> {
    rules.iter().map(|(from, to)| PrefixMap::new(*from, *to)).collect()
}

fn mirror(from: &MemoryStorage, to: &MemoryStorage, map: &[(&str, &str)]) -> TransferBuilder {
    let builder = transfer(shared(from), shared(to)).existing(ExistingPolicy::IfDifferent);
    builder.delete(true).max_delete_percent(100).map(rules(map))
}

async fn run(builder: TransferBuilder) -> Report {
    builder.build().unwrap().run().await.unwrap()
}

async fn names(store: &MemoryStorage) -> Vec<String> {
    list(store).await.iter().map(|meta| meta.key.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_under_other_names_copies_once_and_deletes_by_the_new_names() {
    let (from, to) = stores();
    fill(&from, &[("a", 1), ("old/b", 20), ("old/deep/c", 3 * MIB), ("older", 40), ("z", 5)]).await;
    fill(&to, &[("new/b", 20), ("new/gone", 1), ("old/b", 1)]).await;
    let folder = tempfile::tempdir().unwrap();
    let map = [("old/deep/", "0/"), ("old/", "new/")];
    let build = || mirror(&from, &to, &map).journal(folder.path());
    let report = run(build()).await;
    assert_eq!((report.status, report.objects, report.extras, report.deleted), (Status::Complete, 5, 2, 2));
    assert_eq!(names(&to).await, ["0/c", "a", "new/b", "older", "z"]);
    assert_eq!(to.read(&key("0/c"), u64::MAX).await.unwrap(), bytes(3, 3 * MIB));
    let manifest = report.manifest.unwrap();
    let lines: Vec<_> = ManifestReader::open(&manifest).unwrap().map(Result::unwrap).collect();
    let renamed: BTreeMap<String, String> =
        lines.into_iter().filter_map(|line| Some((line.source_key?.to_string(), line.key.to_string()))).collect();
    assert_eq!(renamed, [("old/b", "new/b"), ("old/deep/c", "0/c")].map(|(a, b)| (a.into(), b.into())).into());
    assert!(verify(&manifest, &Location::from(shared(&to)), VerifyDepth::Full).await.unwrap().is_proven());
    let report = run(build().compare(lepton_data::Compare::Checksum)).await;
    assert_eq!((report.objects, report.unchanged, report.extras), (0, 5, 0), "the second run copies nothing");
    from.delete(vec![DeleteRequest::new(key("old/b"))]).await.unwrap().check().unwrap();
    assert_eq!(run(build()).await.deleted, 1);
    assert_eq!(names(&to).await, ["0/c", "a", "older", "z"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_objects_that_would_share_a_name_are_an_error_and_nothing_is_touched() {
    let (from, to) = stores();
    fill(&from, &[("a", 1), ("new/x", 2), ("old/x", 3)]).await;
    fill(&to, &[("extra", 1), ("new/x", 9)]).await;
    let build = || mirror(&from, &to, &[("old/", "new/")]);
    let planned = build().build().unwrap().plan().try_collect::<Vec<_>>().await.unwrap_err();
    let ended = build().build().unwrap().run().await.unwrap_err();
    for error in [planned, ended] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let said = error.to_string();
        assert!(said.contains("new/x and old/x would both be new/x") || said.contains("old/x and new/x"), "{said}");
    }
    assert_eq!(names(&to).await, ["extra", "new/x"]);
    assert_eq!(to.read(&key("new/x"), 100).await.unwrap(), bytes(2, 9));
    // Filters go by the names at the source: with one left out, the other has the name.
    for (left_out, size) in [("/new/", 3), ("/old/", 2)] {
        let report = run(build().delete(false).filters(Filters::new().exclude(left_out))).await;
        assert_eq!((report.status, report.objects), (Status::Complete, if size == 3 { 2 } else { 1 }), "{left_out}");
        assert_eq!(to.read(&key("new/x"), 100).await.unwrap().len(), size);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_filters_leave_out_is_not_deleted_under_its_new_name() {
    let (from, to) = stores();
    fill(&from, &[("old/a", 1), ("old/tmp/b", 1)]).await;
    fill(&to, &[("new/c", 1), ("new/tmp/b", 9), ("new/tmp/gone", 1), ("old/d", 1)]).await;
    let report = run(mirror(&from, &to, &[("old/", "new/")]).filters(Filters::new().exclude("/old/tmp/"))).await;
    assert_eq!((report.objects, report.deleted), (1, 2));
    assert_eq!(names(&to).await, ["new/a", "new/tmp/b", "new/tmp/gone"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_under_other_names_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("a", 100), ("m", 100), ("x/1", 100), ("x/2", 100), ("z", 100)]).await;
    fill(&to, &[("b/3", 1), ("q", 1)]).await;
    let build = |map| mirror(&from, &to, map).journal(folder.path());
    let map = [("x/", "b/")];
    let report = run(build(&map).max_transfer(Some(250))).await;
    assert_eq!((report.status, report.objects, report.deleted), (Status::Limited, 3, 0));
    assert_eq!(names(&to).await, ["a", "b/1", "b/2", "b/3", "q"], "in the order of the new names");
    let error = build(&[]).build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PlanMismatch);
    // It finds what it would delete, may not, and one of them has a source by then.
    let error = build(&map).max_delete_percent(0).build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyDeletes);
    from.write(&key("x/3"), bytes(1, 1)).await.unwrap();
    let report = run(build(&map)).await;
    assert_eq!((report.status, report.objects, report.resumed_objects), (Status::Complete, 5, 5));
    assert_eq!((report.extras, report.deleted, report.bytes_read, report.unchanged), (1, 1, 0, 1));
    assert_eq!(names(&to).await, ["a", "b/1", "b/2", "b/3", "m", "z"]);
}

/// More than fits into memory at once, in the opposite order.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_are_sorted_on_disk_and_counted_once() {
    const EACH: u64 = 3000;
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    for number in 0..EACH {
        for name in ["a", "b"] {
            from.write(&key(&format!("{name}/{number:04}")), bytes(number, 3)).await.unwrap();
        }
    }
    let build = || {
        let transfer = transfer(shared(&from), shared(&to)).map(rules(&[("a/", "y/"), ("b/", "x/")]));
        transfer.memory(4 * MIB as u64).journal(folder.path())
    };
    let report = run(build().max_transfer(Some(3 * EACH + 300))).await;
    assert_eq!((report.status, report.objects), (Status::Limited, EACH + 100));
    let handle = build().build().unwrap().start().await.unwrap();
    while handle.progress().objects < 2 * EACH {
        pause(5).await;
    }
    let progress = handle.progress();
    assert_eq!((progress.total_objects, progress.total_bytes), (2 * EACH, 6 * EACH));
    assert_eq!(handle.wait().await.unwrap().resumed_objects, EACH + 100);
    let expected = ["x", "y"].into_iter().flat_map(|name| (0..EACH).map(move |number| format!("{name}/{number:04}")));
    assert_eq!(names(&to).await, expected.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_saved_plans_know_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("in/b", 1), ("in/old/a", 2), ("in/new/a", 3), ("in/old/c", 4)]).await;
    let place = |store: &MemoryStorage, path: &str| Location::new(shared(store), path);
    let build = || {
        let transfer = lepton_data::Transfer::builder().from(place(&from, "in")).to(place(&to, "out"));
        transfer.map(rules(&[("old/", "new/")]))
    };
    let list = folder.path().join("list");
    std::fs::write(&list, "old/c\nb\nold/a\nold/c\n").unwrap();
    let report = run(build().from_list(&list)).await;
    assert_eq!((report.status, report.objects), (Status::Complete, 3));
    assert_eq!(names(&to).await, ["out/b", "out/new/a", "out/new/c"]);
    std::fs::write(&list, "old/c\nnew/a\nold/a\n").unwrap();
    let error = build().from_list(&list).build().unwrap().run().await.unwrap_err();
    assert!(error.to_string().contains("would both be out/new/a at the destination"), "{error}");
    from.delete(vec![DeleteRequest::new(key("in/new/a"))]).await.unwrap().check().unwrap();
    from.write(&key("in/old/c"), bytes(9, 40)).await.unwrap();
    fill(&to, &[("out/0", 1), ("out/old/c", 1)]).await;
    let plan = folder.path().join("plan");
    let mirror = || build().existing(ExistingPolicy::IfDifferent).delete(true).max_delete_percent(100);
    let summary = mirror().build().unwrap().save_plan(&plan).await.unwrap();
    assert_eq!((summary.copies, summary.unchanged, summary.deletes), (1, 2, 2));
    let error = mirror().map(Vec::new()).saved_plan(&plan).build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PlanMismatch);
    let report = run(mirror().saved_plan(&plan)).await;
    assert_eq!((report.status, report.objects, report.deleted), (Status::Complete, 1, 2));
    assert_eq!(names(&to).await, ["out/b", "out/new/a", "out/new/c"]);
    assert_eq!(to.read(&key("out/new/c"), 100).await.unwrap(), bytes(9, 40));
}

/// A store that cannot hold much, as a disk is.
fn strict(segment: usize) -> MemoryStorage {
    let mut can = Capabilities::everything("strict");
    can.versions = lepton_core::Support::Unsupported;
    can.keys.utf8_only = true;
    can.keys.empty_segments = KeyHandling::Refused;
    can.keys.dot_segments = KeyHandling::Refused;
    can.keys.leading_slash = KeyHandling::Refused;
    can.keys.trailing_slash = KeyHandling::Refused;
    can.keys.max_segment_bytes = segment;
    MemoryStorage::builder().capabilities(can).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_a_destination_cannot_hold_go_there_and_back() {
    let (from, to, back) = (MemoryStorage::new(), strict(255), MemoryStorage::new());
    let objects = [("/lead", 1), ("100%", 20), ("a//b", 3), ("dir/", 0), ("plain", 5), ("x/../y", 100), ("z", 70)];
    fill(&from, &objects).await;
    let report = run(mirror(&from, &to, &[])).await;
    assert_eq!((report.status, report.objects), (Status::Incomplete, 3));
    let mut refused: Vec<String> = report.failures.iter().map(|failure| failure.key.to_string()).collect();
    refused.sort();
    assert_eq!(refused, ["/lead", "a//b", "x/../y"], "by name");
    assert_eq!(report.passed_over.folder_markers, 1);
    let folder = tempfile::tempdir().unwrap();
    let build = || mirror(&from, &to, &[]).encode_keys(true).journal(folder.path());
    // It ends on the way, and goes on.
    let report = run(build().max_transfer(Some(1))).await;
    assert_eq!(report.status, Status::Limited);
    let done = report.objects;
    let report = run(build()).await;
    assert_eq!((report.status, report.objects + report.unchanged), (Status::Complete, 7), "{:?}", report.failures);
    assert!(report.resumed_objects >= done, "{report:?}");
    let expected = ["%2Flead", "100%25", "a/%2Fb", "dir%2F", "plain", "x/%2E%2E/y", "z"];
    let found = list(&to).await.into_iter().map(|meta| meta.key.as_str().unwrap().to_owned());
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let manifest = report.manifest.unwrap();
    assert!(verify(&manifest, &Location::from(shared(&to)), VerifyDepth::Full).await.unwrap().is_proven());
    let report = run(build()).await;
    assert_eq!((report.objects, report.unchanged, report.extras), (0, 7, 0), "the second run copies nothing");
    from.delete(vec![DeleteRequest::new(key("a//b"))]).await.unwrap().check().unwrap();
    assert_eq!(run(build()).await.deleted, 1);
    assert!(!to.exists(&ObjectKey::new("a/%2Fb").unwrap()).await.unwrap());
    let home = || mirror(&to, &back, &[]).decode_keys(true);
    assert_eq!(run(home()).await.status, Status::Complete);
    assert_same(&from, &back).await;
    assert_eq!(run(home()).await.unchanged, 6);
}

/// What a record of the journal means hangs on how its key was written.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_belongs_to_the_key_rules() {
    let from = MemoryStorage::new();
    fill(&from, &[("a", 10), ("b", 10)]).await;
    let folder = tempfile::tempdir().unwrap();
    let to = strict(255);
    let report = run(mirror(&from, &to, &[]).encode_keys(true).max_transfer(Some(1)).journal(folder.path())).await;
    assert_eq!(report.status, Status::Limited);
    let error = mirror(&from, &to, &[]).journal(folder.path()).build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PlanMismatch);
    assert!(error.to_string().contains("max_segment_bytes"), "{error}");
}

/// An object that is named instead of a folder is written for the destination too.
#[tokio::test(flavor = "multi_thread")]
async fn one_object_is_encoded_as_a_folder_is() {
    let (from, to) = (MemoryStorage::new(), strict(255));
    fill(&from, &[("in//100%", 10)]).await;
    let source = Location::new(shared(&from), "in//100%");
    let transfer = lepton_data::Transfer::builder().from(source).to(Location::new(shared(&to), "out"));
    let report = run(transfer.encode_keys(true)).await;
    assert_eq!((report.status, report.objects), (Status::Complete, 1), "{:?}", report.failures);
    assert_eq!(list(&to).await[0].key.as_str(), Some("out/100%25"));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Names that rules move about, and that often meet.
fn objects() -> impl Strategy<Value = BTreeMap<String, u8>> {
    proptest::collection::btree_map("[ab]{1,2}([-/][ab]){0,2}", 0u8..3, 0..10)
}

fn some_rules() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::vec(("([ab]{1,2}[-/]?)?", "([abc]{1,2}[-/]?)?"), 1..4)
}

/// The new name, written down once more.
fn new_name(name: &str, rules: &[(String, String)]) -> String {
    for (from, to) in rules {
        if name.len() >= from.len() && name[..from.len()] == from[..] {
            let new = to.clone() + &name[from.len()..];
            if !new.is_empty() {
                return new;
            }
        }
    }
    name.to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the two sides hold and the rules say, a mirror does what the difference
    /// of the renamed source and the destination asks for, or names two that meet.
    #[test]
    fn a_mirror_does_what_the_renamed_source_asks(ours in objects(), theirs in objects(), map in some_rules()) {
        let pairs: Vec<(&str, &str)> = map.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        let hidden = |(i, (from, _)): (usize, &(&str, &str))| pairs[..i].iter().any(|(before, _)| from.starts_with(before));
        prop_assume!(!pairs.iter().enumerate().any(hidden));
        runtime().block_on(async {
            let (from, to) = stores();
            for (store, objects) in [(&from, &ours), (&to, &theirs)] {
                for (name, seed) in objects {
                    store.write(&key(name), bytes(u64::from(*seed) + 1, 8)).await.unwrap();
                }
            }
            let mut model: BTreeMap<String, (String, u8)> = BTreeMap::new();
            let mut meet = false;
            for (name, seed) in &ours {
                meet |= model.insert(new_name(name, &map), (name.clone(), *seed)).is_some();
            }
            let planned = mirror(&from, &to, &pairs).build().unwrap().plan().try_collect::<Vec<_>>().await;
            if meet {
                let before = names(&to).await;
                for error in [planned.unwrap_err(), mirror(&from, &to, &pairs).build().unwrap().run().await.unwrap_err()] {
                    assert!(error.to_string().contains("would both be"), "{error}");
                }
                assert_eq!(names(&to).await, before);
                return;
            }
            let mut expected: BTreeMap<String, (Option<String>, PlannedAction)> = BTreeMap::new();
            for (target, (name, seed)) in &model {
                let copy = |reason| PlannedAction::Copy { reason, parts: 1, part_size: MIB as u64 };
                expected.insert(target.clone(), (Some(name.clone()), match theirs.get(target) {
                    None => copy(Reason::New),
                    Some(other) if other == seed => PlannedAction::Unchanged { by: ComparedBy::Etag },
                    Some(_) => copy(Reason::Etag),
                }));
            }
            for name in theirs.keys().filter(|name| !model.contains_key(*name)) {
                expected.insert(name.clone(), (None, PlannedAction::Delete));
            }
            let found: Vec<_> = planned.unwrap().into_iter().map(|planned| {
                (planned.key.to_string(), (planned.source.map(|source| source.key.to_string()), planned.action))
            }).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
            assert_eq!(run(mirror(&from, &to, &pairs)).await.status, Status::Complete);
            assert_eq!(names(&to).await, model.keys().cloned().collect::<Vec<_>>());
            for (target, (_, seed)) in &model {
                assert_eq!(to.read(&key(target), 100).await.unwrap(), bytes(u64::from(*seed) + 1, 8));
            }
            let again = run(mirror(&from, &to, &pairs)).await;
            assert_eq!((again.objects, again.extras, again.unchanged), (0, 0, model.len() as u64));
        });
    }
}
