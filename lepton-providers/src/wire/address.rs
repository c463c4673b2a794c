//! Addresses of stores and of the objects in them.

use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use lepton_core::{Error, ErrorKind, Result};

/// The location of a store: `https://host:port/path`, in canonical form.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    /// Without a trailing slash.
    pub(crate) path: String,
}

impl Address {
    /// Parses the address that the user configures as the endpoint.
    ///
    /// # Errors
    /// `invalid_input` if it is not an address, or holds a password or a query.
    pub(crate) fn parse(endpoint: &str) -> Result<Self> {
        // What cannot be parsed may hold a password, so it is not shown.
        let refuse = |why: &str| match endpoint.contains('@') {
            true => Error::invalid_input(format!("an endpoint with an `@` {why}")),
            false => Error::invalid_input(format!("endpoint {endpoint:?} {why}")),
        };
        let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
        if host.split(['/', '?', '#', '\\']).next().is_some_and(|host| host.contains('@')) {
            return Err(Error::invalid_input("an endpoint must not hold a user name or password"));
        }
        if endpoint.contains('?') {
            return Err(Error::invalid_input("an endpoint must not have a query"));
        }
        let uri: Uri = endpoint.parse().map_err(|_| refuse("is not an address such as https://host:port"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(refuse("needs a scheme and a host, such as https://host:port"));
        };
        if authority.as_str().contains('@') {
            return Err(Error::invalid_input("an endpoint must not hold a user name or password"));
        }
        if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
            return Err(refuse("must begin with http:// or https://"));
        }
        let default_port = if *scheme == Scheme::HTTP { ":80" } else { ":443" };
        let lower = authority.as_str().to_ascii_lowercase();
        let lower = lower.strip_suffix(default_port).unwrap_or(&lower);
        let authority = lower.parse().map_err(|_| refuse("has no valid host"))?;
        Ok(Self { scheme: scheme.clone(), authority, path: uri.path().trim_end_matches('/').to_owned() })
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Whether requests stay on this machine.
    pub(crate) fn is_here(&self) -> bool {
        let host = self.authority.host();
        host == "localhost" || host == "[::1]" || host.parse().is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback())
    }

    /// The address of a path below it; path and query are encoded already.
    ///
    /// # Errors
    /// `invalid_key` if a request cannot hold it.
    pub(crate) fn join(&self, path: &str, query: &str) -> Result<Uri> {
        uri(&self.scheme, &self.authority, &[&self.path, path].concat(), query)
    }

    /// The address as text.
    pub(crate) fn canonical(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.path)
    }
}

/// Whether all hosts of this kind serve the same buckets of Google Cloud Storage.
pub(crate) fn is_google_host(host: &str) -> bool {
    host.ends_with(".googleapis.com")
}

/// The address of an encoded path and query.
///
/// # Errors
/// `invalid_key` if a request cannot hold it.
pub(crate) fn uri(scheme: &Scheme, authority: &Authority, path: &str, query: &str) -> Result<Uri> {
    let text = if query.is_empty() { path.to_owned() } else { [path, "?", query].concat() };
    let wrong = |source: http::Error| {
        Error::new(ErrorKind::InvalidKey, "the key makes no valid address; it may be too long").with_source(source)
    };
    let path_and_query = PathAndQuery::from_maybe_shared(bytes::Bytes::from(text)).map_err(|e| wrong(e.into()))?;
    Uri::builder()
        .scheme(scheme.clone())
        .authority(authority.clone())
        .path_and_query(path_and_query)
        .build()
        .map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_hold_characters_that_a_host_may_not() {
        let impersonation = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/\
             backup@lepton-test.iam.gserviceaccount.com:generateAccessToken";
        assert_eq!(Address::parse(impersonation).unwrap().canonical(), impersonation);
        for secret in ["https://me:s3cr3t@host/x", "me:s3cr3t@host", "https:/me:s3cr3t@host", "ftp://h/me:s3cr3t@x"] {
            let error = Address::parse(secret).unwrap_err().to_string();
            assert!(!error.contains("s3cr3t"), "{error}");
        }
        assert!(Address::parse("https://host/x?y").is_err());
    }
}
