//! A server that checks what it receives and stores nothing, so that the client is the limit:
//! the program `serve_s3` over a sink.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result};

use super::place::{BUCKET, Place};
use super::programs::credentials;
use crate::process::{exists, output, program, root};
use crate::tools::debian;

/// Ends when this value is dropped.
pub(super) struct Sink {
    process: Child,
    pub(super) place: Place,
}

impl Sink {
    pub(super) fn start() -> Result<Self> {
        Self::serve("sink:", None)
    }

    /// Serves over TLS the store that Lepton opens with this URL, with a certificate created in
    /// `folder`.
    pub(super) fn over_tls(url: &str, folder: &Path) -> Result<Self> {
        Self::serve(url, Some(Certificate::make(folder)?))
    }

    fn serve(url: &str, tls: Option<Certificate>) -> Result<Self> {
        let program_file = root().join("target/release/serve_s3");
        let mut command = program(program_file, &["--listen", "127.0.0.1:0", "--bucket", &format!("{BUCKET}={url}")]);
        if let Some(Certificate { file, key }) = &tls {
            command.arg("--tls-cert").arg(file).arg("--tls-key").arg(key);
        }
        credentials(&mut command);
        let mut process = command.stdout(Stdio::piped()).spawn().context("cannot start serve_s3")?;
        // It prints `http://127.0.0.1:1234/bench serves sink:` once it listens.
        let mut said = String::new();
        BufReader::new(process.stdout.take().context("serve_s3 has an output")?).read_line(&mut said)?;
        let endpoint = said.split_once(&format!("/{BUCKET} ")).map(|(endpoint, _)| endpoint.to_owned());
        let endpoint = endpoint.with_context(|| format!("serve_s3 did not say where it listens: {said}"))?;
        let place = Place::Bucket { server: "sink", far: false, endpoint, certificate: tls.map(|tls| tls.file) };
        Ok(Self { process, place })
    }
}

/// A self-signed certificate, trusted only by clients that are given it.
struct Certificate {
    file: PathBuf,
    key: PathBuf,
}

impl Certificate {
    fn make(folder: &Path) -> Result<Self> {
        if !exists("openssl") {
            debian(&["openssl"])?;
        }
        let (file, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        let mut command = program("openssl", &["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        command.args(["-nodes", "-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"]);
        // A self-signed certificate must not be a CA certificate, or clients refuse it.
        command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        output(command.arg("-out").arg(&file).arg("-keyout").arg(&key))?;
        Ok(Self { file, key })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It holds nothing; if killing it fails, it has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
