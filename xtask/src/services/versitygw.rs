//! versitygw: S3 on top of a folder, with versions.

use super::service::{ACCESS_KEY, Place, SECRET_KEY, Service};
use crate::process::program;
use crate::tools::go_program;

const MODULE: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";

pub(super) const SERVICE: Service = Service {
    name: "versitygw",
    variable: "LEPTON_TEST_VERSITYGW",
    ready: ("/health", 200),
    install: || go_program("versitygw-1.8.0", MODULE),
    command: |Place { installed, data, address }| {
        let gateway = ["--port", address, "--health", "/health", "--quiet"];
        let mut command = program(installed.join("versitygw"), &gateway);
        command.args(["posix", "--versioning-dir"]).arg(data.join("versions")).arg(data.join("objects"));
        command.env("ROOT_ACCESS_KEY", ACCESS_KEY).env("ROOT_SECRET_KEY", SECRET_KEY);
        command
    },
};
