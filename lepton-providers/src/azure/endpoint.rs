//! The targets of requests.

use http::HeaderValue;
use http::uri::Uri;
use lepton_core::{Error, ObjectKey, Result};

use crate::wire::address::{Address, uri};
use crate::wire::encode::{encode_query, push_path};

/// The account of the emulator.
pub(super) const EMULATOR: &str = "devstoreaccount1";

/// The domains of the blob service, in all clouds.
const SERVICE: [&str; 4] = [
    ".blob.core.windows.net",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.storage.azure.net",
];

/// The address of an account in the public cloud.
pub(super) fn usual(account: &str) -> String {
    format!("https://{account}.blob.core.windows.net")
}

/// The address of a container.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) account: String,
    pub(super) host: HeaderValue,
    address: Address,
    /// The container's own path; keys follow it.
    path: String,
    /// Whether the address is the default one of the account.
    usual: bool,
}

impl Endpoint {
    pub(super) fn new(account: &str, container: &str, endpoint: Option<&str>) -> Result<Self> {
        check_account(account)?;
        check_container(container)?;
        let usual = usual(account);
        let address = Address::parse(endpoint.unwrap_or(&usual))?;
        let host = HeaderValue::from_str(address.authority.as_str())
            .map_err(|source| Error::invalid_input("the endpoint has no valid host").with_source(source))?;
        Ok(Self {
            account: account.to_owned(),
            host,
            path: format!("{}/{container}", address.path),
            usual: address.canonical() == usual,
            address,
        })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.address.is_tls()
    }

    pub(super) fn is_emulator(&self) -> bool {
        self.account == EMULATOR
    }

    /// Whether requests stay on this machine.
    pub(super) fn is_here(&self) -> bool {
        self.address.is_here()
    }

    /// Whether the host is one of the service's own.
    pub(super) fn is_azure(&self) -> bool {
        SERVICE.iter().any(|domain| self.address.authority.host().ends_with(domain))
    }

    /// The canonical URL of a container of this account.
    pub(super) fn url(&self, container: &str) -> String {
        let url = format!("az://{container}?account={}", self.account);
        if self.usual { url } else { format!("{url}&endpoint={}", encode_query(self.address.canonical().as_bytes())) }
    }

    /// Identifies the container independently of the address, for all addresses that the
    /// service gives to an account, including its read-only replica in another region.
    pub(super) fn domain(&self, container: &str) -> String {
        let host = self.address.authority.host();
        if !self.is_azure() {
            return format!("{}/{container}", self.address.canonical());
        }
        let account = host.split('.').next().unwrap_or(host);
        format!("az/{}/{container}", account.strip_suffix("-secondary").unwrap_or(account))
    }

    /// The encoded path of a key, or of the container.
    pub(super) fn path(&self, key: Option<&ObjectKey>) -> String {
        let mut path = self.path.clone();
        if let Some(key) = key {
            path.push('/');
            push_path(&mut path, key.as_bytes());
        }
        path
    }

    /// The same for another container of the account.
    pub(super) fn path_in(&self, container: &str, key: &ObjectKey) -> String {
        let mut path = format!("{}/{container}/", self.address.path);
        push_path(&mut path, key.as_bytes());
        path
    }

    /// The URL of an encoded path.
    pub(super) fn uri(&self, path: &str, query: &str) -> Result<Uri> {
        uri(&self.address.scheme, &self.address.authority, path, query)
    }

    /// The same as text, without a query.
    pub(super) fn text(&self, path: &str) -> String {
        let Address { scheme, authority, .. } = &self.address;
        format!("{scheme}://{authority}{path}")
    }
}

/// "Storage account names must be between 3 and 24 characters in length and may contain
/// numbers and lowercase letters only."
fn check_account(account: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if (3..=24).contains(&account.len()) && account.bytes().all(allowed) {
        return Ok(());
    }
    if account.is_empty() {
        return Err(Error::invalid_input(
            "no storage account is named; write az://container/prefix?account=NAME or set AZURE_STORAGE_ACCOUNT",
        ));
    }
    Err(Error::invalid_input(format!("{account:?} is no storage account: 3 to 24 lower-case letters and digits")))
}

/// "Naming and referencing containers, blobs, and metadata".
fn check_container(container: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let special = ["$root", "$web", "$logs"].contains(&container);
    let usual = (3..=63).contains(&container.len())
        && container.bytes().all(allowed)
        && !container.starts_with('-')
        && !container.ends_with('-')
        && !container.contains("--");
    if special || usual {
        return Ok(());
    }
    if container.is_empty() {
        return Err(Error::invalid_input("no container is named; write az://container/prefix"));
    }
    let message = format!("{container:?} is no container: 3 to 63 lower-case letters, digits and single `-`");
    Err(Error::invalid_input(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_service_and_the_emulator() {
        for (account, endpoint, key, expected, url) in [
            (
                "lepton",
                None,
                "a b/../c",
                "https://lepton.blob.core.windows.net/photos/a%20b/../c",
                "az://photos?account=lepton",
            ),
            (
                "devstoreaccount1",
                Some("http://127.0.0.1:10000/devstoreaccount1/"),
                "/x/",
                "http://127.0.0.1:10000/devstoreaccount1/photos//x/",
                "az://photos?account=devstoreaccount1&endpoint=http%3A%2F%2F127.0.0.1%3A10000%2Fdevstoreaccount1",
            ),
        ] {
            let endpoint = Endpoint::new(account, "photos", endpoint).unwrap();
            let key = ObjectKey::try_from(key).unwrap();
            assert_eq!(endpoint.uri(&endpoint.path(Some(&key)), "").unwrap().to_string(), expected);
            assert_eq!(endpoint.url("photos"), url);
        }
    }

    #[test]
    fn one_container_has_one_domain() {
        for (endpoint, expected) in [
            (None, "az/lepton/photos"),
            (Some("https://lepton-secondary.blob.core.windows.net"), "az/lepton/photos"),
            (Some("https://lepton.z01.blob.storage.azure.net/"), "az/lepton/photos"),
            (Some("http://127.0.0.1:10000/lepton"), "http://127.0.0.1:10000/lepton/photos"),
        ] {
            assert_eq!(Endpoint::new("lepton", "photos", endpoint).unwrap().domain("photos"), expected);
        }
    }

    #[test]
    fn wrong_names_are_refused() {
        for (account, container, endpoint) in [
            ("", "photos", None),
            ("Upper", "photos", None),
            ("lepton", "", None),
            ("lepton", "a", None),
            ("lepton", "a--b", None),
            ("lepton", "a/b", None),
            ("lepton", "photos", Some("https://user:s3cr3t@host")),
            ("lepton", "photos", Some("https://host?sig=s3cr3t")),
        ] {
            let error = Endpoint::new(account, container, endpoint).unwrap_err();
            assert!(!error.to_string().contains("s3cr3t"), "{error}");
        }
    }
}
