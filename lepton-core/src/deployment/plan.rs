//! What a provider reports before it changes anything.

use std::collections::BTreeSet;
use std::fmt;

use super::spec::WorkloadSpec;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Good to know.
    Info,
    /// It works, but perhaps not as meant.
    Warning,
    /// It cannot work.
    Error,
}

/// Something that a preflight found. A preflight writes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// What it is about: a field, a permission, a quota.
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl Finding {
    /// A finding.
    pub fn new(
        severity: Severity,
        subject: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity, subject: subject.into(), message: message.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.subject, self.message, self.remedy)
    }
}

/// What an apply would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// Nothing: the workload is as the spec says.
    Unchanged,
    /// It makes the workload.
    Create,
    /// It replaces replicas by the update strategy.
    Update,
    /// It deletes the workload and makes another, because a field cannot be changed.
    Replace,
}

/// A field that an apply would change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The field, as in a file: `readinessProbe.periodSeconds`.
    pub field: String,
    /// Its value now, if it has one. The value of a secret is never here.
    pub from: Option<String>,
    /// Its value afterwards, if it has one.
    pub to: Option<String>,
}

/// What an apply would do, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeploymentPlan {
    /// What it would do.
    pub change: Change,
    /// The fields that differ.
    pub differences: Vec<Difference>,
}

impl DeploymentPlan {
    /// Compares what is applied with what is requested. `secrets_changed` says that the value of
    /// a secret is another one.
    pub fn compare(applied: Option<&WorkloadSpec>, spec: &WorkloadSpec, secrets_changed: bool) -> Self {
        let Some(applied) = applied else {
            return Self { change: Change::Create, differences: differences(None, spec) };
        };
        let mut differences = differences(Some(applied), spec);
        if secrets_changed {
            let hidden = || Some("(secret)".to_owned());
            differences.push(Difference { field: "secrets".into(), from: hidden(), to: hidden() });
        }
        let change = if differences.is_empty() { Change::Unchanged } else { Change::Update };
        Self { change, differences }
    }
}

impl fmt::Display for DeploymentPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.change {
            Change::Unchanged => "unchanged",
            Change::Create => "create",
            Change::Update => "update",
            Change::Replace => "replace",
        };
        f.write_str(word)?;
        for Difference { field, from, to } in &self.differences {
            match (from, to) {
                (Some(from), Some(to)) => write!(f, "\n  ~ {field}: {from} → {to}")?,
                (None, Some(to)) => write!(f, "\n  + {field}: {to}")?,
                (Some(from), None) => write!(f, "\n  - {field}: {from}")?,
                (None, None) => {}
            }
        }
        Ok(())
    }
}

fn differences(applied: Option<&WorkloadSpec>, spec: &WorkloadSpec) -> Vec<Difference> {
    // A spec is made of strings, numbers and maps with string keys, which JSON holds.
    let json = |spec: &WorkloadSpec| serde_json::to_value(spec).unwrap_or_default();
    let mut found = Vec::new();
    let from = applied.map(json);
    collect(String::new(), from.as_ref(), Some(&json(spec)), &mut found);
    found
}

/// The differences between two values, down to their leaves.
fn collect<'a>(
    field: String,
    from: Option<&'a serde_json::Value>,
    to: Option<&'a serde_json::Value>,
    found: &mut Vec<Difference>,
) {
    use serde_json::Value::Object;
    if from == to {
        return;
    }
    let names: BTreeSet<&String> = match (from, to) {
        (Some(Object(from)), Some(Object(to))) => from.keys().chain(to.keys()).collect(),
        (Some(Object(map)), None) | (None, Some(Object(map))) => map.keys().collect(),
        _ => BTreeSet::new(),
    };
    if names.is_empty() {
        let text = |value: Option<&serde_json::Value>| value.map(ToString::to_string);
        found.push(Difference { field, from: text(from), to: text(to) });
        return;
    }
    for name in names {
        let below = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
        let of = |value: Option<&'a serde_json::Value>| value.and_then(|value| value.get(name));
        collect(below, of(from), of(to), found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_can_read_what_differs() {
        let mut spec = WorkloadSpec::of_command("shop", ["/bin/shop"]);
        spec.env.insert("MODE".into(), "a".into());
        let created = DeploymentPlan::compare(None, &spec, false);
        assert!(created.to_string().starts_with("create\n  + command: [\"/bin/shop\"]"), "{created}");
        let mut next = spec.clone();
        next.env = [("MODE".to_owned(), "b".to_owned()), ("NEW".to_owned(), "1".to_owned())].into();
        next.replicas = 3;
        let plan = DeploymentPlan::compare(Some(&spec), &next, true);
        let expected = "update\n  ~ env.MODE: \"a\" → \"b\"\n  + env.NEW: \"1\"\n  ~ replicas: 1 → 3\n  \
                        ~ secrets: (secret) → (secret)";
        assert_eq!(plan.to_string(), expected);
        assert_eq!(DeploymentPlan::compare(Some(&spec), &spec, false).change, Change::Unchanged);
        let mut overlaid = spec.clone();
        overlaid.overlay.insert("process".into(), serde_json::json!({}));
        assert_eq!(
            DeploymentPlan::compare(Some(&spec), &overlaid, false).to_string(),
            "update\n  + overlay.process: {}"
        );
    }
}
