//! From settings to a store.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::HeaderValue;
use lepton_core::{
    Attribute, Capabilities, Error, KeyHandling, KeyRules, Result, SharedRuntime, Support, SystemRuntime,
};
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;

use super::client::{Client, Listed};
use super::config::{HttpConfig, Listing};
use super::file::{Format, ListFile};
use super::storage::HttpStorage;
use crate::wire::address::Address;

/// Makes an [`HttpStorage`] from settings, and from parts that are not settings.
pub struct HttpBuilder {
    config: HttpConfig,
    env: Option<SharedRuntime>,
}

impl HttpStorage {
    /// Makes a store from these settings. Sends nothing.
    ///
    /// # Errors
    /// The same as [`HttpBuilder::build`].
    pub fn new(config: HttpConfig) -> Result<Self> {
        Self::builder(config).build()
    }

    /// A builder with these settings, to replace parts of the system's.
    pub fn builder(config: HttpConfig) -> HttpBuilder {
        HttpBuilder::new(config)
    }
}

impl HttpBuilder {
    fn new(config: HttpConfig) -> Self {
        Self { config, env: None }
    }

    /// Takes tasks, time and randomness from `env` instead of the system.
    #[must_use]
    pub fn runtime(mut self, runtime: SharedRuntime) -> Self {
        self.env = Some(runtime);
        self
    }

    /// Makes the store. Sends nothing.
    ///
    /// # Errors
    /// `invalid_input` for an invalid setting, which is named.
    pub fn build(self) -> Result<HttpStorage> {
        let Self { config, env } = self;
        let env = env.unwrap_or_else(SystemRuntime::shared);
        let (place, query) = config.url.split_once('?').unwrap_or((&config.url, ""));
        if !place.ends_with('/') {
            let message = "the URL of a web server's folder ends with `/`; of one file, open the URL itself";
            return Err(Error::invalid_input(message));
        }
        let base = Address::parse(place)?;
        let authorization = authorization(&config)?;
        if authorization.is_some() && !base.is_tls() && !base.is_here() {
            return Err(Error::invalid_input("credentials are sent to https URLs only"));
        }
        let capabilities = config.adjusted(capabilities(base.is_tls()))?;
        let url = format!("{}/", base.canonical());
        let client = Client {
            // A redirect may lead to https.
            http: config.http_client(config.ca_file.clone(), true, true, &env)?,
            listed: listed(&config, base.is_tls())?,
            reading: reading(&capabilities.keys),
            query: query.to_owned(),
            authorization,
            capabilities,
            base,
            env,
        };
        Ok(HttpStorage::of(client, url))
    }
}

impl fmt::Debug for HttpBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpBuilder")
    }
}

fn authorization(config: &HttpConfig) -> Result<Option<HeaderValue>> {
    let text = match (&config.username, &config.password, &config.bearer_token) {
        (None, None, None) => return Ok(None),
        (Some(name), Some(password), None) if !name.contains(':') => {
            let pair = Zeroizing::new(format!("{name}:{}", password.expose_secret()));
            Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())))
        }
        (None, None, Some(token)) => Zeroizing::new(format!("Bearer {}", token.expose_secret())),
        _ => {
            let message = "either username (without `:`) and password, or bearer_token";
            return Err(Error::invalid_input(message));
        }
    };
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| Error::invalid_input("the credentials hold control characters"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn listed(config: &HttpConfig, tls: bool) -> Result<Listed> {
    let format = match config.listing.unwrap_or_default() {
        Listing::Index | Listing::Bucket if config.list_file.is_some() => {
            let message = "list_file needs listing=paths, listing=urls or listing=manifest";
            return Err(Error::invalid_input(message));
        }
        Listing::Index => return Ok(Listed::Index),
        Listing::Bucket => return Ok(Listed::Bucket),
        Listing::Paths => Format::Paths,
        Listing::Urls => Format::Urls { tls },
        Listing::Manifest => Format::Manifest,
    };
    match &config.list_file {
        Some(path) => Ok(Listed::File(ListFile::new(path.clone(), format))),
        None => Err(Error::invalid_input("listing=paths, listing=urls and listing=manifest need list_file")),
    }
}

/// The keys that can be requested: all except those for which the server would return
/// another file. No capability can relax this for dot segments, which could leave the
/// folder.
fn reading(rules: &KeyRules) -> KeyRules {
    let mut rules = rules.clone();
    for handling in [
        &mut rules.control_characters,
        &mut rules.empty_segments,
        &mut rules.leading_slash,
        &mut rules.trailing_slash,
        &mut rules.trailing_dots,
    ] {
        if *handling != KeyHandling::Changed {
            *handling = KeyHandling::Kept;
        }
    }
    rules.dot_segments = KeyHandling::Changed;
    rules
}

/// The default capabilities of a web server: it can be read.
fn capabilities(tls: bool) -> Capabilities {
    let mut capabilities = Capabilities::everything("http");
    for support in [
        &mut capabilities.put_if_absent,
        &mut capabilities.put_if_match,
        &mut capabilities.conditional_complete,
        &mut capabilities.conditional_delete,
        &mut capabilities.list_parts,
        &mut capabilities.list_uploads,
        &mut capabilities.server_copy,
        &mut capabilities.versions,
        &mut capabilities.storage_class,
    ] {
        *support = Support::Unsupported;
    }
    // A list or an index is always read as a whole.
    capabilities.start_after = Support::Emulated;
    // If the server does not support ranges, they are cut out of the whole.
    capabilities.range_get = Support::Emulated;
    capabilities.multipart = None;
    capabilities.max_single_put = 0;
    capabilities.max_object = 0;
    let kept = |one: &Attribute| *one != Attribute::UserMetadata && *one != Attribute::Tags;
    capabilities.attributes.retain(kept);
    capabilities.tls = tls;
    capabilities.keys = KeyRules::any(8192);
    capabilities.keys.dot_segments = KeyHandling::Changed;
    capabilities.keys.empty_segments = KeyHandling::Unknown;
    capabilities.keys.trailing_slash = KeyHandling::Refused;
    capabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_setting_without_the_secret() {
        for (config, says) in [
            (HttpConfig::new("https://h/file"), "ends with `/`"),
            (HttpConfig::new("ftp://h/"), "http://"),
            (HttpConfig::new("https://user:s3cr3t@h/"), "user name"),
            (HttpConfig::new("http://h/").bearer_token("s3cr3t"), "https"),
            (HttpConfig::new("https://h/").password("s3cr3t"), "username"),
            (HttpConfig::new("https://h/").bearer_token("s3cr3t\n"), "control"),
            (HttpConfig::new("https://h/").listing(Listing::Paths), "list_file"),
            (HttpConfig::new("https://h/").listing(Listing::Urls), "list_file"),
            (HttpConfig::new("https://h/").list_file("x"), "listing"),
            (HttpConfig::new("https://h/").list_file("x").listing(Listing::Bucket), "listing"),
        ] {
            let error = HttpBuilder::new(config).build().unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("s3cr3t"), "{error}");
        }
    }

    #[tokio::test]
    async fn the_address_shows_no_permission() {
        let store = HttpStorage::new(HttpConfig::new("https://H:443/a/?sig=s3cr3t")).unwrap();
        assert_eq!(lepton_core::Storage::url(&store), "https://h/a/");
        assert!(!format!("{store:?}").contains("s3cr3t"));
        for url in ["https://H/a/?sig=s3cr3t", "https://user:s3cr3t@h/a/"] {
            let shown = format!("{:?}", HttpConfig::new(url));
            assert!(!shown.contains("s3cr3t") && shown.contains("/a/"), "{shown}");
            let settings = format!(r#"{{"type": "http", "url": "{url}"}}"#);
            let settings: crate::StoreConfig = serde_json::from_str(&settings).unwrap();
            assert!(!format!("{settings:?}").contains("s3cr3t"));
        }
    }
}
