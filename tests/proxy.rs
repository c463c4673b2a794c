//! Real servers behind a proxy that injects faults into single requests: whatever happens in
//! between, the objects arrive intact, nothing is left over, and implausible answers are
//! refused.
//!
//! The servers are real and the faults are injected into HTTP; the proxy simulates a broken
//! network.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lepton::core::{ChecksumAlgorithm, ChecksumScope, DeleteRequest, HeadOptions, StoredChecksum};
use lepton::data::{ManifestReader, SourceCheck};
use lepton::providers::s3::Preset;
use lepton::{
    ErrorKind, Location, Report, Result, SharedStorage, Status, StorageExt as _, Transfer, VerifyDepth, verify,
};
use lepton_s3_front::{Action, Failure, Hooks, Moment, RequestInfo, Rule, ScriptedHooks};
use support::journals::Journals;
use support::places::servers;
use support::proxied::Proxied;
use support::*;

/// The servers that check what they receive; moto does not.
fn strict() -> Vec<(&'static str, Preset, String)> {
    servers().into_iter().filter(|(kind, ..)| *kind != "moto").collect()
}

/// The operations of a transfer at a destination and at a source.
const WRITES: [&str; 4] = ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"];
const READS: [&str; 2] = ["ListObjectsV2", "GetObject"];

fn resets() -> [Action; 3] {
    [Moment::BeforeReading, Moment::BeforeEffect, Moment::AfterEffect].map(Action::Reset)
}

fn refusals() -> [Action; 5] {
    [
        Action::Fail(Failure::slow_down()),
        Action::Fail(Failure::slow_down().retry_after(1)),
        Action::Fail(Failure::new(429, "TooManyRequests").retry_after(0)),
        Action::Fail(Failure::new(500, "InternalError")),
        Action::Stall,
    ]
}

async fn fill(store: &SharedStorage) {
    store.write(&key("empty"), bytes(1, 0)).await.unwrap();
    store.write(&key("small"), bytes(1, 70_000)).await.unwrap();
    store.write(&key("large"), bytes(2, 17 * MIB + 1)).await.unwrap();
}

/// Hooks that can be changed while the proxy runs.
struct Current(Mutex<Arc<ScriptedHooks>>);

impl Hooks for Current {
    fn on_request(&self, request: &RequestInfo) -> Action {
        let hooks = Arc::clone(&self.0.lock().unwrap());
        hooks.on_request(request)
    }
}

/// Two buckets of one server behind the same proxy; all bytes pass through this process.
struct Between {
    from: Proxied,
    to: Proxied,
    hooks: Arc<Current>,
    folder: Journals,
}

impl Between {
    async fn new(preset: Preset, endpoint: &str) -> Self {
        let hooks = Arc::new(Current(Mutex::new(Arc::new(ScriptedHooks::new(1)))));
        let from = Proxied::fresh(preset, endpoint, Arc::clone(&hooks) as Arc<_>).await;
        let to = Proxied::fresh(preset, endpoint, Arc::clone(&hooks) as Arc<_>).await;
        fill(&from.direct).await;
        Self { from, to, hooks, folder: Journals::new() }
    }

    async fn moved(&self) -> Result<Report> {
        let transfer = Transfer::builder().from(self.from.store()).to(self.to.store()).server_copy(false);
        transfer.journal(self.folder.path()).build()?.run().await
    }

    /// Moves all objects while `action` applies to the next two requests of `operation`.
    async fn despite(&self, name: &str, rule: Rule, action: Action) -> Report {
        for object in contents(self.to.direct.as_ref()).await {
            self.to.direct.delete(vec![DeleteRequest::new(object.0.key)]).await.unwrap().check().unwrap();
        }
        let hooks = Arc::new(ScriptedHooks::new(1).rule(rule.clone().times(2), action.clone()));
        *self.hooks.0.lock().unwrap() = Arc::clone(&hooks);
        let report = self.moved().await;
        let report = report.unwrap_or_else(|error| panic!("{name}: {rule:?}: {action:?}: {}", error.full_message()));
        assert!(hooks.fired()[0] > 0, "{name}: {rule:?}: {action:?} never took place");
        let what = format!("{name}: {rule:?}: {action:?}: {:?}", report.failures);
        println!("{name}: {action:?}: {} retries", report.retries);
        assert_eq!((report.status, report.objects), (Status::Complete, 3), "{what}");
        assert_same(self.from.direct.as_ref(), self.to.direct.as_ref()).await;
        assert_no_uploads(self.to.direct.as_ref(), "large").await;
        let place = Location::from(self.to.direct.clone());
        let found = verify(report.manifest.as_ref().unwrap(), &place, VerifyDepth::Full).await.unwrap();
        assert!(found.is_proven(), "{what}: {:?}", found.problems);
        report
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_reset_or_never_answered_is_asked_again() {
    for (name, preset, endpoint) in strict() {
        let between = Between::new(preset, &endpoint).await;
        for operation in READS.into_iter().chain(WRITES) {
            for action in resets().into_iter().chain(refusals()) {
                let report = between.despite(name, Rule::on(operation), action.clone()).await;
                // A look at the destination shows that the upload is complete.
                let looked = operation == "CompleteMultipartUpload" && is_lost_reply(&action);
                assert!(report.retries > 0 || looked, "{name}: {operation}: {action:?} went unseen");
            }
        }
    }
}

fn is_lost_reply(action: &Action) -> bool {
    matches!(action, Action::Reset(Moment::AfterEffect))
}

/// Except the creation of an upload: twice, it makes two uploads, of which the client knows
/// one, and the other could belong to another client.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_twice_is_one_object() {
    for (name, preset, endpoint) in strict() {
        let between = Between::new(preset, &endpoint).await;
        for operation in READS.into_iter().chain(WRITES).filter(|operation| *operation != "CreateMultipartUpload") {
            let _ = between.despite(name, Rule::on(operation), Action::Twice).await;
        }
        let rule = Rule::on("CompleteMultipartUpload");
        let _ = between.despite(name, rule, Action::FailInside("InternalError")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_seen_in_either_direction() {
    for (name, preset, endpoint) in strict() {
        let between = Between::new(preset, &endpoint).await;
        for object in ["small", "large"] {
            let rule = Rule::on("GetObject").key(object);
            for action in [Action::Truncate(50_000), Action::Shorten(50_000), Action::StallAfter(50_000)] {
                let report = between.despite(name, rule.clone(), action.clone()).await;
                assert!(report.retries > 0, "{name}: {object}: {action:?} went unseen");
            }
            let slow = Action::Trickle(200_000, Duration::from_millis(2));
            let _ = between.despite(name, rule.clone(), slow).await;
        }
        let report = between.despite(name, Rule::on("GetObject").key("large"), Action::Shift(1)).await;
        assert!(report.retries > 0, "{name}: another range went unseen");
        let report = between.despite(name, Rule::on("GetObject").key("small"), Action::Flip(50_000)).await;
        assert!(report.retries > 0, "{name}: a wrong byte of GetObject went unseen");
        for operation in ["PutObject", "UploadPart"] {
            let report = between.despite(name, Rule::on(operation), Action::FlipRequest(50_000)).await;
            assert!(report.retries > 0, "{name}: a wrong byte of {operation} went unseen");
        }
    }
}

/// Without TLS, and where the server reports no checksum of a multipart object, a wrong byte
/// read from the source cannot be detected. The manifest records that.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_vouches_for_is_said() {
    for (name, preset, endpoint) in strict() {
        let between = Between::new(preset, &endpoint).await;
        let report = between.moved().await.unwrap();
        for entry in ManifestReader::open(report.manifest.as_ref().unwrap()).unwrap() {
            let entry = entry.unwrap();
            let info = between.from.direct.head(&entry.key, HeadOptions::new()).await.unwrap();
            // An MD5 helps only with objects that are read in one piece.
            let tells = |stored: &StoredChecksum| stored.algorithm != ChecksumAlgorithm::Md5 || entry.parts.is_empty();
            let stated = info.meta.checksums.iter().any(|stored| stored.scope == ChecksumScope::Full && tells(stored));
            let check = if stated { SourceCheck::Stored } else { SourceCheck::None };
            assert_eq!(entry.source_check, check, "{name}: {}: {:?}", entry.key, info.meta.checksums);
        }
    }
}

type Rewrite = fn(&str) -> String;

/// A listing out of the order that S3 guarantees, or without an end.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_cannot_be_right_is_refused_and_nothing_is_deleted() {
    let faults: [(&str, Rewrite); 3] =
        [("repeats a key", twice), ("goes back", backwards), ("does not say how it goes on", endless)];
    for (name, preset, endpoint) in strict() {
        for (what, fault) in faults {
            let between = Between::new(preset, &endpoint).await;
            between.to.direct.write(&key("extra"), bytes(3, 10)).await.unwrap();
            let hooks = Arc::new(ScriptedHooks::new(1).rule(Rule::on("ListObjectsV2"), Action::Rewrite(fault)));
            let from = Proxied::fresh(preset, &endpoint, Arc::clone(&hooks) as Arc<_>).await;
            fill(&from.direct).await;
            let transfer = Transfer::builder().from(from.store()).to(between.to.store()).delete(true);
            let transfer = transfer.max_delete_percent(100).server_copy(false);
            let error = match transfer.build().unwrap().run().await {
                Err(error) => error,
                Ok(report) => panic!("{name}: a listing that {what} ended {:?}", report.status),
            };
            assert!(hooks.fired()[0] > 0, "{name}: {what}");
            assert_eq!(error.kind(), ErrorKind::Unexpected, "{name}: {what}: {}", error.full_message());
            println!("{name}: a listing that {what}: {}", error.full_message());
            let left = between.to.direct.read(&key("extra"), 100).await.unwrap();
            assert_eq!(left, bytes(3, 10), "{name}: {what}");
        }
    }
}

/// Repeats the first entry.
fn twice(page: &str) -> String {
    let Some((_, rest)) = page.split_once("<Contents>") else { return page.to_owned() };
    let (entry, _) = rest.split_once("</Contents>").unwrap();
    let entry = format!("<Contents>{entry}</Contents><Contents>");
    page.replacen("<Contents>", &entry, 1)
}

/// Moves the last entry to the front.
fn backwards(page: &str) -> String {
    let Some(last) = page.rfind("<Contents>") else { return page.to_owned() };
    let end = page[last..].find("</Contents>").unwrap() + last + "</Contents>".len();
    let entry = page[last..end].to_owned();
    let rest = format!("{}{}", &page[..last], &page[end..]);
    rest.replacen("<Contents>", &format!("{entry}<Contents>"), 1)
}

/// Reports more entries, but no token to request them.
fn endless(page: &str) -> String {
    page.replace("<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated>")
}
