//! Medians as Markdown, between two marks of `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use super::measure::{Row, Sample};
use super::tools::Tools;
use crate::process::{machine, root};

const PAGE: &str = "docs/benchmarks.md";
const BEGIN: &str = "<!-- written by `cargo xtask bench transfer` -->\n";
const END: &str = "<!-- end -->\n";

pub(super) fn write(rows: &[Row], tools: &Tools, rounds: usize) -> Result<()> {
    let mut text = format!("Medians of {rounds} rounds on {}; {}.\n", machine(), tools.versions()?.join(", "));
    text.push_str(
        "\n| what | program | CPU-seconds per GiB | seconds | peak memory, MiB |\n|---|---|---:|---:|---:|\n",
    );
    let mut last = "";
    for row in rows {
        let case = if row.case == last { "" } else { &row.case };
        last = &row.case;
        writeln!(text, "| {case} | {} | {} |", row.tool, cells(row))?;
    }
    println!("\n{text}");
    let page = root().join(PAGE);
    let old = fs::read_to_string(&page).with_context(|| format!("cannot read {PAGE}"))?;
    let new = replace(&old, &text).with_context(|| format!("{PAGE} lacks the marks of the table"))?;
    fs::write(&page, new).with_context(|| format!("cannot write {PAGE}"))
}

#[allow(clippy::cast_precision_loss, reason = "sizes of a benchmark are far below 2^53")]
fn cells(row: &Row) -> String {
    let of = |value: fn(&Sample) -> f64| median(row.samples.iter().map(value).collect());
    let gib = row.bytes as f64 / f64::from(1 << 30);
    format!("{:.2} | {:.1} | {:.0}", of(|s| s.cpu) / gib, of(|s| s.wall), of(|s| s.memory))
}

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

fn replace(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{text}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn replaces_only_what_is_between_the_marks() {
        let page = format!("a\n{BEGIN}old\n{END}b\n");
        assert_eq!(replace(&page, "new\n"), Some(format!("a\n{BEGIN}new\n{END}b\n")));
        assert_eq!(replace("a\n", "new\n"), None);
    }
}
