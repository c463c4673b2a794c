//! The settings of a web server.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use crate::wire::values::settings;

/// Where the listing comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Listing {
    /// The server's index pages of folders.
    #[default]
    Index,
    /// A file of paths below the URL, one per line.
    Paths,
    /// A file of absolute URLs, one per line. The key of each is its path.
    Urls,
    /// A manifest of Lepton, whose digests are compared with the bytes read.
    Manifest,
    /// The public listing of a bucket; the URL is that of the bucket.
    Bucket,
}

settings! {
    /// The settings of a web server. Unknown names are errors.
    ///
    /// Each setting has a method here and a name in configuration files. None is an
    /// option of the URL, because its query belongs to the server.
    ///
    /// ```
    /// use lepton_providers::http::{HttpConfig, Listing};
    /// let config = HttpConfig::new("https://example.org/data/").listing(Listing::Index);
    /// let same: HttpConfig =
    ///     serde_json::from_str(r#"{"url": "https://example.org/data/", "listing": "index"}"#)?;
    /// assert_eq!(format!("{config:?}"), format!("{same:?}"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    HttpConfig of url;

    /// Where the listing comes from.
    listing: Listing,
    /// The file of paths or URLs, or the manifest, on this machine.
    list_file: PathBuf,
    /// User name of basic authorization; goes with `password`.
    username: String,
    /// Password of basic authorization.
    password: SecretString,
    /// Token of bearer authorization.
    bearer_token: SecretString,
    /// PEM file of the certificates to trust instead of the system's.
    ca_file: PathBuf,
}
