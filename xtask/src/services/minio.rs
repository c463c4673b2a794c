//! MinIO, built from the last source release: a strict checker of signatures.

use super::service::{ACCESS_KEY, Place, SECRET_KEY, Service};
use crate::process::program;
use crate::tools::go_program;

const MODULE: &str = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c";

pub(super) const SERVICE: Service = Service {
    name: "minio",
    variable: "LEPTON_TEST_MINIO",
    ready: ("/minio/health/ready", 200),
    install: || go_program("minio-20260212201848", MODULE),
    command: |Place { installed, data, address }| {
        let mut command = program(installed.join("minio"), &["server", "--quiet", "--address", address]);
        command.arg(data).env("MINIO_ROOT_USER", ACCESS_KEY).env("MINIO_ROOT_PASSWORD", SECRET_KEY);
        command.env("MINIO_BROWSER", "off").env("MINIO_UPDATE", "off");
        // Deleted objects occupy space until this interval has passed, and the data is in
        // memory. The default is five minutes, and the first interval still takes that long.
        command.env("MINIO_API_DELETE_CLEANUP_INTERVAL", "1s");
        command
    },
};
