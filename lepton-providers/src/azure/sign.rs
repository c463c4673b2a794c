//! Signatures with the account's key.
//!
//! "Authorize with Shared Key" in the REST reference.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderMap, HeaderValue};
use lepton_core::{Error, ErrorKind, HmacSha256, Result};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use crate::wire::encode::Query;

/// The headers whose values are signed by position, in this order.
const PLACED: [&str; 11] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// The key of an account.
#[derive(Clone)]
pub(super) struct AccountKey(Zeroizing<Vec<u8>>);

impl AccountKey {
    /// The key as the portal shows it.
    pub(super) fn new(text: &SecretString) -> Result<Self> {
        let key = BASE64_STANDARD.decode(text.expose_secret().trim()).ok().filter(|key| !key.is_empty());
        let wrong = || Error::new(ErrorKind::Unauthenticated, "the account key is not Base64; copy it whole");
        key.map(|key| Self(Zeroizing::new(key))).ok_or_else(wrong)
    }

    /// The key as the portal shows it, to search for it in messages of the service.
    pub(super) fn text(&self) -> Zeroizing<String> {
        BASE64_STANDARD.encode(&*self.0).into()
    }

    /// HMAC-SHA256 of this text, in Base64.
    pub(super) fn sign(&self, text: &str) -> String {
        let mut mac = HmacSha256::new(&self.0);
        mac.update(text.as_bytes());
        BASE64_STANDARD.encode(mac.finish())
    }

    /// The value of `Authorization`.
    pub(super) fn authorization(
        &self,
        account: &str,
        method: &str,
        path: &str,
        query: &Query,
        headers: &HeaderMap,
    ) -> Result<HeaderValue> {
        let signature = self.sign(&to_sign(account, method, path, query, headers));
        let mut value = HeaderValue::from_str(&format!("SharedKey {account}:{signature}"))
            .map_err(|source| Error::invalid_input("the account makes no valid header").with_source(source))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl std::fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccountKey(…)")
    }
}

fn to_sign(account: &str, method: &str, path: &str, query: &Query, headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut lines = vec![method.to_owned()];
    for name in PLACED {
        let value = text(name).unwrap_or_default();
        lines.push(if name == "content-length" && value == "0" { String::new() } else { value });
    }
    let mut own: Vec<&str> =
        headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-ms-")).collect();
    own.sort_by_cached_key(|name| (service_order(name), *name));
    lines.extend(own.into_iter().map(|name| format!("{name}:{}", text(name).unwrap_or_default().trim())));
    lines.push(format!("/{account}{path}"));
    lines.extend(query.pairs().into_iter().map(|(name, value)| format!("{name}:{value}")));
    lines.join("\n")
}

/// The sort key of headers in a signature: hyphens are ignored, and `_` comes before
/// digits and letters. The reference calls this "lexicographically"; the service means
/// the order of its own language.
fn service_order(name: &str) -> String {
    name.chars().filter(|character| *character != '-').map(|c| if c == '_' { '!' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_string_to_sign_has_the_documented_form() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-ms-version", "2015-02-21"),
            ("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"),
            ("content-length", "0"),
            ("range", "bytes=0-9"),
            ("host", "h"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // The example of the reference, with an added range and a prefix that needs
        // encoding.
        let query = Query::new()
            .with("restype", "container")
            .with("timeout", "20")
            .with("comp", "metadata")
            .with("prefix", "a b");
        let text = to_sign("myaccount", "GET", "/mycontainer", &query, &headers);
        assert_eq!(
            text,
            "GET\n\n\n\n\n\n\n\n\n\n\nbytes=0-9\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
             /myaccount/mycontainer\ncomp:metadata\nprefix:a b\nrestype:container\ntimeout:20"
        );
    }

    #[test]
    fn headers_are_in_the_services_order() {
        let names = ["x-ms-meta-i0", "x-ms-meta-i_", "x-ms-meta-ia", "x-ms-meta-i", "x-ms-lease-id", "x-ms-meta-i_a"];
        let value = HeaderValue::from_static("v");
        let headers = HeaderMap::from_iter(names.map(|name| (http::HeaderName::from_static(name), value.clone())));
        let text = to_sign("a", "GET", "/c", &Query::new(), &headers);
        let sorted: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("x-ms-")?.strip_suffix(":v")).collect();
        assert_eq!(sorted, ["lease-id", "meta-i", "meta-i_", "meta-i_a", "meta-i0", "meta-ia"]);
    }

    #[test]
    fn a_key_does_not_print_and_a_wrong_one_is_named() {
        let key = AccountKey::new(&"c2VjcmV0".into()).unwrap();
        assert!(!format!("{key:?}").contains("secret"));
        assert_eq!(AccountKey::new(&"not base64!".into()).unwrap_err().kind(), ErrorKind::Unauthenticated);
    }
}
