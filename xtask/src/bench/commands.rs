//! How each program is configured to do the same work, with 8 MiB parts. rclone and s5cmd are
//! given a number of concurrent requests; Lepton and the AWS CRT choose theirs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::clouds::{self, Emulator};
use super::place::{BUCKET, Place, Protocol};
use super::programs::{Tool, Tools, credentials};
use super::set::Set;
use crate::process::program;
use crate::services::{ACCESS_KEY, SECRET_KEY};

const PART: u64 = 8 << 20;

impl Tool {
    /// The command that moves everything, if the program supports it.
    pub(super) fn command(self, tools: &Tools, set: &Set, from: &Place, to: &Place) -> Option<Command> {
        match self {
            Self::Lepton => Some(lepton(tools, from, to)),
            Self::Rclone => Some(rclone(tools, files_at_once(set, from, to), from, to)),
            Self::S5cmd => s5cmd(tools, files_at_once(set, from, to).0, from, to),
            // Python would create each request, and would then be what is measured.
            Self::Crt if set.objects > 10_000 => None,
            Self::Crt => crt(tools, from, to),
            Self::Azcopy => clouds::azcopy_command(tools, from, to),
        }
    }
}

/// Concurrent files for the peers, and concurrent checks of rclone. They limit files and parts
/// separately: this gives 32 concurrent requests either way. To a distant server it gives 64
/// with parts, and 256 with small objects, which is the default of s5cmd.
fn files_at_once(set: &Set, from: &Place, to: &Place) -> (&'static str, &'static str) {
    let far = [from, to].iter().any(|place| matches!(place, Place::Bucket { far: true, .. }));
    match (set.size > PART, far) {
        (true, false) => ("8", "8"),
        (true, true) => ("16", "8"),
        (false, false) => ("32", "8"),
        (false, true) => ("256", "64"),
    }
}

/// With a journal in a fresh folder and the manifest that Lepton always writes.
fn lepton(tools: &Tools, from: &Place, to: &Place) -> Command {
    let mut command = program::<&str>(&tools.lepton, &[]);
    for place in [from, to] {
        let url = match place {
            Place::Folder(folder) => folder.display().to_string(),
            Place::Bucket { endpoint, server, .. } if Protocol::of(server) == Protocol::S3 => {
                // The sink answers as Amazon S3 does, moto is a mock; real servers are detected, as
                // for a user without a preset.
                let preset = match *server {
                    "sink" => "&preset=aws",
                    "moto" => "&preset=moto",
                    _ => "",
                };
                format!("s3://{BUCKET}?endpoint={endpoint}&region=us-east-1{preset}")
            }
            Place::Bucket { endpoint, server, .. } => clouds::lepton_url(server, endpoint, &mut command),
        };
        command.arg(url);
    }
    command.args(["--quiet", "--part-size", "8MiB"]).arg("--journal").arg(journal());
    for place in [from, to] {
        if let Place::Bucket { certificate: Some(certificate), .. } = place {
            command.env("AWS_CA_BUNDLE", certificate);
        }
    }
    credentials(&mut command);
    command
}

fn journal() -> PathBuf {
    std::env::temp_dir().join(format!("lepton-bench-journal-{}", std::process::id()))
}

/// Removes the journal, because otherwise the next run would find everything done.
pub(super) fn forget_journal() -> Result<()> {
    match fs::remove_dir_all(journal()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("cannot remove the journal"),
        _ => Ok(()),
    }
}

fn rclone(tools: &Tools, (files, checkers): (&str, &str), from: &Place, to: &Place) -> Command {
    let url = |place: &Place| match place {
        Place::Folder(folder) => folder.display().to_string(),
        Place::Bucket { server, .. } => format!("{}:{BUCKET}", clouds::remote(server)),
    };
    let mut command = program(&tools.rclone, &["copy".to_owned(), url(from), url(to)]);
    command.args(["--transfers", files, "--checkers", checkers]);
    command.args(["--s3-upload-concurrency", "4", "--s3-chunk-size", "8Mi"]);
    command.args(["--multi-thread-streams", "4", "--fast-list", "--s3-no-check-bucket"]);
    if [from, to]
        .iter()
        .any(|place| matches!(place, Place::Bucket { server, .. } if Protocol::of(server) == Protocol::Azure))
    {
        command.args(["--azureblob-upload-concurrency", "4", "--azureblob-chunk-size", "8Mi"]);
    }
    command.args(["--stats", "0", "--log-level", "ERROR"]);
    for place in [from, to] {
        if let Place::Bucket { server, endpoint, certificate, .. } = place {
            let provider = if *server == "minio" { "Minio" } else { "Other" };
            if let Some(certificate) = certificate {
                command.arg("--ca-cert").arg(certificate);
            }
            match Protocol::of(server) {
                Protocol::S3 => rclone_remote(&mut command, server, provider, endpoint),
                other => clouds::rclone_remote(&mut command, &clouds::remote(server), other, endpoint),
            }
        }
    }
    command
}

/// Configures rclone for a server with environment variables only.
pub(super) fn rclone_remote(command: &mut Command, name: &str, provider: &str, endpoint: &str) {
    command.env("RCLONE_CONFIG", "");
    for (setting, value) in [
        ("TYPE", "s3"),
        ("PROVIDER", provider),
        ("ENDPOINT", endpoint),
        ("ACCESS_KEY_ID", ACCESS_KEY),
        ("SECRET_ACCESS_KEY", SECRET_KEY),
        ("REGION", "us-east-1"),
    ] {
        command.env(format!("RCLONE_CONFIG_{}_{setting}", name.to_uppercase()), value);
    }
}

/// s5cmd supports one endpoint at a time, so it cannot copy from one server to another.
fn s5cmd(tools: &Tools, files: &str, from: &Place, to: &Place) -> Option<Command> {
    let ends = (from, to);
    let ((Place::Folder(_), bucket @ Place::Bucket { .. }) | (bucket @ Place::Bucket { .. }, Place::Folder(_))) = ends
    else {
        return None;
    };
    if Emulator::at(tools, bucket).is_some() {
        return None;
    }
    let url = |place: &Place| match place {
        Place::Folder(folder) => format!("{}/", folder.display()),
        Place::Bucket { .. } => format!("s3://{BUCKET}/"),
    };
    let mut command =
        tools.s5cmd(bucket, &["--log", "error", "--numworkers", files, "cp", "--concurrency", "4", "--part-size", "8"]);
    command.args([format!("{}*", url(from)), url(to)]);
    Some(command)
}

/// Only between a folder and a bucket: the CRT cannot copy from one server to another.
fn crt(tools: &Tools, from: &Place, to: &Place) -> Option<Command> {
    let (direction, folder, bucket) = match (from, to) {
        (Place::Folder(folder), bucket @ Place::Bucket { .. }) => ("up", folder, bucket),
        (bucket @ Place::Bucket { .. }, Place::Folder(folder)) => ("down", folder, bucket),
        _ => return None,
    };
    let Place::Bucket { endpoint, certificate, server, .. } = bucket else { return None };
    if Protocol::of(server) != Protocol::S3 {
        return None;
    }
    let mut command = program(&tools.crt, &["xtask/src/bench/crt.py", endpoint, BUCKET, direction]);
    command.arg(folder).arg(PART.to_string()).args(certificate);
    credentials(&mut command);
    Some(command)
}
