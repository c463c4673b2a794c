//! The raw floor: a plain loop over sockets, `benches/floor.rs`.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use super::measure::{self, Row};
use super::set::Set;
use crate::process::program;

/// Sends one file to a server that drops it, and receives it from a server that only sends,
/// each with and without hashing. Writes next to the file.
pub(super) fn measure(set: &Set, file: &Path, rounds: usize) -> Result<Vec<Row>> {
    let floor = executable("floor")?;
    let received = file.with_extension("received");
    let ways = [
        ("up (disk → sink that drops it)", vec![OsStr::new("sink")], "send", file),
        ("down (server that only sends → disk)", vec![OsStr::new("serve"), file.as_os_str()], "fetch", &received),
    ];
    let mut rows = Vec::new();
    for (case, server, way, file) in ways {
        let (mut server, address) = start(Command::new(&floor).args(server))?;
        for (tool, option) in [("raw socket loop", None), ("raw socket loop with SHA-256", Some("--sha256"))] {
            let samples = (0..rounds).map(|_| {
                let sample = measure::run(Command::new(&floor).args([way, &address]).arg(file).args(option))?;
                if way == "fetch" {
                    std::fs::remove_file(file).context("nothing was received")?;
                }
                Ok(sample)
            });
            rows.push(Row {
                case: format!("{}, {case}", set.title),
                tool: tool.to_owned(),
                command: String::new(),
                objects: 1,
                bytes: set.size,
                samples: samples.collect::<Result<_>>()?,
            });
        }
        drop(server.stdin.take());
        server.wait().context("cannot wait for the server")?;
    }
    Ok(rows)
}

/// The benchmark binary, whose hashed file name Cargo reports.
pub(super) fn executable(name: &str) -> Result<PathBuf> {
    let mut command =
        program("cargo", &["bench", "--locked", "--package", "lepton-benches", "--bench", name, "--no-run"]);
    let built = command.output().context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&built.stderr);
    let path =
        said.lines().find_map(|line| line.trim().strip_prefix("Executable")?.split_once('(')?.1.strip_suffix(')'));
    let path = path.with_context(|| format!("cargo built no benchmark `{name}`:\n{said}"))?;
    Ok(crate::process::root().join(path))
}

fn start(server: &mut Command) -> Result<(Child, String)> {
    let started = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut server = started.context("cannot start the server of the floor")?;
    let mut address = String::new();
    BufReader::new(server.stdout.take().context("the server has an output")?).read_line(&mut address)?;
    Ok((server, address.trim().to_owned()))
}
