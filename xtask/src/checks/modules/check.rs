//! Applies the module rules to each package of the workspace.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::cycles::cycles;
use super::layers::{rows_of, upward};
use super::tree::{Graph, Tree};
use crate::process::root;

/// Packages that consist only of tests and benchmarks.
const ONLY_TESTS: [&str; 2] = ["lepton-benches", "lepton-tests"];

/// Reports the violations in the package in this folder.
pub(crate) fn check(package: &str, folder: &Path) -> Result<Vec<String>> {
    let roots = roots(folder)?;
    if roots.is_empty() && !ONLY_TESTS.contains(&package) {
        return Ok(vec![format!("{package} has neither a library nor a program whose modules could be read")]);
    }
    let mut graph = Graph::new();
    for root in roots {
        Tree::read(&root)?.imports(&mut graph);
    }
    let graph = within(&root(), graph);
    let mut found = in_cycles(&graph);
    let sources = folder.join("src");
    if sources.exists() {
        let sources = sources.strip_prefix(root()).unwrap_or(&sources);
        match rows_of(package) {
            Some(rows) => found.extend(upward(rows, sources, &graph)),
            None => found.push(format!("{package} has no table in xtask/src/checks/modules/layers.rs")),
        }
    }
    Ok(found)
}

/// The root files of the library and of the programs.
fn roots(folder: &Path) -> Result<Vec<PathBuf>> {
    let path = folder.join("Cargo.toml");
    let manifest = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let usual = ["src/lib.rs", "src/main.rs"].map(|file| folder.join(file));
    let named = programs(&manifest).into_iter().map(|path| folder.join(path));
    Ok(usual.into_iter().filter(|file| file.exists()).chain(named).collect())
}

/// The program paths in a manifest.
fn programs(manifest: &str) -> Vec<&str> {
    let sections = manifest.split("\n[").filter_map(|section| section.strip_prefix("[bin]]"));
    let path = |section| str::lines(section).find_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
    sections.filter_map(path).collect()
}

/// The graph with paths relative to the repository.
pub(super) fn within(root: &Path, graph: Graph) -> Graph {
    let short = |file: PathBuf| file.strip_prefix(root).map(Path::to_path_buf).unwrap_or(file);
    let imports = |imports: BTreeMap<_, _>| imports.into_iter().map(|(to, name)| (short(to), name));
    graph.into_iter().map(|(file, all)| (short(file), imports(all).collect())).collect()
}

/// Each cycle as a chain of files, with a name that each file imports from the next.
pub(super) fn in_cycles(graph: &Graph) -> Vec<String> {
    let report = |cycle: Vec<&Path>| {
        let mut text = format!("files import each other in a cycle: {}", cycle[0].display());
        for (place, file) in cycle.iter().enumerate() {
            let next = cycle[(place + 1) % cycle.len()];
            text.push_str(&format!(" → {} ({})", next.display(), graph[*file][next]));
        }
        text
    };
    cycles(graph).into_iter().map(report).collect()
}
