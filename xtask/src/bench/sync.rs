//! `cargo xtask bench sync`: synchronises two equal buckets, which costs only listings. The
//! buckets belong to a synthetic server, `benches/listing.rs`, which stores no objects.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::commands::rclone_remote;
use super::floor::executable;
use super::measure::{self, Sample};
use super::programs::{Tool, Tools, credentials};
use super::synthetic::{Journal, Synthetic};
use super::table::{self, without_folder};
use crate::process::{machine, program, shown};

/// The largest number of objects for the peers: with more, one of their runs takes minutes.
const MOST_FOR_PEERS: u64 = 1_000_000;

/// The same for s5cmd if answers are delayed: it lists a bucket page by page.
const MOST_PAGE_BY_PAGE: u64 = 100_000;

/// The default cases: numbers of objects, and the delay of each answer in milliseconds.
const CASES: [(u64, u64); 6] =
    [(10_000, 0), (100_000, 0), (1_000_000, 0), (10_000_000, 0), (100_000, 40), (1_000_000, 40)];

/// Measures these numbers of objects.
pub(super) fn command(arguments: &[&str]) -> Result<()> {
    let (mut rounds, mut cases) = (5, Vec::new());
    for pair in arguments.chunks(2) {
        match pair {
            ["--rounds", number] => rounds = number.parse().context("--rounds takes a number")?,
            ["--objects", case] => cases.push(parse(case).context("--objects takes N or N@MILLISECONDS")?),
            _ => bail!("bench sync takes --rounds N and --objects N[@MILLISECONDS], not {:?}", pair.join(" ")),
        }
    }
    if cases.is_empty() {
        cases = CASES.to_vec();
    }
    let (tools, listing) = (Tools::prepare()?, executable("listing")?);
    let mut text = format!("Medians of {rounds} rounds on {}; {}.\n\n", machine(), tools.versions(&Tool::SYNCING)?);
    text.push_str("| objects | answers take | program | seconds | CPU seconds | peak memory, MiB |\n");
    text.push_str("|---:|---:|---|---:|---:|---:|\n");
    let (mut commands, journal) = (Vec::new(), Journal::within(Path::new("/dev/shm")));
    for (objects, delay) in cases {
        let server = Synthetic::start(&listing, &[objects, delay])?;
        let able: Vec<Tool> = Tool::SYNCING.into_iter().filter(|tool| objects <= most(*tool, delay)).collect();
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); able.len()];
        for round in 0..rounds {
            for turn in 0..able.len() {
                let at = (round + turn) % able.len();
                let mut command = compare(able[at], &tools, &server, delay, journal.fresh()?)?;
                if round == 0 && [(1_000_000, 0), (100_000, 40)].contains(&(objects, delay)) {
                    commands.push(shown(&command));
                }
                let sample = measure::run(&mut command)?;
                println!("{objects} objects, {delay} ms: {} round {}: {sample}", able[at].name(), round + 1);
                samples[at].push(sample);
            }
        }
        for (at, (tool, samples)) in able.iter().zip(&samples).enumerate() {
            let first = if at == 0 { format!("{objects} | {delay} ms") } else { "|".to_owned() };
            let [wall, cpu, memory] = table::medians(samples);
            writeln!(text, "| {first} | {} | {wall:.2} | {cpu:.2} | {memory:.0} |", tool.name())?;
        }
    }
    if !commands.is_empty() {
        text.push_str("\n```console\n");
        commands.iter().try_for_each(|command| writeln!(text, "$ {}", without_folder(command)))?;
        text.push_str("```\n");
    }
    println!("\n{text}");
    table::place("cargo xtask bench sync", &text)
}

/// A number of objects, and the delay of each answer in milliseconds.
fn parse(case: &str) -> Option<(u64, u64)> {
    let (objects, delay) = case.split_once('@').unwrap_or((case, "0"));
    Some((objects.parse().ok()?, delay.parse().ok()?))
}

/// The largest number of objects for a program, so that a run takes at most a minute.
fn most(tool: Tool, delay: u64) -> u64 {
    match tool {
        Tool::Lepton => u64::MAX,
        Tool::S5cmd if delay > 0 => MOST_PAGE_BY_PAGE,
        _ => MOST_FOR_PEERS,
    }
}

/// The command that finds both buckets equal, by their ETags.
fn compare(tool: Tool, tools: &Tools, server: &Synthetic, delay: u64, journal: &Path) -> Result<Command> {
    let mut command = match tool {
        Tool::Lepton => {
            let mut command = program(&tools.sync, &["run".to_owned(), server.url("source"), server.url("copy")]);
            command.args(["--quiet", "--journal"]).arg(journal);
            command
        }
        Tool::Rclone => {
            let mut command = program(&tools.rclone, &["sync", "synthetic:source", "synthetic:copy", "--checksum"]);
            // rclone lists this many folders concurrently: more is better if answers are
            // delayed.
            command.args(["--checkers", if delay > 0 { "256" } else { "32" }]);
            command.args(["--s3-list-version", "2", "--s3-no-check-bucket", "--stats", "0"]);
            rclone_remote(&mut command, "synthetic", "Other", &server.endpoint);
            command
        }
        Tool::S5cmd => {
            let mut command = program(&tools.s5cmd, &["--endpoint-url", &server.endpoint, "--log", "error"]);
            command.args(["sync", "s3://source/*", "s3://copy/"]);
            command
        }
        Tool::Crt | Tool::Azcopy => bail!("it compares no buckets of S3"),
    };
    credentials(&mut command);
    Ok(command)
}
