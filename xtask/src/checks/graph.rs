//! Rules about the dependency graph of the crates, read from `cargo tree`, and about the
//! modules inside each crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::modules;
use crate::process::{output, program, root};

/// The package that users depend on.
pub(crate) const FACADE: &str = "lepton-cloud";

/// The packages of ours that each package may depend on. Each member of the workspace has a
/// row; a row without a member is for a planned package.
const LAYERS: [(&str, &[&str]); 12] = [
    ("lepton-core", &[]),
    ("lepton-providers", &["lepton-core"]),
    ("lepton-data", &["lepton-core"]),
    ("lepton-migrate", &["lepton-core", "lepton-data"]),
    (FACADE, &["lepton-core", "lepton-data", "lepton-migrate", "lepton-providers"]),
    ("lepton-ffi", &[FACADE, "lepton-core", "lepton-data", "lepton-migrate", "lepton-providers"]),
    ("lepton-s3-front", &["lepton-core"]),
    (
        "lepton-examples",
        &[FACADE, "lepton-core", "lepton-data", "lepton-migrate", "lepton-providers", "lepton-s3-front"],
    ),
    ("lepton-object-store", &[FACADE, "lepton-core", "lepton-data", "lepton-migrate", "lepton-providers"]),
    ("lepton-tests", &[]),
    ("lepton-benches", &[]),
    ("xtask", &[]),
];

/// The HTTP and TLS stack: hyper and rustls on ring. No other stack may be used, and each of
/// these crates only in one version.
const STACK: [&str; 5] = ["hyper", "hyper-rustls", "rustls", "ring", "http"];

/// Other stacks, each of which would be a second one.
const OTHER_STACKS: [&str; 16] = [
    "actix-http",
    "attohttpc",
    "awc",
    "aws-lc-rs",
    "aws-lc-sys",
    "boring",
    "boring-sys",
    "curl",
    "curl-sys",
    "isahc",
    "native-tls",
    "openssl",
    "openssl-sys",
    "reqwest",
    "s2n-tls",
    "ureq",
];

/// A build whose cost is limited.
pub(crate) struct Build {
    pub(crate) name: &'static str,
    pub(crate) features: &'static [&'static str],
    /// Maximum number of crates, including our own.
    pub(crate) crates: usize,
    /// Seconds of a cold debug build on two cores.
    pub(crate) seconds: u32,
}

const LOCAL: Build =
    Build { name: "local only", features: &["--no-default-features", "--features", "local"], crates: 70, seconds: 30 };
const DEFAULT: Build = Build { name: "default (local, s3)", features: &[], crates: 160, seconds: 70 };
pub(crate) const BUILDS: [Build; 2] = [LOCAL, DEFAULT];

impl Build {
    /// The number of crates that the façade pulls in with these features.
    pub(crate) fn count(&self) -> Result<usize> {
        let Crates(versions) = tree(FACADE, self.features)?;
        Ok(versions.values().map(BTreeSet::len).sum())
    }
}

/// Checks every rule and reports each violation.
pub(crate) fn check() -> Result<()> {
    let members = members()?;
    let mut violations = unknown(&members);
    for (name, folder) in &members {
        violations.extend(modules::check(name, folder)?);
    }
    for (name, allowed) in LAYERS.iter().filter(|(name, _)| members.contains_key(*name)) {
        violations.extend(tree(name, &["--all-features"])?.beyond(name, allowed));
    }
    violations.extend(tree(FACADE, &["--all-features"])?.second_stacks());
    violations.extend(tree(FACADE, LOCAL.features)?.network());
    violations.extend(forgotten_tests()?);
    for build in &BUILDS {
        let count = build.count()?;
        println!("{}: {count} crates of at most {}", build.name, build.crates);
        if count > build.crates {
            violations
                .push(format!("the build {} has {count} crates, at most {} are allowed", build.name, build.crates));
        }
    }
    if !violations.is_empty() {
        bail!("{}", violations.join("\n"));
    }
    Ok(())
}

/// The packages of the workspace, each with its folder.
fn members() -> Result<BTreeMap<String, PathBuf>> {
    let tree = ["tree", "--locked", "--workspace", "--depth", "0", "--prefix", "none"];
    // Lines such as `lepton-core v0.1.0 (/home/user/lepton/lepton-core)`.
    let member = |line: &str| {
        let (name, rest) = line.split_once(' ')?;
        let (_, folder) = rest.split_once('(')?;
        Some((name.to_owned(), PathBuf::from(folder.split_once(')')?.0)))
    };
    Ok(output(&mut program("cargo", &tree))?.lines().filter_map(member).collect())
}

fn unknown(members: &BTreeMap<String, PathBuf>) -> Vec<String> {
    let unknown = members.keys().filter(|member| !LAYERS.iter().any(|(name, _)| name == member));
    let message = |member| format!("{member} has no row in LAYERS, in xtask/src/checks/graph.rs");
    unknown.map(message).collect()
}

/// Test files missing from the manifest of `tests`. Cargo does not discover tests in a folder
/// that contains the manifest itself, so a test that the manifest does not list would never
/// run.
fn forgotten_tests() -> Result<Vec<String>> {
    let folder = root().join("tests");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).context("cannot read tests/Cargo.toml")?;
    let mut forgotten = Vec::new();
    for entry in fs::read_dir(&folder).context("cannot read tests")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let path = if folder.join(&name).join("main.rs").exists() { format!("{name}/main.rs") } else { name };
        if path.ends_with(".rs") && !manifest.contains(&format!("path = \"{path}\"")) {
            forgotten.push(format!("tests/Cargo.toml does not name {path}"));
        }
    }
    Ok(forgotten)
}

/// Crate names with their versions, as normal and build dependencies.
struct Crates(BTreeMap<String, BTreeSet<String>>);

fn tree(package: &str, features: &[&str]) -> Result<Crates> {
    let arguments = ["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--package", package];
    Ok(Crates::parse(&output(program("cargo", &arguments).args(features))?))
}

impl Crates {
    /// Lines such as `bytes v1.11.0` and `serde_derive v1.0.228 (proc-macro) (*)`.
    fn parse(tree: &str) -> Self {
        let mut crates: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for line in tree.lines() {
            let mut words = line.split_whitespace();
            if let (Some(name), Some(version)) = (words.next(), words.next()) {
                crates.entry(name.to_owned()).or_default().insert(version.to_owned());
            }
        }
        Self(crates)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Our crates that `name` depends on although it may not.
    fn beyond(&self, name: &str, allowed: &[&str]) -> Vec<String> {
        let ours = self.0.keys().filter(|found| found.starts_with("lepton-"));
        let beyond = ours.filter(|found| *found != name && !allowed.contains(&found.as_str()));
        beyond.map(|found| format!("{name} may not depend on {found}")).collect()
    }

    fn second_stacks(&self) -> Vec<String> {
        let others = OTHER_STACKS.iter().filter(|name| self.has(name));
        let others = others.map(|name| format!("{name} is a second HTTP or TLS stack beside hyper and rustls"));
        let twice =
            STACK.iter().filter_map(|name| Some((name, self.0.get(*name)?))).filter(|(_, found)| found.len() > 1);
        others.chain(twice.map(|(name, versions)| format!("{name} comes in several versions: {versions:?}"))).collect()
    }

    fn network(&self) -> Vec<String> {
        let found = STACK.iter().chain(&OTHER_STACKS).filter(|name| self.has(name));
        found.map(|name| format!("a build for local disks only pulls {name}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
lepton-cloud v0.1.0 (/home/user/lepton)
lepton-core v0.1.0 (/home/user/lepton/lepton-core)
bytes v1.11.0
async-trait v0.1.89 (proc-macro)
lepton-providers v0.1.0 (/home/user/lepton/lepton-providers)
lepton-core v0.1.0 (/home/user/lepton/lepton-core) (*)
hyper v1.8.1
rustls v0.23.1
";

    fn with(lines: &str) -> Crates {
        Crates::parse(&format!("{TREE}{lines}"))
    }

    #[test]
    fn counts_each_crate_and_version_once() {
        assert_eq!(with("bytes v1.11.0 (*)\nbytes v0.5.0\n").0.values().map(BTreeSet::len).sum::<usize>(), 8);
    }

    #[test]
    fn a_layer_that_reaches_up_is_named() {
        assert_eq!(with("").beyond(FACADE, &["lepton-core", "lepton-providers"]), Vec::<String>::new());
        assert_eq!(
            with("").beyond("lepton-core", &[]),
            ["lepton-core may not depend on lepton-cloud", "lepton-core may not depend on lepton-providers"]
        );
    }

    #[test]
    fn a_package_without_a_row_is_named() {
        let members = ["lepton-core", "lepton-new", "xtask"].map(|name| (name.to_owned(), PathBuf::new()));
        let unknown = unknown(&BTreeMap::from(members));
        assert!(matches!(&unknown[..], [one] if one.starts_with("lepton-new has no row")), "{unknown:?}");
    }

    #[test]
    fn a_second_stack_is_named() {
        assert_eq!(with("").second_stacks(), Vec::<String>::new());
        assert_eq!(
            with("reqwest v0.12.0\n").second_stacks(),
            ["reqwest is a second HTTP or TLS stack beside hyper and rustls"]
        );
        assert_eq!(with("hyper v0.14.0\n").second_stacks().len(), 1);
        assert_eq!(with("aws-lc-sys v0.30.0\nnative-tls v0.2.0\n").second_stacks().len(), 2);
    }

    #[test]
    fn a_local_build_with_a_network_stack_is_named() {
        assert_eq!(
            with("").network(),
            ["a build for local disks only pulls hyper", "a build for local disks only pulls rustls"]
        );
    }
}
