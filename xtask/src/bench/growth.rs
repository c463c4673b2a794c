//! `cargo xtask bench growth`: Lepton moves increasing numbers of small objects, to show
//! whether the time grows with their number and the memory does not. Source and destination are
//! buckets of the synthetic server, a single process that is not measured.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::floor::executable;
use super::measure;
use super::programs::{Tool, Tools, credentials};
use super::synthetic::{Journal, Synthetic};
use super::table::{self, without_folder};
use crate::process::{machine, output, program, root, shown};

// Shared with the tests; it has no dependencies.
#[allow(unreachable_pub, reason = "it belongs to the tests of the root package")]
#[path = "../../../tests/support/limited.rs"]
mod limited;
use limited::Limited;

const NUMBERS: [u64; 3] = [10_000, 100_000, 1_000_000];
/// Bytes of each object.
const SIZE: u64 = 64;
const MIB: usize = 1 << 20;
/// Lepton's default memory budget for data, in MiB, and the additional memory of the process,
/// as in `tests/memory.rs`.
const BUDGET: usize = 32;
const OVERHEAD: usize = 40;

/// Measures these numbers of objects.
pub(super) fn command(arguments: &[&str]) -> Result<()> {
    let (mut rounds, mut numbers) = (3, Vec::new());
    for pair in arguments.chunks(2) {
        match pair {
            ["--rounds", number] => rounds = number.parse().context("--rounds takes a number")?,
            ["--objects", number] => numbers.push(number.parse().context("--objects takes a number")?),
            _ => bail!("bench growth takes --rounds N and --objects N, not {:?}", pair.join(" ")),
        }
    }
    if numbers.is_empty() {
        numbers = NUMBERS.to_vec();
    }
    let (tools, server) = (Tools::prepare()?, executable("listing")?);
    // Not on an in-memory file system, where it would count as memory of the program.
    let journal = Journal::within(&std::env::temp_dir());
    let limited = Limited::to((BUDGET + OVERHEAD) * MIB);
    let limit = match limited {
        Some(_) => format!("under a limit of {} MiB by the system", BUDGET + OVERHEAD),
        None => "no limit was set by the system, which takes root".to_owned(),
    };
    let version = tools.versions(&[Tool::Lepton])?;
    let mut text = format!("Medians of {rounds} rounds on {}; {version}; {limit}.\n\n", machine());
    text.push_str("| objects | seconds | objects a second | CPU-ms per object | peak memory, MiB |\n");
    text.push_str("|---:|---:|---:|---:|---:|\n");
    let (mut runs, mut last) = (Vec::new(), String::new());
    for objects in numbers {
        let server = Synthetic::start(&server, &[objects, 0, SIZE])?;
        let mut samples = Vec::new();
        for round in 0..rounds {
            let mut command = migrate(&tools, &server, limited.as_ref(), journal.fresh()?);
            let sample = measure::run(&mut command)?;
            println!("{objects} objects, round {}: {sample}", round + 1);
            samples.push(sample);
            last = shown(&command);
        }
        proven(&server, &journal, objects)?;
        #[allow(clippy::cast_precision_loss, reason = "numbers of a benchmark are far below 2^53")]
        let ([wall, cpu, memory], number) = (table::medians(&samples), objects as f64);
        let (rate, each) = (number / wall, cpu * 1000.0 / number);
        writeln!(text, "| {objects} | {wall:.2} | {rate:.0} | {each:.3} | {memory:.0} |")?;
        runs.push((rate, memory));
    }
    writeln!(text, "\n{}", spread(&runs).context("there is nothing to move")?)?;
    let command = last.split_once("cgroup.procs ").map_or(&*last, |(_, command)| command);
    writeln!(text, "\n```console\n$ {}\n```", without_folder(command))?;
    println!("\n{text}");
    table::place("cargo xtask bench growth", &text)
}

fn migrate(tools: &Tools, server: &Synthetic, limited: Option<&Limited>, journal: &Path) -> Command {
    let mut command = limited.map_or_else(|| Command::new(&tools.lepton), |limited| limited.command(&tools.lepton));
    command.args([server.url("source"), server.url("sink")]);
    // Both buckets are on one server, so Lepton would use server-side copies.
    command.args(["--quiet", "--no-server-copy", "--memory", &format!("{BUDGET}MiB"), "--journal"]).arg(journal);
    credentials(&mut command);
    command
}

/// Checks that the manifest has a line for each object and is correct, by reading all objects.
fn proven(server: &Synthetic, journal: &Journal, objects: u64) -> Result<()> {
    let manifest = journal.path().join("manifest.jsonl");
    let file = File::open(&manifest).with_context(|| format!("cannot open {}", manifest.display()))?;
    let mut lines = 0;
    for line in BufReader::new(file).lines() {
        lines += u64::from(line?.starts_with("{\"key\":"));
    }
    ensure!(lines == objects, "the manifest has {lines} objects instead of {objects}");
    let mut command = program(root().join("target/release/verify"), &[&manifest]);
    credentials(command.arg(server.url("source")));
    println!("{}", output(&mut command).context("the manifest is not proven")?.trim());
    Ok(())
}

/// How far the runs differ. The shortest run includes the start of the program.
fn spread(runs: &[(f64, f64)]) -> Option<String> {
    let of = |value: fn(&(f64, f64)) -> f64| {
        let sorted = |one: &f64, other: &f64| one.total_cmp(other);
        Some((runs.iter().map(value).min_by(sorted)?, runs.iter().map(value).max_by(sorted)?))
    };
    let ((slowest, fastest), (least, most)) = (of(|run| run.0)?, of(|run| run.1)?);
    let percent = (1.0 - slowest / fastest) * 100.0;
    let memory = most - least;
    Some(format!(
        "The slowest makes {percent:.0} % fewer objects a second than the fastest; memory differs by {memory:.0} MiB."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_far_runs_are_apart() {
        let said = spread(&[(90.0, 20.0), (100.0, 23.0), (95.0, 21.0)]);
        let text = "The slowest makes 10 % fewer objects a second than the fastest; memory differs by 3 MiB.";
        assert_eq!(said.as_deref(), Some(text));
        assert_eq!(spread(&[]), None);
    }
}
