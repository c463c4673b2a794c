//! Rules for which folder of a package may import which.

use std::path::Path;

use super::tree::Graph;

/// The modules directly below `src` of a package, from top to bottom: each may import only from
/// rows below its own.
type Rows = &'static [&'static [&'static str]];

/// Each package that has a folder `src`.
const PACKAGES: [(&str, Rows); 8] = [
    (
        "lepton-core",
        &[
            &["lib"],
            &["conformance"],
            &["resolver", "step"],
            &["migration"],
            &["traffic"],
            &["data_set"],
            &["deployment"],
            &["layer"],
            &["storage"],
            &["capabilities"],
            &["attribute_rules", "encoding", "file_facts"],
            &["journal"],
            &["body", "key_rules", "object"],
            &["key"],
            &["checksum", "runtime"],
            &["budget", "error"],
        ],
    ),
    (
        "lepton-data",
        &[
            &["lib"],
            &["conformance"],
            &["transfer"],
            &["verify", "apply"],
            &["ledger"],
            &["compare"],
            &["listing"],
            &["digest"],
            &["schedule"],
            &["names"],
            &["telemetry"],
            &["settings"],
            &["types"],
        ],
    ),
    (
        "lepton-providers",
        &[
            &["lib"],
            &["resolve"],
            &["open"],
            &["azure", "gcs", "http", "local", "process", "router", "s3"],
            &["layers"],
            &["auth"],
            &["wire"],
            &["group", "transport"],
        ],
    ),
    ("lepton-migrate", &[&["lib"], &["control"], &["assemble"], &["plan"], &["driver"], &["objects"], &["spec"]]),
    ("lepton-cloud", &[&["lib"], &["interop"]]),
    ("lepton-object-store", &[&["main"], &["lib"]]),
    (
        "lepton-s3-front",
        &[
            &["lib"],
            &["server"],
            &["service"],
            &["s3"],
            &["backend"],
            &["payload"],
            &["call"],
            &["auth"],
            &["wire"],
            &["hooks", "stats"],
            &["forward", "request", "sink", "tls"],
            &["protocol"],
        ],
    ),
    (
        "xtask",
        &[
            &["main"],
            &["test"],
            &["bench", "storm", "transcript"],
            &["build_cost", "fuzz", "services"],
            &["binaries", "checks", "tools"],
            &["failures"],
            &["process"],
            &["capture", "parts"],
        ],
    ),
];

/// The table of a package.
pub(super) fn rows_of(package: &str) -> Option<Rows> {
    PACKAGES.iter().find(|(name, _)| *name == package).map(|(_, rows)| *rows)
}

/// Imports that do not go downwards, and modules that are in no row.
pub(super) fn upward(rows: &[&[&str]], sources: &Path, graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    let row = |folder: &str| rows.iter().position(|row| row.contains(&folder));
    for (file, imports) in graph.iter().filter(|(file, _)| file.starts_with(sources)) {
        let from = folder(sources, file);
        let Some(above) = row(&from) else {
            found.push(format!("{} has no row in xtask/src/checks/modules/layers.rs", file.display()));
            continue;
        };
        for (imported, name) in imports {
            let to = folder(sources, imported);
            if to != from && row(&to).is_some_and(|below| below <= above) {
                let (file, imported) = (file.display(), imported.display());
                found.push(format!("{file} imports {name} of {imported}: {from} may not import {to}"));
            }
        }
    }
    found
}

/// The folder or file directly below the sources.
fn folder(sources: &Path, file: &Path) -> String {
    let below = file.strip_prefix(sources).unwrap_or(file);
    let first = below.components().next().map_or(below, |first| Path::new(first.as_os_str()));
    first.with_extension("").display().to_string()
}
