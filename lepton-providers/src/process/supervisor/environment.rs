//! The environment of a replica.
//!
//! It is made anew: what the driver has in its own, such as credentials, does not reach a
//! replica, except for a few variables that describe the user and the machine.

use std::collections::BTreeMap;
use std::process::Command;

use lepton_core::{Error, ErrorKind, Result};
use secrecy::ExposeSecret as _;

use crate::process::state::{Record, StateDir, Values, read_values};
use crate::process::system::Scope;

/// The variables that a replica inherits from the supervisor.
pub(in crate::process) const INHERITED: [&str; 9] =
    ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER"];

/// The variables of a replica. They do not print.
pub(super) struct Environment {
    plain: BTreeMap<String, String>,
    secret: Values,
}

impl Environment {
    /// The environment of this replica.
    ///
    /// # Errors
    /// `not_found` if the values of its secrets are gone.
    pub(super) fn of(state_dir: &StateDir, owner: &str, record: &Record) -> Result<Self> {
        let spec = &record.applied.spec;
        let inherited = INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
        let mut plain: BTreeMap<_, _> = inherited.collect();
        plain.extend(spec.env.clone());
        for (index, port) in spec.ports.iter().enumerate() {
            let number = record.ports.get(&port.name).copied().unwrap_or(port.container_port).to_string();
            if index == 0 {
                plain.insert("PORT".into(), number.clone());
            }
            plain.insert(format!("PORT_{}", variable(&port.name)), number);
        }
        let scope = Scope { state_id: &state_dir.id, workload: &spec.name };
        plain.extend(scope.markers(owner, &record.id).map(|(name, value)| (name.to_owned(), value)));
        let secret = match &record.applied.secrets {
            None => Values::new(),
            Some(kept) => read_values(&kept.file)?.ok_or_else(|| {
                let message = "the values of its secrets are gone, as after a restart of the machine; apply it again";
                Error::new(ErrorKind::NotFound, message)
            })?,
        };
        Ok(Self { plain, secret })
    }

    /// Makes this the environment of a command.
    pub(super) fn apply(&self, command: &mut Command) {
        command.env_clear().envs(&self.plain);
        for (name, value) in &self.secret {
            command.env(name, value.expose_secret());
        }
    }
}

/// A name as part of the name of a variable.
fn variable(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}
