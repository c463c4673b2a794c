//! The options after the question mark of a URL.

use lepton_core::{Error, Result};
use percent_encoding::percent_decode_str;
#[cfg(any(feature = "azure", feature = "gcs", feature = "s3", feature = "local"))]
use serde_json::Value;

pub(super) fn split_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

/// The options after the question mark, decoded.
pub(super) fn options(query: &str) -> Result<Vec<(String, String)>> {
    let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut options: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
        let name = decode(name);
        if options.iter().any(|(other, _)| *other == name) {
            return Err(Error::invalid_input(format!("the option {name} is given twice")));
        }
        options.push((name, decode(value)));
    }
    Ok(options)
}

#[cfg(any(feature = "azure", feature = "gcs", feature = "s3", feature = "local"))]
pub(super) fn parse<T: serde::de::DeserializeOwned>(options: serde_json::Map<String, Value>) -> Result<T> {
    T::deserialize(Value::Object(options))
        .map_err(|error| Error::invalid_input(format!("an option of the URL is wrong: {error}")))
}
