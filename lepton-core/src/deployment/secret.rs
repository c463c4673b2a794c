//! Secrets: references in specs, values only in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::{Error, HmacSha256, Result, to_hex};

/// The shortest value that is looked for in a text, in bytes.
const SHORTEST: usize = 4;

/// Where the value of a secret is found. It is resolved when a workload is applied, never
/// earlier, and the value is in no spec, journal, plan or log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum SecretReference {
    /// `env:NAME`: a variable of the environment of the process that applies.
    Env(String),
    /// `file:/path`: the content of a file, without the line break at its end.
    File(String),
    /// `command:program arguments`: what a program prints, without the line break at its end.
    Command(String),
}

impl FromStr for SecretReference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            // The text may be a value that was written in the place of a reference.
            let form = "`env:NAME`, `file:/path` or `command:program arguments`";
            Error::invalid_input(format!("a secret is given by reference, as {form}; its value is not written here"))
        };
        match text.split_once(':') {
            Some((_, "")) => Err(wrong()),
            Some(("env", name)) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) => Ok(Self::File(path.to_owned())),
            Some(("command", line)) => Ok(Self::Command(line.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for SecretReference {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Command(line) => write!(f, "command:{line}"),
        }
    }
}

impl From<SecretReference> for String {
    fn from(reference: SecretReference) -> Self {
        reference.to_string()
    }
}

/// The values of a workload's secrets, by the name of the variable. They do not print and are
/// wiped when they are dropped.
#[derive(Debug, Clone, Default)]
pub struct Secrets(BTreeMap<String, SecretString>);

impl Secrets {
    /// No secrets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the value of a variable.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The names and values. The caller must not print or store a value.
    pub fn expose(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.expose_secret()))
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The text without the values, for what a provider or a log prints. Values of less than four
    /// bytes are left, because they match unrelated words.
    pub fn redacted(&self, text: &str) -> String {
        let values = self.0.values().map(secrecy::ExposeSecret::expose_secret).filter(|value| value.len() >= SHORTEST);
        values.fold(text.to_owned(), |text, value| text.replace(value, "…"))
    }

    /// A digest by which a provider sees that a value has changed: HMAC-SHA-256 in hexadecimal
    /// digits, so that who lacks the key cannot try values. The provider keeps `key` to itself.
    pub fn keyed_digest(&self, key: &[u8]) -> String {
        let mut mac = HmacSha256::new(key);
        for (name, value) in self.expose() {
            for part in [name.as_bytes(), value.as_bytes()] {
                mac.update(&(part.len() as u64).to_le_bytes());
                mac.update(part);
            }
        }
        to_hex(&mac.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_a_value_in_their_place_is_not_repeated() {
        for text in ["env:KEY", "file:/run/secrets/key", "command:pass show key:1"] {
            assert_eq!(text.parse::<SecretReference>().unwrap().to_string(), text);
        }
        for text in ["hunter2", "https://hunter2", "env:"] {
            let error = text.parse::<SecretReference>().unwrap_err().to_string();
            assert!(error.contains("by reference") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn values_are_left_out_of_a_text() {
        let secrets = Secrets::new().with("A", "horse staple").with("B", "of");
        assert_eq!(secrets.redacted("the log of a: horse staple!"), "the log of a: …!");
    }

    #[test]
    fn the_digest_sees_each_change_and_needs_the_key() {
        let digest = |secrets: &Secrets| secrets.keyed_digest(b"key");
        let one = Secrets::new().with("A", "1").with("B", "2");
        assert_eq!(digest(&one), digest(&Secrets::new().with("B", "2").with("A", "1")));
        assert_ne!(digest(&one), digest(&Secrets::new().with("A", "1").with("B", "3")));
        assert_ne!(digest(&one), digest(&Secrets::new().with("A", "1B").with("", "2")));
        assert_ne!(digest(&one), one.keyed_digest(b"other"));
        assert!(!format!("{one:?}").contains("\"2\""));
    }
}
