//! The book names every option with its default, and every kind of error.

#![allow(clippy::unwrap_used, reason = "test")]

use lepton::{ErrorKind, TransferSettings};

#[test]
fn every_option_stands_in_the_book_with_its_default() {
    let page = include_str!("../docs/options.md");
    let defaults = serde_json::to_value(TransferSettings::default()).unwrap();
    for (name, default) in defaults.as_object().unwrap() {
        let row = format!("| `{name}` | `{default}` |");
        assert!(page.contains(&row), "docs/options.md lacks {row}");
    }
    // Those that are none by default: the error for an unknown name lists all.
    let error = serde_json::from_str::<TransferSettings>(r#"{"?": 1}"#).unwrap_err().to_string();
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
