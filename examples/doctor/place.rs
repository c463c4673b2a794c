//! The examined place, and the same place with other settings.

use std::path::Path;

use hyper_util::client::proxy::matcher::Matcher;
use lepton::core::KeyRules;
use lepton::providers::{StoreConfig, open_with};
use lepton::{Error, Location, Result, Storage, open};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

/// Schemes whose URL query holds settings of a server.
const WITH_OPTIONS: [&str; 5] = ["s3", "az", "azure", "gs", "gcs"];

/// A URL, and the settings that are not part of it.
pub(crate) struct Place {
    url: String,
    settings: Option<Value>,
}

/// The facts that the advice depends on.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    /// The store is reached over a network.
    pub(crate) remote: bool,
    /// No credentials are sent.
    pub(crate) anonymous: bool,
    /// Requests carry signatures with the time of this machine.
    pub(crate) signs_time: bool,
    /// The name of the setting or variable that selects the proxy.
    pub(crate) proxy: Option<String>,
    /// Requests are known to arrive and to be authorised.
    pub(crate) reached: bool,
}

impl Place {
    pub(crate) fn new(url: &str, settings: Option<&Path>) -> Result<Self> {
        Ok(Self { url: url.to_owned(), settings: settings.map(read).transpose()? })
    }

    pub(crate) async fn open(&self) -> Result<Location> {
        self.open_at(&self.url).await
    }

    /// The same place as a store of which nothing is found out: opening it sends nothing.
    pub(crate) async fn unknown(&self) -> Result<Location> {
        self.open_at(&self.with_option("preset", "generic")).await
    }

    async fn open_at(&self, url: &str) -> Result<Location> {
        match &self.settings {
            None => open(url).await,
            Some(value) => open_with(url, settings(value)?).await,
        }
    }

    /// The same place with rules that allow every key, so that the store itself decides.
    pub(crate) async fn without_rules(&self) -> Result<Location> {
        if !WITH_OPTIONS.contains(&self.scheme()) {
            return self.open().await;
        }
        let text = match self.option("capabilities") {
            Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or_default(),
            Some(value) => value,
            None => json!({}),
        };
        let mut capabilities = if text.is_object() { text } else { json!({}) };
        capabilities["keys"] = every_key();
        self.open_at(&self.with_option("capabilities", &capabilities.to_string())).await
    }

    /// The same place over TLS, if it does not use TLS already.
    pub(crate) async fn over_tls(&self, store: &dyn Storage) -> Option<Result<Location>> {
        let endpoint = endpoint(store)?.strip_prefix("http://")?.to_owned();
        if WITH_OPTIONS.contains(&self.scheme()) {
            let over_tls = Self {
                url: self.with_option("endpoint", &format!("https://{endpoint}")),
                settings: self.settings.clone(),
            };
            return Some(over_tls.unknown().await);
        }
        Some(self.open_at(&format!("https://{}", self.url.strip_prefix("http://")?)).await)
    }

    pub(crate) fn about(&self, store: &dyn Storage) -> About {
        let endpoint = endpoint(store);
        let flag = |name: &str| {
            let value = self.option(name).map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
            value.is_some_and(|value| ["true", "1", "yes"].contains(&value.to_ascii_lowercase().as_str()))
        };
        let anonymous = flag("anonymous") || flag("no_sign_request");
        About {
            remote: endpoint.is_some(),
            anonymous,
            signs_time: self.scheme() == "s3" && !anonymous,
            proxy: endpoint.and_then(|endpoint| self.proxy(&endpoint)),
            reached: false,
        }
    }

    /// The name of the setting or variable that selects the proxy for an endpoint. The proxy's
    /// address may contain a password, so it is not shown.
    fn proxy(&self, endpoint: &str) -> Option<String> {
        if let Some(proxy) = self.settings.as_ref().and_then(|settings| settings.get("proxy")?.as_str()) {
            return (proxy != "none").then(|| "the setting proxy".to_owned());
        }
        Matcher::from_env().intercept(&endpoint.parse().ok()?)?;
        let of_scheme =
            if endpoint.starts_with("https") { ["HTTPS_PROXY", "ALL_PROXY"] } else { ["HTTP_PROXY", "ALL_PROXY"] };
        let names = of_scheme.into_iter().flat_map(|name| [name.to_owned(), name.to_ascii_lowercase()]);
        names.into_iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
    }

    /// Whether object names are text in the protocol: a request for a name that is not UTF-8
    /// would address a different object.
    pub(crate) fn has_text_names(&self) -> bool {
        ["az", "azure", "gs", "gcs"].contains(&self.scheme())
    }

    fn scheme(&self) -> &str {
        self.url.split_once("://").map_or("", |(scheme, _)| scheme)
    }

    /// An option of the URL, otherwise a setting.
    fn option(&self, name: &str) -> Option<Value> {
        let query = if WITH_OPTIONS.contains(&self.scheme()) { self.url.split_once('?') } else { None };
        let mut options = query.map_or("", |(_, query)| query).split('&');
        let option = options.find(|option| name_of(option) == name);
        let value = option.map(|option| decoded(option.split_once('=').map_or("true", |(_, value)| value)).into());
        value.or_else(|| self.settings.as_ref()?.get(name).cloned())
    }

    fn with_option(&self, name: &str, value: &str) -> String {
        let (place, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let option = format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        let others = query.split('&').filter(|option| !option.is_empty() && name_of(option) != name);
        format!("{place}?{}", others.chain([option.as_str()]).collect::<Vec<_>>().join("&"))
    }
}

fn name_of(option: &str) -> String {
    decoded(option.split_once('=').map_or(option, |(name, _)| name))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The endpoint of the requests: the canonical URL of a store contains its endpoint, if that is
/// not the default.
fn endpoint(store: &dyn Storage) -> Option<String> {
    let url = store.url();
    let named = url.split_once('?').and_then(|(_, query)| query.split('&').find_map(|o| o.strip_prefix("endpoint=")));
    match (url.split_once("://")?.0, named) {
        ("http" | "https", _) => Some(url.to_owned()),
        (_, Some(endpoint)) => Some(decoded(endpoint)),
        ("s3", None) => Some("https://s3.amazonaws.com".to_owned()),
        ("az", None) => Some("https://blob.core.windows.net".to_owned()),
        ("gs", None) => Some("https://storage.googleapis.com".to_owned()),
        _ => None,
    }
}

/// Rules that allow every key.
fn every_key() -> Value {
    serde_json::to_value(KeyRules::any(1 << 16)).unwrap_or_default()
}

fn read(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::io("the file of settings cannot be read", error).with_context("path", file.display())
    })?;
    // The parser may quote a secret in its message.
    serde_json::from_str(&text).map_err(|error| {
        let message = format!("{}, line {}: this is no JSON", file.display(), error.line());
        Error::invalid_input(message)
    })
}

fn settings(value: &Value) -> Result<StoreConfig> {
    serde_json::from_value(value.clone()).map_err(|error| {
        let words = error.to_string();
        let harmless = ["unknown", "missing"].iter().any(|beginning| words.starts_with(beginning));
        let words = if harmless { words } else { "a value has the wrong type".to_owned() };
        Error::invalid_input(format!("the file of settings is wrong: {words}"))
    })
}
