//! What this provider can run, and its own part of a spec.

use std::path::PathBuf;

use lepton_core::deployment::{ProbeAction, WorkloadSpec};
use lepton_core::{Error, Result};
use serde::Deserialize;

/// The key of the overlay.
const KEY: &str = "process";

/// The overlay `process`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Overlay {
    /// The folder in which the program starts; `/` by default.
    #[serde(default)]
    pub(super) working_directory: Option<PathBuf>,
}

impl Overlay {
    /// The overlay of a spec.
    ///
    /// # Errors
    /// `invalid_input` for a field that this provider does not know.
    pub(super) fn of(spec: &WorkloadSpec) -> Result<Self> {
        let Some(value) = spec.overlay.get(KEY) else { return Ok(Self::default()) };
        let overlay: Self = serde_json::from_value(value.clone())
            .map_err(|error| Error::invalid_input(format!("overlay.{KEY} of the workload: {error}")))?;
        match &overlay.working_directory {
            Some(folder) if !folder.is_absolute() => {
                let message = format!("overlay.{KEY}.workingDirectory is {}; it must be absolute", folder.display());
                Err(Error::invalid_input(message))
            }
            _ => Ok(overlay),
        }
    }

    /// The folder in which the program starts.
    pub(super) fn folder(&self) -> PathBuf {
        self.working_directory.clone().unwrap_or_else(|| "/".into())
    }
}

/// Checks a spec, and that this provider can run it.
///
/// # Errors
/// `invalid_input` for what no provider accepts, `unsupported` for what this one cannot do.
pub(super) fn check(spec: &WorkloadSpec) -> Result<()> {
    spec.check()?;
    Overlay::of(spec)?;
    for probe in [&spec.startup_probe, &spec.readiness_probe, &spec.liveness_probe].into_iter().flatten() {
        if let ProbeAction::HttpGet(get) = probe.action()?
            && !get.path.bytes().all(|byte| byte.is_ascii_graphic())
        {
            let message = format!("httpGet.path is {:?}; it must be percent-encoded", get.path);
            return Err(Error::invalid_input(message));
        }
    }
    let texts = spec.command.iter().chain(&spec.args).chain(spec.env.values());
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err(Error::invalid_input("an argument or variable of the workload contains a NUL character"));
    }
    match unsupported(spec) {
        Some((field, why)) => {
            Err(Error::unsupported(format!("{field} of the workload: {why}")).with_context("field", field))
        }
        None => Ok(()),
    }
}

/// A field that this provider cannot honour, and why.
pub(super) fn unsupported(spec: &WorkloadSpec) -> Option<(&'static str, &'static str)> {
    if spec.image.is_some() {
        return Some(("image", "processes of the machine have no image; give a `command`"));
    }
    if !spec.volumes.is_empty() {
        return Some(("volumes", "without a container nothing can be mounted; give the program a path in `env`"));
    }
    limits(spec).map(|field| (field, "this provider limits neither processor time nor memory"))
}

/// A limit that the spec sets.
pub(super) fn limits(spec: &WorkloadSpec) -> Option<&'static str> {
    match (&spec.resources.cpu, &spec.resources.memory) {
        (Some(_), _) => Some("resources.cpu"),
        (None, Some(_)) => Some("resources.memory"),
        (None, None) => None,
    }
}
