//! moto: keeps every key byte for byte, so it is the server for odd keys.

use super::{Place, Service};
use crate::process::program;
use crate::tools::venv;

pub(super) const SERVICE: Service = Service {
    name: "moto",
    variable: "LEPTON_TEST_MOTO",
    ready: "/moto-api/",
    install: || venv("moto-5.2.5", &["moto[server]==5.2.5"]),
    command: |Place { installed, address, .. }| {
        let (host, port) = address.split_once(':').unwrap_or((address, "0"));
        program(installed.join("bin/python"), &["-m", "moto.server", "-H", host, "-p", port])
    },
};
