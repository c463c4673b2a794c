//! A run reports its measurements under the names documented in the book.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lepton::{MemoryStorage, StorageExt as _, Transfer};
use support::*;

/// Collects the lines of the log.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Message and fields of the events of the target `lepton::metrics`.
fn events(log: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let lines = log.lines().filter_map(|line| line.split_once("lepton::metrics: "));
    let event = |(_, said): (&str, &str)| {
        let (message, fields) = said.split_once(' ').unwrap();
        let field = |field: &str| field.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        (message.to_owned(), fields.split(' ').filter_map(field).collect())
    };
    lines.map(event).collect()
}

#[tokio::test]
async fn what_was_measured_is_said_in_the_words_of_the_book() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
    let (from, to) = (MemoryStorage::new(), MemoryStorage::new());
    for (number, size) in [10, 20, MIB, 3 * MIB].into_iter().enumerate() {
        from.write(&key(&format!("k{number}")), bytes(1, size)).await.unwrap();
    }
    let transfer = Transfer::builder().from(Arc::new(from) as Arc<_>).to(Arc::new(to) as Arc<_>);
    let transfer = transfer.part_size(MIB as u64).server_copy(false).build().unwrap();
    let report = transfer.start().await.unwrap().watch(Duration::ZERO, |_| {}).await.unwrap();
    assert_eq!(report.objects, 4);
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let events = events(&log);
    let find = |message: &str, name: &str, value: &str| {
        let found =
            events.iter().find(|(said, fields)| said == message && fields.get(name).is_some_and(|v| v == value));
        found.map(|(_, fields)| fields.clone()).unwrap_or_else(|| panic!("no {message} {name}={value} in {log}"))
    };
    assert_eq!(find("requests", "operation", "\"put\"")["count"], "3");
    assert_eq!(find("requests", "operation", "\"part\"")["count"], "3");
    assert_eq!(find("objects", "count", "4")["p99_bytes"], (4 * MIB - 1).to_string());
    let totals = find("totals", "objects", "4");
    let bytes = (30 + 4 * MIB).to_string();
    assert_eq!((&totals["read_bytes"], &totals["sent_bytes"]), (&bytes, &bytes));
    assert!(events.iter().any(|(message, _)| message == "progress"), "{log}");
    let page = include_str!("../docs/observe.md");
    for (message, fields) in &events {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{message}` | "))).unwrap();
        for name in fields.keys() {
            assert!(row.contains(&format!("`{name}`")), "docs/observe.md: {message} lacks {name}");
        }
    }
}
