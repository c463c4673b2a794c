//! A server that checks what it gets and keeps nothing, so that the client is
//! the limit: the example `serve_s3` over a sink.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result};

use super::tools::{BUCKET, Place, credentials};
use crate::process::{program, root};

/// Ends with this value.
pub(super) struct Sink {
    process: Child,
    pub(super) place: Place,
}

impl Sink {
    pub(super) fn start() -> Result<Self> {
        let program_file = root().join("target/release/examples/serve_s3");
        let mut command = program(program_file, &["--listen", "127.0.0.1:0", "--bucket", &format!("{BUCKET}=sink:")]);
        credentials(&mut command);
        let mut process = command.stdout(Stdio::piped()).spawn().context("cannot start serve_s3")?;
        // It says `http://127.0.0.1:1234/bench serves sink:` once it listens.
        let mut said = String::new();
        BufReader::new(process.stdout.take().context("serve_s3 has an output")?).read_line(&mut said)?;
        let endpoint = said.split_once(&format!("/{BUCKET} ")).map(|(endpoint, _)| endpoint.to_owned());
        let endpoint = endpoint.with_context(|| format!("serve_s3 did not say where it listens: {said}"))?;
        Ok(Self { process, place: Place::Bucket { server: "sink", endpoint } })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It holds nothing; where ending it fails it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
