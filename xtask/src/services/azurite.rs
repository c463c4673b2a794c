//! Azurite: the emulator of Azure Blob Storage.

use super::{Place, Service};
use crate::process::program;
use crate::tools::{node, node_package};

pub(super) const SERVICE: Service = Service {
    name: "azurite",
    variable: "LEPTON_TEST_AZURITE",
    // Without credentials it refuses.
    ready: ("/devstoreaccount1?comp=list", 403),
    install: || node_package("azurite-3.37.0", "azurite@3.37.0"),
    command: |Place { installed, address, .. }| {
        let (host, port) = address.split_once(':').unwrap_or((address, "0"));
        let main = installed.join("node_modules/azurite/dist/src/blob/main.js");
        let mut command = program::<&str>(node(), &[]);
        command.arg(main).args(["--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry"]);
        command.args(["--blobHost", host, "--blobPort", port]);
        command
    },
};
