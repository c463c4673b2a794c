//! The raw floor: a plain loop over sockets, `benches/floor.rs`.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use super::measure::{self, Row};
use super::set::Set;
use crate::process::program;

/// Sends one file with and without hashing it.
pub(super) fn measure(set: &Set, file: &Path, rounds: usize) -> Result<Vec<Row>> {
    let floor = executable("floor")?;
    let (mut sink, address) = start_sink(&floor)?;
    let measured =
        [("raw socket loop", None), ("raw socket loop with SHA-256", Some("--sha256"))].map(|(tool, option)| {
            let samples = (0..rounds).map(|_| {
                let mut command = Command::new(&floor);
                measure::run(command.args(["send", &address]).arg(file).args(option))
            });
            let case = format!("{}, up (disk → sink that drops it)", set.title);
            Ok(Row {
                case,
                tool: tool.to_owned(),
                command: String::new(),
                objects: 1,
                bytes: set.size,
                samples: samples.collect::<Result<_>>()?,
            })
        });
    drop(sink.stdin.take());
    sink.wait().context("cannot wait for the sink")?;
    measured.into_iter().collect()
}

/// Cargo puts a benchmark under a name with a hash, and says which.
pub(super) fn executable(name: &str) -> Result<PathBuf> {
    let mut command = program("cargo", &["bench", "--locked", "--bench", name, "--no-run"]);
    let built = command.output().context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&built.stderr);
    let path =
        said.lines().find_map(|line| line.trim().strip_prefix("Executable")?.split_once('(')?.1.strip_suffix(')'));
    let path = path.with_context(|| format!("cargo built no benchmark `{name}`:\n{said}"))?;
    Ok(crate::process::root().join(path))
}

fn start_sink(floor: &Path) -> Result<(Child, String)> {
    let mut command = Command::new(floor);
    let mut sink =
        command.arg("sink").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start the sink")?;
    let mut address = String::new();
    BufReader::new(sink.stdout.take().context("the sink has an output")?).read_line(&mut address)?;
    Ok((sink, address.trim().to_owned()))
}
