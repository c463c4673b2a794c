//! Runs the conformance suite on every kind of store, and compares the results with the table
//! in the book. `LEPTON_TEST_WRITE=1` updates the table.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures_util::StreamExt as _;
use lepton::core::SystemRuntime;
use lepton::core::conformance::{Options, Outcome, Report, run};
use lepton::providers::layers::{RetryConfig, retry};
use support::places::{Place, kinds, missing, reading, wrong};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/conformance.md");
const MARK: &str = "<!-- written by `LEPTON_TEST_WRITE=1 cargo xtask test tests` -->\n";

/// These servers go on with a dropped request while the next one arrives, so that its effect
/// depends on timing: moto in general, versitygw while it completes an upload.
const VARIES: [(&str, &str); 3] = [
    ("versitygw", "interruptions/an_upload_that_is_dropped_leaves_nothing_unlisted"),
    ("moto", "interruptions/an_upload_that_is_dropped_leaves_nothing_unlisted"),
    ("moto", "interruptions/a_listing_during_writes_has_all_that_stays"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_table_in_the_book_is_what_the_suite_finds() {
    let kinds = kinds();
    let mut cases: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    // Two at a time: most of the time is spent waiting.
    let reports = futures_util::stream::iter(kinds.clone()).map(report).buffered(2);
    for (kind, report) in kinds.iter().zip(reports.collect::<Vec<_>>().await) {
        for (name, why) in report.failures() {
            println!("{kind}: {name}: {why}");
        }
        for case in &report.cases {
            cases.entry(case.name).or_default().push(match case.outcome {
                _ if VARIES.contains(&(*kind, case.name)) => "varies",
                Outcome::Passed => "holds",
                Outcome::NotApplicable(_) => "",
                _ => "**fails**",
            });
        }
    }
    let expected = table(&kinds, &cases);
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (head, written) = page.split_once(MARK).unwrap();
    if std::env::var("LEPTON_TEST_WRITE").is_ok_and(|value| value == "1") {
        std::fs::write(PAGE, [head, MARK, &expected].concat()).unwrap();
    } else if kinds.len() < 8 {
        println!("skipped: not every server of the table is there");
    } else {
        assert_eq!(written, expected, "LEPTON_TEST_WRITE=1 writes the table anew");
    }
}

/// The suite's findings about a fresh store.
async fn report(kind: &'static str) -> Report {
    let place = Place::fresh(kind).await;
    let mut options = Options::new();
    options.missing_bucket = missing(kind).await;
    // moto does not check credentials.
    options.wrong_credentials = wrong(kind).filter(|_| kind != "moto");
    options.read_only = reading(kind).await;
    options.copier = Some(place.storage.clone());
    // A server may close an idle connection at any time, even as it is being reused.
    let storage = retry(place.storage.clone(), RetryConfig::default(), SystemRuntime::shared()).unwrap();
    let report = run(&storage, options).await;
    place.clear().await;
    report
}

fn table(kinds: &[&str], cases: &BTreeMap<&str, Vec<&str>>) -> String {
    let mut text = format!("| case | {} |\n|---|{}\n", kinds.join(" | "), "---|".repeat(kinds.len()));
    for (name, outcomes) in cases {
        writeln!(text, "| {} | {} |", name.replace('_', " "), outcomes.join(" | ")).unwrap();
    }
    text
}
