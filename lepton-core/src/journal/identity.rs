//! The plan that a journal belongs to.

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

/// What a journal belongs to: the plan's source, destination and every option
/// that changes bytes, names or deletes. Never credentials, and nothing that may
/// differ when a run is taken up again, such as concurrency.
pub type Identity = Map<String, Value>;

/// Refuses a journal of another plan, naming every difference.
pub(super) fn same_plan(found: &Identity, wanted: &Identity) -> Result<()> {
    let names = found.keys().chain(wanted.keys().filter(|name| !found.contains_key(*name)));
    let show = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    let differences: Vec<String> = names
        .filter(|name| found.get(*name) != wanted.get(*name))
        .map(|name| format!("{name} was {} and is now {}", show(found.get(name)), show(wanted.get(name))))
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the journal belongs to another plan: {}; use the same options or another journal folder",
        differences.join("; ")
    );
    Err(Error::new(ErrorKind::PlanMismatch, message))
}
