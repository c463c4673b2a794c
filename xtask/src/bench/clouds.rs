//! Azure and Google: how each program is configured for their emulators.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::place::{BUCKET, Place, Protocol};
use super::programs::Tools;
use crate::process::{output, program};

const ACCOUNT: &str = "devstoreaccount1";
/// The well-known key of the emulator.
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// All permissions until 2099, signed with that key.
const SAS: &str = "sv=2021-12-02&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00%3A00%3A00Z&spr=https%2Chttp\
                   &sig=jlSI%2B5DohmjtlB2oCr2Vhd9u7l%2F%2FvB9E8D7vhfmKGX4%3D";

/// The URL with which Lepton opens the server; adds the variables that it needs.
pub(super) fn lepton_url(server: &str, endpoint: &str, command: &mut Command) -> String {
    // The synthetic servers answer as the real services do.
    let preset = match server {
        "synthetic-azure" => "azure",
        "synthetic-google" => "gcs",
        emulator => emulator,
    };
    match Protocol::of(server) {
        Protocol::Google => format!("gs://{BUCKET}?endpoint={endpoint}&preset={preset}&anonymous=true"),
        _ => {
            command.env("AZURE_STORAGE_ACCOUNT", ACCOUNT).env("AZURE_STORAGE_KEY", KEY);
            format!("az://{BUCKET}?endpoint={endpoint}/{ACCOUNT}&preset={preset}")
        }
    }
}

/// Configures rclone for the emulator with environment variables only.
pub(super) fn rclone_remote(command: &mut Command, name: &str, protocol: Protocol, endpoint: &str) {
    let azure = format!("{endpoint}/{ACCOUNT}");
    let google = format!("{endpoint}/storage/v1/");
    let settings: &[(&str, &str)] = match protocol {
        Protocol::Google => &[
            ("TYPE", "google cloud storage"),
            ("ENDPOINT", &google),
            ("ANONYMOUS", "true"),
            // Needed to create a bucket.
            ("PROJECT_NUMBER", "1"),
        ],
        _ => &[("TYPE", "azureblob"), ("ACCOUNT", ACCOUNT), ("KEY", KEY), ("ENDPOINT", &azure)],
    };
    command.env("RCLONE_CONFIG", "");
    for (setting, value) in settings {
        command.env(format!("RCLONE_CONFIG_{}_{setting}", name.to_uppercase()), value);
    }
}

/// The name of an rclone remote, which is also part of environment variables.
pub(super) fn remote(server: &str) -> String {
    server.replace('-', "")
}

/// Only between a folder and a container.
pub(super) fn azcopy_command(tools: &Tools, from: &Place, to: &Place) -> Option<Command> {
    let blobs = |place: &Place, pattern: &str| match place {
        Place::Bucket { server, endpoint, .. } if Protocol::of(server) == Protocol::Azure => {
            Some(format!("{endpoint}/{ACCOUNT}/{BUCKET}{pattern}?{SAS}"))
        }
        _ => None,
    };
    let (way, from, to) = match (from, to) {
        (Place::Folder(from), to) => ("LocalBlob", format!("{}/*", from.display()), blobs(to, "")?),
        (from, Place::Folder(to)) => ("BlobLocal", blobs(from, "/*")?, to.display().to_string()),
        _ => return None,
    };
    let mut command = program(tools.azcopy.as_ref()?, &["copy", &from, &to, "--from-to", way, "--recursive"]);
    command.args(["--block-size-mb", "8", "--output-level", "essential", "--log-level", "ERROR"]);
    let plans = std::env::temp_dir().join(format!("lepton-bench-azcopy-{}", std::process::id()));
    command.env("AZCOPY_JOB_PLAN_LOCATION", &plans).env("AZCOPY_LOG_LOCATION", &plans);
    Some(command)
}

/// Creates, counts and empties with rclone.
pub(super) struct Emulator<'a> {
    tools: &'a Tools,
    server: &'a str,
    endpoint: &'a str,
}

impl<'a> Emulator<'a> {
    /// The emulator at this place, if it is one.
    pub(super) fn at(tools: &'a Tools, place: &'a Place) -> Option<Self> {
        match place {
            Place::Bucket { server, endpoint, .. } if Protocol::of(server) != Protocol::S3 => {
                Some(Self { tools, server, endpoint })
            }
            _ => None,
        }
    }

    fn rclone(&self, arguments: &[&str]) -> Result<String> {
        let mut command = program(&self.tools.rclone, arguments);
        command.arg(format!("{}:{BUCKET}", remote(self.server)));
        rclone_remote(&mut command, &remote(self.server), Protocol::of(self.server), self.endpoint);
        output(&mut command)
    }

    pub(super) fn make(&self) -> Result<()> {
        self.rclone(&["mkdir"]).map(drop)
    }

    pub(super) fn empty(&self) -> Result<()> {
        self.rclone(&["delete", "--fast-list", "--checkers", "32"]).map(drop)
    }

    /// The numbers of objects and bytes.
    pub(super) fn count(&self) -> Result<(u64, u64)> {
        // `{"count":8,"bytes":536870912,"sizeless":0}`
        let said = self.rclone(&["size", "--json", "--fast-list"])?;
        let mut numbers =
            said.split(|character: char| !character.is_ascii_digit()).filter_map(|word| word.parse().ok());
        let (objects, bytes) = (numbers.next(), numbers.next());
        objects.zip(bytes).with_context(|| format!("cannot read what rclone counted: {said}"))
    }
}
