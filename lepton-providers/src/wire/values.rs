//! Settings of stores, whose values are text in a URL and typed in a file.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A look-up of environment variables.
pub(crate) type Vars<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The variables of this process; empty ones count as unset.
pub(crate) fn process_vars(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Loose<T> {
    Typed(T),
    Text(String),
}

/// `true`, or the text `true`, `1` or `yes`; likewise for false.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Loose::deserialize(deserializer)? {
        Loose::Typed(value) => Ok(Some(value)),
        Loose::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(Some(true)),
            "false" | "0" | "no" => Ok(Some(false)),
            _ => Err(D::Error::custom(format!("{text:?} is neither true nor false"))),
        },
    }
}

/// A number, or text that holds one.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Loose::deserialize(deserializer)? {
        Loose::Typed(value) => Ok(Some(value)),
        Loose::Text(text) => {
            text.parse().map(Some).map_err(|_| D::Error::custom(format!("{text:?} is not a whole number")))
        }
    }
}

/// A time such as `1m 30s`, or a number of seconds.
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
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
pub(crate) fn json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => serde_json::from_str(&text).map(Some).map_err(D::Error::custom),
        value => Ok(Some(value)),
    }
}

/// The name of a location without what may grant access: the query of a URL, and a
/// password in it.
pub(crate) fn without_secrets(place: &str) -> String {
    let (name, query) = place.split_once('?').map_or((place, ""), |(name, _)| (name, "?…"));
    let (scheme, rest) = name.split_once("://").map_or(("", name), |(scheme, rest)| (&name[..scheme.len() + 3], rest));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (hidden, host) = host.rsplit_once('@').map_or(("", host), |(_, host)| ("…@", host));
    [scheme, hidden, host, path, query].concat()
}

/// Defines the settings of a store with an HTTP API: a type with a method for each setting,
/// their names in files, and the name of the location itself. The settings of the HTTP
/// client are those of every store.
macro_rules! settings {
    (@all $(#[doc = $about:literal])+ $config:ident of $place:ident;
     $($(#[doc = $doc:literal])+ $(#[serde($($serde:tt)*)])? $name:ident: $type:ty,)*) => {
        $(#[doc = $about])+
        #[derive(Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $config {
            #[serde(default)]
            pub(super) $place: String,
            $($(#[doc = $doc])+
            #[serde(default, $($($serde)*)?)]
            pub(super) $name: Option<$type>,)*
        }

        impl std::fmt::Debug for $config {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut shown = f.debug_struct(stringify!($config));
                shown.field(stringify!($place), &$crate::wire::values::without_secrets(&self.$place));
                $(shown.field(stringify!($name), &self.$name);)*
                shown.finish()
            }
        }

        impl $config {
            /// Settings for this location; everything else is unset.
            pub fn new($place: impl Into<String>) -> Self {
                Self { $place: $place.into(), $($name: None,)* }
            }

            $($(#[doc = $doc])+
            #[must_use]
            pub fn $name(mut self, value: impl Into<$type>) -> Self {
                self.$name = Some(value.into());
                self
            }
            )*

            /// These settings, overridden by those that `other` sets.
            #[must_use]
            pub fn overridden_by(mut self, other: Self) -> Self {
                if !other.$place.is_empty() {
                    self.$place = other.$place;
                }
                $(self.$name = other.$name.or(self.$name);)*
                self
            }
        }
    };
    ($(#[doc = $about:literal])+ $config:ident of $place:ident; $($settings:tt)*) => {
        $crate::wire::values::settings! {
            @all $(#[doc = $about])+ $config of $place;
            $($settings)*
            /// Proxy for all requests (`http://[user:password@]host:port`), or `none`.
            /// Default: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`. Not
            /// accepted in URLs: it may hold a password.
            proxy: secrecy::SecretString,
            /// Connect timeout (`10s`).
            #[serde(deserialize_with = "crate::wire::values::duration")]
            connect_timeout: std::time::Duration,
            /// Timeout without a byte in either direction (`30s`). There is no timeout for a
            /// whole request.
            #[serde(deserialize_with = "crate::wire::values::duration")]
            idle_timeout: std::time::Duration,
            /// Maximum number of idle connections (256, or a quarter of the limit of open
            /// files if that is less).
            #[serde(deserialize_with = "crate::wire::values::number")]
            max_idle_connections: u64,
            /// Single fields of [`Capabilities`](lepton_core::Capabilities) that differ from
            /// the known ones, as JSON.
            #[serde(deserialize_with = "crate::wire::values::json")]
            capabilities: serde_json::Value,
        }

        impl $config {
            /// A client with these settings. `proxied`: whether it uses the proxies.
            pub(super) fn http_client(
                &self,
                ca_file: Option<std::path::PathBuf>,
                tls: bool,
                proxied: bool,
                env: &lepton_core::SharedRuntime,
            ) -> lepton_core::Result<$crate::transport::HttpClient> {
                let none = secrecy::SecretString::from("none");
                let proxy = if proxied { self.proxy.as_ref() } else { Some(&none) };
                let options = $crate::transport::HttpOptions {
                    tls,
                    ca_file,
                    proxy: std::sync::Arc::new($crate::transport::proxies(proxy)?),
                    connect_timeout: self.connect_timeout.unwrap_or(std::time::Duration::from_secs(10)),
                    idle_timeout: self.idle_timeout.unwrap_or(std::time::Duration::from_secs(30)),
                    max_idle_connections: self.max_idle_connections,
                };
                $crate::transport::HttpClient::new(options, env.clone())
            }

            /// These capabilities, with the fields that the settings replace.
            pub(super) fn adjusted(
                &self,
                known: lepton_core::Capabilities,
            ) -> lepton_core::Result<lepton_core::Capabilities> {
                match &self.capabilities {
                    Some(overrides) => known.overridden(overrides),
                    None => Ok(known),
                }
            }
        }
    };
}
pub(crate) use settings;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_shown_without_secrets() {
        for (place, shown) in [
            ("bucket", "bucket"),
            ("https://h/a@b/", "https://h/a@b/"),
            ("https://h/a/?sig=s3cr3t", "https://h/a/?…"),
            ("https://user:s3cr3t@h/a?b", "https://…@h/a?…"),
        ] {
            assert_eq!(without_secrets(place), shown);
        }
    }
}
