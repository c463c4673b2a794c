//! The digest of a specification.

use lepton_core::Sha256;
use serde_json::Value;

use super::migration::MigrationSpec;
use super::redact::{HIDDEN, could_be_secret, is_secret, redact};

impl MigrationSpec {
    /// The SHA-256 of everything that matters, in hexadecimal digits: the same for each format,
    /// for each order of the fields, and for each way to write a default, a duration or a size.
    /// References to secrets count. The values of secrets do not: those that a file holds against
    /// the rules, such as a password in a URL, are left out.
    pub fn digest(&self) -> String {
        digest(self)
    }
}

fn digest(spec: &MigrationSpec) -> String {
    // A specification is made of strings, numbers and maps with string keys, which JSON holds.
    let mut json = serde_json::to_value(spec).unwrap_or_default();
    for test in json["tests"].as_array_mut().into_iter().flatten() {
        let headers = test.pointer_mut("/http/headers").and_then(Value::as_object_mut);
        for (_, value) in headers.into_iter().flatten().filter(|(name, _)| could_be_secret(name)) {
            *value = HIDDEN.into();
        }
    }
    let mut text = String::new();
    canonical(&json, &mut text);
    Sha256::of(text.as_bytes()).to_string()
}

/// JSON without white space, with the names of each map in the order of their bytes, and without
/// secrets.
fn canonical(value: &Value, text: &mut String) {
    let string = |value: &str| Value::from(value).to_string();
    match value {
        Value::String(value) => text.push_str(&string(&redact(value, is_secret))),
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                text.push(if index == 0 { '[' } else { ',' });
                canonical(value, text);
            }
            text.push_str(if values.is_empty() { "[]" } else { "]" });
        }
        Value::Object(map) => {
            // The map of `serde_json` keeps another order where a dependency asks for it.
            let mut names: Vec<&String> = map.keys().collect();
            names.sort();
            for (index, name) in names.iter().enumerate() {
                text.push(if index == 0 { '{' } else { ',' });
                text.push_str(&string(name));
                text.push(':');
                canonical(&map[*name], text);
            }
            text.push_str(if map.is_empty() { "{}" } else { "}" });
        }
        other => text.push_str(&other.to_string()),
    }
}
