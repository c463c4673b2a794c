//! The specification of a migration: its three formats, their errors, and what is found in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod check;
mod parse;

use lepton_migrate::{Format, MigrationSpec};

const YAML: &str = include_str!("shop.yaml");
const JSON: &str = include_str!("shop.json");

/// The example of the book.
fn example() -> &'static str {
    let page = include_str!("../../../docs/migration-spec.md");
    page.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0
}

fn read(text: &str) -> MigrationSpec {
    MigrationSpec::parse(text, Format::Toml).unwrap()
}
