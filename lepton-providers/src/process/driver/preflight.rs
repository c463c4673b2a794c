//! What would keep a workload from running.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use lepton_core::Result;
use lepton_core::deployment::{Finding, Severity, UpdateStrategy, WorkloadSpec};

use super::apply::read;
use super::shared::Driver;
use crate::process::overlay::{Overlay, limits, unsupported};
use crate::process::supervisor::is_free;

pub(super) fn preflight(driver: &Driver, spec: &WorkloadSpec) -> Result<Vec<Finding>> {
    let wrong = |error: lepton_core::Error| {
        vec![Finding::new(Severity::Error, &*spec.name, error.to_string(), "correct the field that the message names")]
    };
    if let Err(error) = spec.check() {
        return Ok(wrong(error));
    }
    let overlay = match Overlay::of(spec) {
        Ok(overlay) => overlay,
        Err(error) => return Ok(wrong(error)),
    };
    let mut found = Vec::new();
    if let Some(field) = limits(spec) {
        let message = "this provider limits neither processor time nor memory, and refuses to apply it";
        found.push(Finding::new(
            Severity::Warning,
            field,
            message,
            "remove the limits, or deploy to a place that has them",
        ));
    } else if let Some((field, why)) = unsupported(spec) {
        found.push(Finding::new(
            Severity::Error,
            field,
            why,
            "remove the field, or deploy to a place that supports it",
        ));
    }
    if !overlay.folder().is_dir() {
        let message = format!("there is no folder {}", overlay.folder().display());
        found.push(Finding::new(Severity::Error, "workingDirectory", message, "create it"));
    }
    found.extend(program(spec, &overlay));
    if !spec.secrets.is_empty() && driver.secrets.is_none() {
        let message = "this machine has no folder in memory for the values of secrets";
        found.push(Finding::new(
            Severity::Error,
            "secrets",
            message,
            "name a folder with ProcessBuilder::secrets_folder",
        ));
    }
    if !driver.summoner.program().exists() {
        let message = format!("the program of the supervisor, {}, does not exist", driver.summoner.program().display());
        found.push(Finding::new(Severity::Error, "supervisor", message, "name one with ProcessBuilder::supervisor"));
    }
    found.extend(ports(driver, spec)?);
    Ok(found)
}

/// A program that cannot be executed.
fn program(spec: &WorkloadSpec, overlay: &Overlay) -> Option<Finding> {
    let program = spec.command.first()?;
    let executable =
        |path: &Path| path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    let there = if program.contains('/') {
        executable(&overlay.folder().join(program))
    } else {
        let path = spec.env.get("PATH").cloned().or_else(|| std::env::var("PATH").ok()).unwrap_or_default();
        std::env::split_paths(&path).any(|folder: PathBuf| executable(&overlay.folder().join(folder).join(program)))
    };
    (!there).then(|| {
        let message = format!("there is no program {program:?} that could be executed");
        Finding::new(Severity::Error, "command", message, "install it, or correct the command")
    })
}

/// Fixed ports that are taken, or that replicas would have to share.
fn ports(driver: &Driver, spec: &WorkloadSpec) -> Result<Vec<Finding>> {
    let fixed: Vec<_> = spec.ports.iter().filter(|port| port.container_port != 0).collect();
    let mut found = Vec::new();
    let overlap = match spec.strategy {
        UpdateStrategy::RollingUpdate { max_surge, .. } => max_surge > 0,
        _ => false,
    };
    for port in &fixed {
        let subject = format!("ports.{}", port.name);
        if spec.replicas > 1 || overlap {
            let message =
                format!("port {} is the same for replicas that run at once on this machine", port.container_port);
            let remedy = "let the program share the port (SO_REUSEPORT), give port 0, or use one replica and Recreate";
            found.push(Finding::new(Severity::Warning, &*subject, message, remedy));
        }
        if read(driver, &spec.name)?.is_none() && !is_free(port.container_port) {
            let message = format!("another program listens on port {}", port.container_port);
            found.push(Finding::new(Severity::Error, &*subject, message, "end it, or choose another port"));
        }
    }
    Ok(found)
}
