//! What of side A is left in the workloads of side B.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::findings::Findings;
use crate::spec::data_set::{DataSetSpec, WritersSpec};
use crate::spec::migration::MigrationSpec;
use crate::spec::place::{Name, Place};
use crate::spec::redact::{HIDDEN, could_be_secret, follows_secret_option, redact};
use crate::spec::workload::{Variable, WorkloadEntry};

pub(super) fn check(spec: &MigrationSpec, found: &mut Findings) {
    let sides: Vec<Sides<'_>> = spec.data_sets.iter().map(Sides::of).collect();
    let all_of_b: BTreeSet<&Name> = sides.iter().flat_map(|sides| &sides.b).collect();
    for workload in &spec.workloads {
        for field in fields(workload) {
            let mut named = BTreeSet::new();
            for sides in &sides {
                let bound = field.bound_to.as_deref() == Some(sides.set.name.as_str());
                // A name that both sides have is no evidence. Only a binding shows to which data set
                // a variable belongs.
                let is_of_b = |name: &Name| if bound { sides.b.contains(name) } else { all_of_b.contains(name) };
                let only_a: BTreeSet<&Name> = sides.a.iter().filter(|name| !is_of_b(name)).collect();
                // A host is found with each port.
                let host_is_in = |name: &Name| name.host().is_some_and(|host| only_a.contains(&host));
                for name in only_a.iter().filter(|name| !host_is_in(name) && is_in(name, &field.text)) {
                    if named.insert((*name).clone()) {
                        report(workload, &field, sides.set, name, bound, found);
                    }
                }
            }
        }
        shared_secrets(spec, workload, found);
    }
}

/// The names of a data set at both sides.
struct Sides<'a> {
    set: &'a DataSetSpec,
    a: BTreeSet<Name>,
    b: BTreeSet<Name>,
}

impl<'a> Sides<'a> {
    fn of(set: &'a DataSetSpec) -> Self {
        let (mut a, mut b) = (Place::new(&set.a).names(), Place::new(&set.b).names());
        if let WritersSpec::Command { a: of_a, b: of_b, .. } = &set.writers {
            a.extend(Place::new(of_a).names());
            b.extend(Place::new(of_b).names());
        }
        Self { set, a: a.into_iter().collect(), b: b.into_iter().collect() }
    }
}

/// A text of a workload.
struct Field {
    name: String,
    text: String,
    /// The data set that the variable is bound to.
    bound_to: Option<String>,
    /// Its value could be a secret as a whole.
    hidden: bool,
}

/// The environment, the command, the arguments and the overlay.
fn fields(workload: &WorkloadEntry) -> Vec<Field> {
    let spec = &workload.spec;
    let bindings: BTreeMap<&str, &str> = workload
        .bindings
        .iter()
        .filter_map(|binding| match &binding.variable {
            Variable::Env(name) => Some((name.as_str(), binding.data_set.as_str())),
            Variable::Secret(_) => None,
        })
        .collect();
    let mut fields = Vec::new();
    for (name, text) in &spec.env {
        let bound_to = bindings.get(name.as_str()).map(|set| (*set).to_owned());
        fields.push(Field { name: format!("env.{name}"), text: text.clone(), bound_to, hidden: could_be_secret(name) });
    }
    for (list, texts) in [("command", &spec.command), ("args", &spec.args)] {
        for (index, text) in texts.iter().enumerate() {
            let (name, hidden) = (format!("{list}[{index}]"), follows_secret_option(texts, index));
            fields.push(Field { name, text: text.clone(), bound_to: None, hidden });
        }
    }
    for (provider, value) in &spec.overlay {
        strings(&format!("overlay.{provider}"), value, could_be_secret(provider), &mut fields);
    }
    fields
}

/// The strings of a value.
fn strings(name: &str, value: &Value, hidden: bool, fields: &mut Vec<Field>) {
    match value {
        Value::String(text) => {
            fields.push(Field { name: name.to_owned(), text: text.clone(), bound_to: None, hidden });
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                strings(&format!("{name}[{index}]"), value, hidden, fields);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                strings(&format!("{name}.{key}"), value, hidden || could_be_secret(key), fields);
            }
        }
        _ => {}
    }
}

/// A host, and a bucket in a bound variable or as the bucket of a URL, is an error. Elsewhere the
/// name of a bucket can be a word that means something else.
fn report(workload: &WorkloadEntry, field: &Field, set: &DataSetSpec, name: &Name, bound: bool, found: &mut Findings) {
    let text = if field.hidden { HIDDEN.to_owned() } else { redact(&field.text, could_be_secret) };
    let subject = format!("workloads[{}].spec.{}", workload.name(), field.name);
    let kind = if matches!(name, Name::Host(_)) { "host" } else { "bucket" };
    let message = format!("the {kind} {} of side A of the data set {} is in {text:?}", name.text(), set.name);
    let remedy = "name what side B has in its place";
    let certain = match name {
        Name::Host(_) => true,
        Name::Bucket(bucket) => bound || occurs(&decoded(&field.text), &format!("://{bucket}"), |_| true, |_| true),
    };
    match certain {
        true => found.error(subject, message, remedy),
        false => found.warning(subject, message, remedy),
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Whether a name is in a text as a whole, also with percent-encoding around it.
fn is_in(name: &Name, text: &str) -> bool {
    let texts = [text.to_owned(), decoded(text)];
    match name {
        // `x.host` is below the host; `host.x` is another one.
        Name::Host(host) => texts.iter().any(|text| {
            let text = text.to_ascii_lowercase();
            occurs(&text, host, |c| c == '.', |after| !after.starts_with('.') || !after[1..].starts_with(is_part))
        }),
        Name::Bucket(bucket) => texts.iter().any(|text| occurs(text, bucket, |_| false, |_| true)),
    }
}

/// Whether `name` occurs between characters that cannot be part of it. `may_precede` are
/// characters that may stand before it all the same; `ends` decides on what follows it.
fn occurs(text: &str, name: &str, may_precede: fn(char) -> bool, ends: impl Fn(&str) -> bool) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let begins = before.chars().next_back().is_none_or(|c| may_precede(c) || !is_part(c));
        begins && !after.starts_with(is_part) && ends(after)
    })
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_'
}

/// Secrets of side B whose reference side A uses too: after the migration both sides would have
/// the same credentials.
fn shared_secrets(spec: &MigrationSpec, workload: &WorkloadEntry, found: &mut Findings) {
    for (name, reference) in &workload.spec.secrets {
        let reference = reference.to_string();
        for set in &spec.data_sets {
            let mut texts = vec![decoded(&set.a)];
            match &set.writers {
                WritersSpec::Command { command, a, .. } => {
                    texts.push(decoded(a));
                    texts.extend(command.iter().cloned());
                }
                WritersSpec::Scale { a, .. } => texts.push(a.deployment.clone()),
                WritersSpec::RouterOnly => {}
            }
            if texts.iter().any(|text| occurs(text, &reference, |_| false, |_| true)) {
                let subject = format!("workloads[{}].spec.secrets.{name}", workload.name());
                let message = format!("side A of the data set {} uses {reference} too", set.name);
                found.warning(subject, message, "use credentials of side B");
            }
        }
    }
}
