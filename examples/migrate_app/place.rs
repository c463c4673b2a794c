//! Which migration a command is for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use lepton::core::SystemRuntime;
use lepton::core::resolver::Resolver;
use lepton::providers::resolve::UrlResolver;

use crate::say::say;

/// The variable by which the demonstration names the stages at which its driver stops itself.
pub(crate) const STOPS: &str = "MIGRATE_APP_STOPS";

/// The exit code after a signal.
pub(crate) const STOPPED: u8 = 130;

/// The exit code where a person has to decide, or a plan has errors.
pub(crate) const DECIDE: u8 = 1;

/// Which migration.
#[derive(Args, Clone)]
pub(crate) struct Place {
    /// The specification: a file in TOML, YAML or JSON.
    spec: PathBuf,
    /// The folder of the state; by default next to the specification, with its name and `.state`.
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Write one JSON object for each line.
    #[arg(long)]
    json: bool,
}

impl Place {
    pub(crate) fn of(spec: impl Into<PathBuf>) -> Self {
        Self { spec: spec.into(), state: None, json: false }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| self.spec.with_extension("state"))
    }

    pub(crate) fn spec(&self) -> &Path {
        &self.spec
    }

    /// Shows a line, or in its place one JSON object.
    pub(crate) fn say(&self, line: &str, fields: &serde_json::Value) {
        if self.json { say!("{fields}") } else { say!("{line}") }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// The folder of the migration's journal.
    pub(crate) fn journal(&self) -> PathBuf {
        lepton::migrate::journal(&self.folder())
    }
}

/// Opens places by their URLs.
pub(crate) fn resolver() -> Arc<dyn Resolver> {
    Arc::new(UrlResolver::new(SystemRuntime::shared()))
}
