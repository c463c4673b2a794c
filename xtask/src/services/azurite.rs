//! Azurite: the emulator of Azure Blob Storage.

use super::service::{Place, Service};
use crate::process::program;
use crate::tools::{node, node_package};

pub(super) const SERVICE: Service = Service {
    name: "azurite",
    variable: "LEPTON_TEST_AZURITE",
    // A request without credentials is refused.
    ready: ("/devstoreaccount1?comp=list", 403),
    install: || node_package("azurite-3.37.0", "azurite@3.37.0"),
    command: |Place { installed, address, .. }| {
        let (host, port) = address.split_once(':').unwrap_or((address, "0"));
        let source = installed.join("node_modules/azurite/dist/src/blob");
        // Every ten minutes Azurite would collect garbage, and stop answering for minutes if
        // there is much of it; it would also delete data that is being written.
        let never = format!(
            "data:text/javascript,import {{ createRequire }} from 'node:module'; \
             createRequire('/')('{}').DEFAULT_GC_INTERVAL_MS = 2147483647;",
            source.join("utils/constants.js").display()
        );
        let mut command = program(node(), &["--import", &never]);
        command.arg(source.join("main.js")).args([
            "--inMemoryPersistence",
            "--skipApiVersionCheck",
            "--silent",
            "--disableTelemetry",
        ]);
        command.args(["--blobHost", host, "--blobPort", port]);
        command
    },
};
