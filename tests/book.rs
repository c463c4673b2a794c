//! The book documents every option with its default, every error kind, and every field of a
//! report.

#![allow(clippy::unwrap_used, reason = "test")]

use std::collections::BTreeSet;
use std::sync::Arc;

use lepton::{ErrorKind, MemoryStorage, ObjectKey, StorageExt as _, Transfer, TransferConfig};
use serde_json::{Value, json};

#[test]
fn every_option_stands_in_the_book_with_its_default() {
    let page = include_str!("../docs/options.md");
    let defaults = serde_json::to_value(TransferConfig::default()).unwrap();
    for (name, default) in defaults.as_object().unwrap() {
        let row = format!("| `{name}` | `{default}` |");
        assert!(page.contains(&row), "docs/options.md lacks {row}");
    }
    // Options without a default: the error for an unknown name lists all options.
    let error = serde_json::from_str::<TransferConfig>(r#"{"?": 1}"#).unwrap_err().to_string();
    let known: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
    assert!(known.len() > 15, "{error}");
    for name in known {
        assert!(page.contains(&format!("| `{name}` | ")), "docs/options.md lacks {name}");
    }
}

#[test]
fn every_kind_of_error_stands_in_the_book() {
    let page = include_str!("../docs/errors.md");
    for kind in ErrorKind::ALL {
        assert!(page.contains(&format!("\n| `{}` | ", kind.code())), "docs/errors.md lacks {kind}");
    }
}

/// The names in the first column of the table under this heading of a page.
fn documented(page: &str, heading: &str) -> BTreeSet<String> {
    let section = page.split("\n## ").find_map(|section| section.strip_prefix(heading)).unwrap();
    section.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect()
}

fn fields(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

/// A report omits no field, so any run shows all of them.
#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_report_stands_in_the_book_and_no_other() {
    let page = include_str!("../docs/formats/report.md");
    let (from, to) = (MemoryStorage::new(), MemoryStorage::new());
    from.write(&ObjectKey::try_from("a").unwrap(), "abc".into()).await.unwrap();
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), "a\nmissing\n").unwrap();
    let transfer = Transfer::builder().from(Arc::new(from) as Arc<_>).to(Arc::new(to) as Arc<_>);
    let handle = transfer.from_list(list.path()).build().unwrap().start().await.unwrap();
    let progress = json!(handle.progress());
    let report = json!(handle.wait().await.unwrap());
    assert_eq!(report["failures_by_kind"], json!({ "not_found": 1 }));
    for (heading, value) in [
        ("Report\n", &report),
        ("A failure\n", &report["failures"][0]),
        ("A slow object\n", &report["slowest"][0]),
        ("Progress\n", &progress),
    ] {
        assert_eq!(documented(page, heading), fields(value), "docs/formats/report.md: {heading}");
    }
}
