//! What a URL says of a place, without opening it.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::redact::is_secret;

/// The schemes whose URLs begin with a bucket.
const BUCKETS: [&str; 3] = ["s3", "az", "gs"];

/// A folder of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    scheme: String,
    /// The bucket, the host, or the name of a store in memory.
    authority: String,
    /// The folder, with a `/` at its end unless it is empty.
    folder: String,
    options: BTreeMap<String, String>,
    has_user: bool,
}

/// The relation between two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// They are the same place, or one of them contains the other.
    Overlap,
    /// They overlap if two profiles name the same store.
    PerhapsOverlap,
    /// They have nothing in common.
    Apart,
}

/// A name by which an application finds a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// A host, or a host with a port, in lower case.
    Host(String),
    /// A bucket, or an account that has buckets.
    Bucket(String),
}

impl Name {
    /// The name.
    pub(super) fn text(&self) -> &str {
        let (Self::Host(text) | Self::Bucket(text)) = self;
        text
    }

    /// The host without its port, if this is a host with a port.
    pub(super) fn host(&self) -> Option<Self> {
        let Self::Host(address) = self else { return None };
        let host = host_of(address);
        (host != address).then(|| Self::Host(host.to_owned()))
    }
}

impl Place {
    /// Reads a URL. A text without a scheme is a path.
    pub(super) fn new(url: &str) -> Self {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (scheme, rest) = split_scheme(url);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
            None if scheme == "memory" => (rest, ""),
            None => ("", rest),
        };
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let options = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let path = decode(path);
        let folder = path.trim_matches('/');
        Self {
            authority: decode(host),
            folder: if folder.is_empty() { String::new() } else { format!("{folder}/") },
            options: options.map(|(name, value)| (decode(name), decode(value))).collect(),
            has_user: user.is_some(),
            scheme,
        }
    }

    /// Whether its URL holds a user name, a password or a key.
    pub(super) fn has_secret(&self) -> bool {
        let endpoint = self.option("endpoint").is_some_and(|endpoint| Self::new(endpoint).has_user);
        self.has_user || endpoint || self.options.keys().any(|name| is_secret(name))
    }

    /// The names by which an application finds it.
    pub(super) fn names(&self) -> Vec<Name> {
        let mut names = Vec::new();
        if BUCKETS.contains(&self.scheme.as_str()) {
            names.push(Name::Bucket(self.authority.clone()));
        }
        names.extend(self.option("account").map(|account| Name::Bucket(account.to_owned())));
        if let Some(address) = self.address() {
            let address = Name::Host(address);
            names.extend(address.host());
            names.push(address);
        }
        names.retain(|name| !name.text().is_empty());
        names
    }

    /// Whether both are the same folder of the same store; the credentials may differ.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.store() == other.store() && self.folder == other.folder
    }

    /// The relation between the two places.
    pub(super) fn relation(&self, other: &Self) -> Relation {
        let inside = self.folder.starts_with(&other.folder) || other.folder.starts_with(&self.folder);
        if self.store() != other.store() || !inside {
            Relation::Apart
        } else if self.address().is_none() && self.option("profile") != other.option("profile") {
            // A profile can name an endpoint.
            Relation::PerhapsOverlap
        } else {
            Relation::Overlap
        }
    }

    /// Whether keys that begin with `prefix` are in its folder, or can be.
    pub(super) fn overlaps_keys(&self, prefix: &str) -> bool {
        BUCKETS.contains(&self.scheme.as_str()) && (self.folder.starts_with(prefix) || prefix.starts_with(&self.folder))
    }

    fn store(&self) -> (&str, &str, Option<String>, Option<&str>) {
        (&self.scheme, &self.authority, self.address(), self.option("account"))
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// The host and the port of its server, where the URL names one, in lower case and without
    /// the default port of the scheme.
    fn address(&self) -> Option<String> {
        let (scheme, authority) = match self.option("endpoint") {
            Some(endpoint) => {
                let endpoint = Self::new(if endpoint.contains("://") { endpoint } else { return plain(endpoint) });
                (endpoint.scheme, endpoint.authority)
            }
            None if ["http", "https"].contains(&self.scheme.as_str()) => (self.scheme.clone(), self.authority.clone()),
            None => return None,
        };
        let address = authority.to_ascii_lowercase();
        let port = if scheme == "http" { ":80" } else { ":443" };
        Some(address.strip_suffix(port).map_or(address.clone(), str::to_owned))
    }
}

/// An endpoint without a scheme.
fn plain(endpoint: &str) -> Option<String> {
    let address = endpoint.split('/').next().unwrap_or_default();
    Some(address.to_ascii_lowercase())
}

/// The host of `host:port` or `[address]:port`.
fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => address,
    }
}

/// The scheme in lower case, `file` for a path, and what follows the colon.
fn split_scheme(url: &str) -> (String, &str) {
    if let Some((scheme, rest)) = url.split_once(':')
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && (rest.starts_with("//") || ["memory", "file"].iter().any(|known| scheme.eq_ignore_ascii_case(known)))
    {
        return (scheme.to_ascii_lowercase(), rest);
    }
    ("file".to_owned(), url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(one: &str, other: &str) -> Relation {
        let (one, other) = (Place::new(one), Place::new(other));
        assert_eq!(one.relation(&other), other.relation(&one));
        one.relation(&other)
    }

    #[test]
    fn places_that_overlap_are_found() {
        use Relation::{Apart, Overlap, PerhapsOverlap};
        for (one, other, expected) in [
            ("s3://shop", "s3://shop", Overlap),
            ("s3://shop/a", "s3://shop", Overlap),
            ("s3://shop/a/", "s3://shop/a", Overlap),
            ("s3://shop/a", "s3://shop/ab", Apart),
            ("s3://shop", "s3://shop2", Apart),
            ("s3://shop", "gs://shop", Apart),
            ("s3://shop?endpoint=https://a.example", "s3://shop?endpoint=https://b.example", Apart),
            ("s3://shop?endpoint=https://a.example:443/", "s3://shop?endpoint=https%3A%2F%2FA.example", Overlap),
            ("s3://shop?profile=a", "s3://shop?profile=b", PerhapsOverlap),
            ("az://c?account=a", "az://c?account=b", Apart),
            ("/srv/a", "file:///srv/a/b", Overlap),
            ("/srv/a", "/srv/b", Apart),
            ("memory:a", "memory:a", Overlap),
            ("https://a.example/x", "https://a.example/y", Apart),
        ] {
            assert_eq!(relation(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn the_names_of_a_place() {
        let names = |url: &str| Place::new(url).names();
        let host = |name: &str| Name::Host(name.to_owned());
        let bucket = |name: &str| Name::Bucket(name.to_owned());
        assert_eq!(names("s3://shop/x?endpoint=http://A:9000"), [bucket("shop"), host("a"), host("a:9000")]);
        assert_eq!(names("az://box?account=acc"), [bucket("box"), bucket("acc")]);
        assert_eq!(names("https://u:p@a.example/x"), [host("a.example")]);
        assert_eq!(names("s3://shop?endpoint=[::1]:80"), [bucket("shop"), host("[::1]"), host("[::1]:80")]);
        assert_eq!(names("/srv/shop"), []);
    }

    #[test]
    fn secrets_in_a_url_are_found() {
        for url in ["https://u:p@a.example", "s3://b?secret_access_key=x", "s3://b?endpoint=https://u:p@a.example"] {
            assert!(Place::new(url).has_secret(), "{url}");
        }
        assert!(!Place::new("s3://b?profile=p&sse_kms_key_id=k").has_secret());
    }
}
