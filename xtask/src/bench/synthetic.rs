//! Synthetic servers: `benches/listing.rs`, which generates its objects on request, and
//! `benches/clouds`, which holds what it receives and requires no credentials.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use super::floor::executable;
use super::place::{Place, Protocol};
use super::programs::Tools;

/// A running synthetic server.
pub(super) struct Synthetic {
    process: Child,
    pub(super) endpoint: String,
}

impl Synthetic {
    /// Starts the program with these arguments; its own documentation describes them.
    pub(super) fn start<T: ToString>(program: &Path, arguments: &[T]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments.iter().map(T::to_string)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("cannot start the synthetic server")?;
        let mut endpoint = String::new();
        BufReader::new(process.stdout.take().context("the server has an output")?).read_line(&mut endpoint)?;
        Ok(Self { process, endpoint: endpoint.trim().to_owned() })
    }

    /// The URL with which Lepton opens one of its buckets.
    pub(super) fn url(&self, bucket: &str) -> String {
        format!("s3://{bucket}?endpoint={}&region=us-east-1&preset=aws", self.endpoint)
    }
}

impl Drop for Synthetic {
    fn drop(&mut self) {
        // It ends when its standard input closes.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The folder of a run's journal; removed when this value is dropped.
pub(super) struct Journal(PathBuf);

impl Journal {
    pub(super) fn within(folder: &Path) -> Self {
        Self(folder.join(format!("lepton-bench-journal-{}", std::process::id())))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Removes the journal of an earlier run, which the next run would otherwise resume.
    pub(super) fn fresh(&self) -> Result<&Path> {
        if self.0.exists() {
            fs::remove_dir_all(&self.0).context("cannot remove the journal")?;
        }
        Ok(&self.0)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // What cannot be removed is in a folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that speaks the same protocol as this emulator, and its bucket.
pub(super) fn like(tools: &Tools, emulator: &str) -> Result<(Synthetic, Place)> {
    let (cloud, name) = match Protocol::of(emulator) {
        Protocol::Google => ("google", "synthetic-google"),
        _ => ("azure", "synthetic-azure"),
    };
    let server = Synthetic::start(&executable("clouds")?, &[cloud])?;
    let place = Place::bucket(name, server.endpoint.clone());
    tools.make(&place)?;
    Ok((server, place))
}
