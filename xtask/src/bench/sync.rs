//! `cargo xtask bench sync`: two buckets that are the same are synchronised, which
//! costs listings and nothing else. The buckets are those of a synthetic server,
//! `benches/listing.rs`, which keeps no objects.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::floor::executable;
use super::measure::{self, Sample};
use super::table::{self, without_folder};
use super::tools::{Tool, Tools, credentials, rclone_remote};
use crate::process::{machine, program, shown};

/// The largest number of objects that the peers are asked for: at more, one run of
/// them takes minutes.
const MOST_FOR_PEERS: u64 = 1_000_000;

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
        cases = vec![(10_000, 0), (100_000, 0), (1_000_000, 0), (10_000_000, 0), (1_000_000, 40)];
    }
    let (tools, listing) = (Tools::prepare()?, executable("listing")?);
    let mut text = format!("Medians of {rounds} rounds on {}; {}.\n\n", machine(), tools.versions(&Tool::SYNCING)?);
    text.push_str("| objects | answers take | program | seconds | CPU seconds | peak memory, MiB |\n");
    text.push_str("|---:|---:|---|---:|---:|---:|\n");
    let mut commands = Vec::new();
    for (objects, delay) in cases {
        let server = Server::start(&listing, objects, delay)?;
        let able: Vec<Tool> =
            Tool::SYNCING.into_iter().filter(|tool| *tool == Tool::Lepton || objects <= MOST_FOR_PEERS).collect();
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); able.len()];
        for round in 0..rounds {
            for turn in 0..able.len() {
                let at = (round + turn) % able.len();
                let mut command = server.command(able[at], &tools)?;
                if round == 0 && (objects, delay) == (1_000_000, 0) {
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

/// A number of objects, and how many milliseconds each answer takes.
fn parse(case: &str) -> Option<(u64, u64)> {
    let (objects, delay) = case.split_once('@').unwrap_or((case, "0"));
    Some((objects.parse().ok()?, delay.parse().ok()?))
}

/// The synthetic server, running.
struct Server {
    process: Child,
    endpoint: String,
}

impl Server {
    fn start(program: &Path, objects: u64, delay: u64) -> Result<Self> {
        let mut command = Command::new(program);
        command.args([objects, delay].map(|number| number.to_string())).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("cannot start the synthetic server")?;
        let mut endpoint = String::new();
        BufReader::new(process.stdout.take().context("the server has an output")?).read_line(&mut endpoint)?;
        Ok(Self { process, endpoint: endpoint.trim().to_owned() })
    }

    /// The command that finds both buckets the same, by their ETags.
    fn command(&self, tool: Tool, tools: &Tools) -> Result<Command> {
        let endpoint = &self.endpoint;
        let mut command = match tool {
            Tool::Lepton => {
                let journal = journal();
                if journal.exists() {
                    fs::remove_dir_all(&journal).context("cannot remove the journal")?;
                }
                let url = |bucket: &str| format!("s3://{bucket}?endpoint={endpoint}&region=us-east-1&preset=aws");
                let mut command = program(&tools.sync, &["run".to_owned(), url("source"), url("copy")]);
                command.args(["--quiet", "--journal"]).arg(journal);
                command
            }
            Tool::Rclone => {
                let mut command = program(&tools.rclone, &["sync", "synthetic:source", "synthetic:copy", "--checksum"]);
                command.args(["--checkers", "32", "--s3-list-version", "2", "--s3-no-check-bucket", "--stats", "0"]);
                rclone_remote(&mut command, "synthetic", "Other", endpoint);
                command
            }
            Tool::S5cmd => {
                let arguments = ["--endpoint-url", endpoint, "--log", "error", "sync", "s3://source/*", "s3://copy/"];
                program(&tools.s5cmd, &arguments)
            }
            Tool::Crt => bail!("the AWS CRT compares no buckets"),
        };
        credentials(&mut command);
        Ok(command)
    }
}

/// In memory, as the rest of the benchmark's data.
fn journal() -> PathBuf {
    PathBuf::from(format!("/dev/shm/lepton-bench-journal-{}", std::process::id()))
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends with its input; what is left of a run goes with it.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(journal());
    }
}
