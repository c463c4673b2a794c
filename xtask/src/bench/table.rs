//! Medians as Markdown, between the two markers of a set in `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use super::measure::{Row, Sample};
use super::programs::{Tool, Tools};
use super::set::{Set, Way};
use crate::process::{machine, root};

const PAGE: &str = "docs/benchmarks.md";
const END: &str = "<!-- end -->\n";

fn begin(command: &str) -> String {
    format!("<!-- written by `{command}` -->\n")
}

pub(super) fn write(set: &Set, rows: &[Row], tools: &Tools, rounds: usize) -> Result<()> {
    let ran = Tool::ALL.into_iter().filter(|tool| rows.iter().any(|row| row.tool == tool.name())).collect::<Vec<_>>();
    let mut text = format!("### {}\n\n", set.title);
    writeln!(text, "Medians of {rounds} rounds on {}; {}.", machine(), tools.versions(&ran)?)?;
    let head = if set.is_small() { "CPU-ms per object | objects a second" } else { "CPU-seconds per GiB | seconds" };
    writeln!(text, "\n| what | program | {head} | peak memory, MiB |\n|---|---|---:|---:|---:|")?;
    let mut last = "";
    for row in rows {
        let case = if row.case == last { "" } else { &row.case };
        last = &row.case;
        let case = case.strip_prefix(set.title).unwrap_or(case).trim_start_matches(", ");
        writeln!(text, "| {case} | {} | {} |", row.tool, cells(row, set.is_small()))?;
    }
    // If the last case has a distant server, it is the case with options of its own.
    let which = if set.way == Way::Far { "last" } else { "first" };
    writeln!(text, "\nThe options, as in the {which} case of each program:\n\n```console")?;
    for tool in ran {
        let mut cases = rows.iter().filter(|row| row.tool == tool.name() && !row.command.is_empty());
        let row = if set.way == Way::Far { cases.next_back() } else { cases.next() };
        row.map(|row| writeln!(text, "$ {}", without_folder(&row.command))).transpose()?;
    }
    text.push_str("```\n");
    println!("\n{text}");
    place(&format!("cargo xtask bench transfer --set {}", set.name), &text)
}

/// Puts a table between the markers of the command that wrote it.
pub(super) fn place(command: &str, text: &str) -> Result<()> {
    let page = root().join(PAGE);
    let old = fs::read_to_string(&page).with_context(|| format!("cannot read {PAGE}"))?;
    let new = replace(&old, command, text);
    let new = new.with_context(|| format!("{PAGE} lacks the mark {}", begin(command).trim_end()))?;
    fs::write(&page, new).with_context(|| format!("cannot write {PAGE}"))
}

/// The medians of wall-clock seconds, CPU seconds and MiB.
pub(super) fn medians(samples: &[Sample]) -> [f64; 3] {
    let of = |value: fn(&Sample) -> f64| median(samples.iter().map(value).collect());
    [of(|s| s.wall), of(|s| s.cpu), of(|s| s.memory)]
}

#[allow(clippy::cast_precision_loss, reason = "sizes of a benchmark are far below 2^53")]
fn cells(row: &Row, small: bool) -> String {
    let [wall, cpu, memory] = medians(&row.samples);
    if small {
        let objects = row.objects as f64;
        return format!("{:.3} | {:.0} | {memory:.0}", cpu * 1000.0 / objects, objects / wall);
    }
    let gib = row.bytes as f64 / f64::from(1 << 30);
    format!("{:.2} | {wall:.1} | {memory:.0}", cpu / gib)
}

/// The command without the folder of its program, which differs between machines.
pub(super) fn without_folder(command: &str) -> &str {
    let (program, _) = command.split_once(' ').unwrap_or((command, ""));
    &command[program.rfind('/').map_or(0, |slash| slash + 1)..]
}

/// The middle value, or the mean of the two middle values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

fn replace(page: &str, command: &str, text: &str) -> Option<String> {
    let begin = begin(command);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}{text}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_without_the_folder_of_the_program() {
        assert_eq!(without_folder("/cache/bin/rclone copy /a b:c"), "rclone copy /a b:c");
        assert_eq!(without_folder("rclone copy /a b:c"), "rclone copy /a b:c");
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn replaces_only_what_is_between_the_marks() {
        let (one, two) = (begin("one"), begin("two"));
        let page = |text| format!("a\n{one}kept\n{END}b\n{two}{text}\n{END}c\n");
        assert_eq!(replace(&page("old"), "two", "new\n"), Some(page("new")));
        assert_eq!(replace(&page("old"), "three", "new\n"), None);
    }
}
