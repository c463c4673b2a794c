//! Creates and empties buckets, and checks that everything arrived.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::clouds::Emulator;
use super::place::{BUCKET, Place};
use super::programs::{Tools, credentials};
use super::set::Set;
use crate::process::{output, program};

impl Tools {
    pub(super) fn make(&self, bucket: &Place) -> Result<()> {
        if let Some(emulator) = Emulator::at(self, bucket) {
            return emulator.make();
        }
        output(&mut self.s5cmd(bucket, &["mb", &format!("s3://{BUCKET}")])).map(drop)
    }

    /// Removes everything at a place, before a run and outside the measurement.
    pub(super) fn empty(&self, place: &Place) -> Result<()> {
        if let Some(emulator) = Emulator::at(self, place) {
            return emulator.empty();
        }
        match place {
            Place::Folder(folder) if folder.exists() => fs::remove_dir_all(folder).context("cannot empty the folder"),
            Place::Folder(_) => Ok(()),
            Place::Bucket { .. } if self.count(place)?.0 == 0 => Ok(()),
            Place::Bucket { .. } => output(&mut self.s5cmd(place, &["--log", "error", "rm", &everything()])).map(drop),
        }
    }

    /// Objects and bytes in a bucket.
    pub(super) fn count(&self, bucket: &Place) -> Result<(u64, u64)> {
        if let Some(emulator) = Emulator::at(self, bucket) {
            return emulator.count();
        }
        // Prints `131072 bytes in 2 objects: s3://bench/*`.
        let said = output(&mut self.s5cmd(bucket, &["du", &everything()]))?;
        let mut numbers = said.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
        let (bytes, objects) = (numbers.next(), numbers.next());
        objects.zip(bytes).with_context(|| format!("cannot read what s5cmd counted: {said}"))
    }

    /// The command for the program, with the server's options.
    pub(super) fn s5cmd(&self, bucket: &Place, arguments: &[&str]) -> Command {
        let mut command = program::<&str>(&self.s5cmd, &[]);
        if let Place::Bucket { endpoint, certificate, .. } = bucket {
            command.args(["--endpoint-url", endpoint]);
            // s5cmd has no option for a certificate.
            command.args(certificate.as_ref().map(|_| "--no-verify-ssl"));
        }
        command.args(arguments);
        credentials(&mut command);
        command
    }
}

impl Set {
    /// Checks that every object and every byte arrived; a program that moved less is not
    /// faster.
    pub(super) fn arrived(&self, tools: &Tools, place: &Place) -> Result<()> {
        let (objects, bytes) = match place {
            Place::Folder(folder) => count(folder)?,
            Place::Bucket { .. } => tools.count(place)?,
        };
        ensure!(
            (objects, bytes) == (self.objects, self.bytes()),
            "{objects} objects with {bytes} bytes arrived instead of {} with {}",
            self.objects,
            self.bytes()
        );
        Ok(())
    }
}

fn count(folder: &Path) -> Result<(u64, u64)> {
    let (mut objects, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let (more, length) =
            if entry.file_type()?.is_dir() { count(&entry.path())? } else { (1, entry.metadata()?.len()) };
        (objects, bytes) = (objects + more, bytes + length);
    }
    Ok((objects, bytes))
}

fn everything() -> String {
    format!("s3://{BUCKET}/*")
}
