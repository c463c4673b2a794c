//! fake-gcs-server: the emulator of Google Cloud Storage. It speaks the JSON API and does not
//! support multipart uploads.

use super::service::{Place, Service};
use crate::process::program;
use crate::tools::go_program;

const MODULE: &str = "github.com/fsouza/fake-gcs-server@v1.56.1";

pub(super) const SERVICE: Service = Service {
    name: "fake-gcs",
    variable: "LEPTON_TEST_FAKE_GCS",
    ready: ("/_internal/healthcheck", 200),
    install: || go_program("fake-gcs-1.56.1", MODULE),
    command: |Place { installed, address, .. }| {
        let (host, port) = address.split_once(':').unwrap_or((address, "0"));
        let mut command = program(installed.join("fake-gcs-server"), &["-scheme", "http", "-backend", "memory"]);
        command.args(["-host", host, "-port", port, "-public-host", address, "-log-level", "error"]);
        command.arg("-external-url").arg(format!("http://{address}"));
        command
    },
};
