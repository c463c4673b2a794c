//! Values of settings, which come as text from a URL and typed from a file.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Loose<T> {
    Typed(T),
    Text(String),
}

/// `true`, or the text `true`, `1`, `yes`; likewise for false.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Loose::deserialize(deserializer)? {
        Loose::Typed(value) => Ok(Some(value)),
        Loose::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(Some(true)),
            "false" | "0" | "no" => Ok(Some(false)),
            _ => Err(D::Error::custom(format!("{text:?} is neither true nor false"))),
        },
    }
}

/// A number, also as text.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Loose::deserialize(deserializer)? {
        Loose::Typed(value) => Ok(Some(value)),
        Loose::Text(text) => {
            text.parse().map(Some).map_err(|_| D::Error::custom(format!("{text:?} is not a whole number")))
        }
    }
}

/// A time such as `1m 30s`, or a number of seconds.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    match Loose::deserialize(deserializer)? {
        Loose::Typed(seconds) => Ok(Some(Duration::from_secs(seconds))),
        Loose::Text(text) => match text.parse() {
            Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
            Err(_) => humantime::parse_duration(&text)
                .map(Some)
                .map_err(|error| D::Error::custom(format!("{text:?} is not a time such as `30s`: {error}"))),
        },
    }
}

/// A JSON value, or text that holds one.
pub(super) fn json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => serde_json::from_str(&text).map(Some).map_err(D::Error::custom),
        value => Ok(Some(value)),
    }
}
