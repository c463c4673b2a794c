//! The plan that a journal belongs to.

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

/// The identity of the plan that a journal belongs to: its source, its destination and
/// every option that changes bytes, names or deletes. It never contains credentials, or
/// anything that may differ when a run is resumed, such as concurrency.
pub type Identity = Map<String, Value>;

/// Refuses a journal of another plan and names every difference.
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
        "the journal belongs to another plan: {}; use the same options or another journal folder, or begin anew",
        differences.join("; ")
    );
    Err(Error::new(ErrorKind::PlanMismatch, message))
}
