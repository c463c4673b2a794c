//! Parses account, key and endpoint in one text: "Configure Azure Storage connection
//! strings".

use lepton_core::{Error, Result};
use secrecy::{ExposeSecret as _, SecretString};

use super::endpoint::{EMULATOR, usual};
use crate::wire::address::Address;

/// The emulator's account key, which is public: "Use the Azurite emulator".
const EMULATORS_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The content of a connection string.
#[derive(Default)]
pub(super) struct Connection {
    pub(super) account: Option<String>,
    pub(super) key: Option<SecretString>,
    pub(super) sas: Option<SecretString>,
    pub(super) endpoint: Option<String>,
}

impl Connection {
    pub(super) fn parse(text: &SecretString) -> Result<Self> {
        let wrong = |why: &str| Error::invalid_input(format!("the connection string is not one: {why}"));
        let (mut found, mut protocol, mut suffix) = (Self::default(), "https", None);
        let (mut development, mut proxy) = (false, None);
        for pair in text.expose_secret().split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(wrong("name=value, separated by `;`, is what it should be"));
            };
            match name.to_ascii_lowercase().as_str() {
                "accountname" => found.account = Some(value.to_owned()),
                "accountkey" => found.key = Some(value.into()),
                "sharedaccesssignature" => found.sas = Some(value.into()),
                "blobendpoint" => found.endpoint = Some(value.to_owned()),
                "defaultendpointsprotocol" => protocol = value,
                "endpointsuffix" => suffix = Some(value),
                "usedevelopmentstorage" => development = value.eq_ignore_ascii_case("true"),
                "developmentstorageproxyuri" => proxy = Some(value),
                // Fields of other services.
                _ => {}
            }
        }
        if development {
            return Self::emulator(proxy);
        }
        if let (None, Some(account), Some(suffix)) = (&found.endpoint, &found.account, suffix) {
            found.endpoint = Some(format!("{protocol}://{account}.blob.{suffix}"));
        }
        if found.account.is_none() {
            found.account = found.endpoint.as_deref().and_then(account_of);
        }
        Ok(found)
    }

    /// The emulator's well-known account, on another host if `proxy` is given.
    fn emulator(proxy: Option<&str>) -> Result<Self> {
        let (scheme, host) = match proxy {
            Some(proxy) => {
                let address = Address::parse(proxy)?;
                (address.scheme.to_string(), address.authority.host().to_owned())
            }
            None => ("http".to_owned(), "127.0.0.1".to_owned()),
        };
        Ok(Self {
            account: Some(EMULATOR.to_owned()),
            key: Some(EMULATORS_KEY.into()),
            sas: None,
            endpoint: Some(format!("{scheme}://{host}:10000/{EMULATOR}")),
        })
    }

    /// Drops its secrets if requests go to another host than its own.
    pub(super) fn only_at(self, endpoint: &str, account: &str) -> Self {
        let authority = |endpoint: &str| Address::parse(endpoint).ok().map(|address| address.authority);
        let own = self.endpoint.clone().unwrap_or_else(|| usual(account));
        if authority(&own).is_some() && authority(&own) == authority(endpoint) {
            return self;
        }
        Self { key: None, sas: None, ..self }
    }
}

/// The account of an endpoint: the first label of a host of the service, or the first
/// segment of the path on a machine without a name of its own. A custom domain does not
/// reveal the account.
fn account_of(endpoint: &str) -> Option<String> {
    let address = Address::parse(endpoint).ok()?;
    let host = address.authority.host();
    if host.contains(".blob.") {
        return host.split('.').next().map(str::to_owned);
    }
    let nameless = host == "localhost" || host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    let segment = address.path.split('/').nth(1).filter(|segment| !segment.is_empty());
    segment.filter(|_| nameless).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_endpoints_are_read() {
        for (text, account, endpoint) in [
            ("AccountName=a;AccountKey=k", Some("a"), None),
            (
                "AccountName=a;EndpointSuffix=core.chinacloudapi.cn;DefaultEndpointsProtocol=http",
                Some("a"),
                Some("http://a.blob.core.chinacloudapi.cn"),
            ),
            ("BlobEndpoint=https://a.blob.core.windows.net/", Some("a"), Some("https://a.blob.core.windows.net/")),
            (
                "BlobEndpoint=https://a.z01.blob.storage.azure.net",
                Some("a"),
                Some("https://a.z01.blob.storage.azure.net"),
            ),
            ("BlobEndpoint=http://127.0.0.1:10000/a/", Some("a"), Some("http://127.0.0.1:10000/a/")),
            ("BlobEndpoint=https://files.example/a", None, Some("https://files.example/a")),
            ("UseDevelopmentStorage=true", Some(EMULATOR), Some("http://127.0.0.1:10000/devstoreaccount1")),
            (
                "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://emulator",
                Some(EMULATOR),
                Some("http://emulator:10000/devstoreaccount1"),
            ),
        ] {
            let found = Connection::parse(&text.into()).unwrap();
            assert_eq!((found.account.as_deref(), found.endpoint.as_deref()), (account, endpoint), "{text}");
        }
    }
}
