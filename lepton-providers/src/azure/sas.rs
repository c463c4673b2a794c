//! Presigned URLs: "Create a service SAS" in the REST reference.

use std::time::Duration;

use async_trait::async_trait;
use lepton_core::{Error, ErrorKind, Method, ObjectKey, Result, SignedUrl, Signer, VersionId};

use super::auth::Auth;
use super::client::{API_VERSION, Client};
use super::sign::AccountKey;
use super::storage::AzureStorage;
use crate::wire::encode::Query;
use crate::wire::time::iso8601;

/// The longest validity of a presigned URL: a year. The service has no limit of its own.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

#[async_trait]
impl Signer for AzureStorage {
    /// A client that puts to a presigned URL also has to send the header `x-ms-blob-type:
    /// BlockBlob`, which the URL cannot hold.
    async fn sign(&self, method: Method, key: &ObjectKey, valid_for: Duration) -> Result<SignedUrl> {
        let signed = self.client.signed_url(method, key, valid_for);
        signed.map_err(|error| error.with_operation("sign").with_context("key", key))
    }
}

impl Client {
    fn signed_url(&self, method: Method, key: &ObjectKey, valid_for: Duration) -> Result<SignedUrl> {
        let Auth::Key(account_key) = &self.auth else {
            let message = "only the account's key can sign a URL; these requests are authorised in another way";
            return Err(Error::new(ErrorKind::Unauthenticated, message));
        };
        if valid_for.as_secs() == 0 || valid_for > LONGEST {
            let message = format!("a signed URL is good for a second to {} days", LONGEST.as_secs() / 86_400);
            return Err(Error::invalid_input(message));
        }
        let Some(name) = key.as_str() else {
            return Err(Error::new(ErrorKind::InvalidKey, "only a key of UTF-8 can be signed"));
        };
        let permissions = match method {
            Method::Get | Method::Head => "r",
            Method::Put => "cw",
            Method::Delete => "d",
            other => return Err(Error::unsupported(format!("the method {other:?} is not known here"))),
        };
        let query = self.signature(account_key, (&self.container, name, None), permissions, valid_for);
        let address = self.endpoint.text(&self.endpoint.path(Some(key)));
        Ok(SignedUrl::new(format!("{address}?{}", query.canonical())))
    }

    /// The query that grants this permission on a blob, or on one of its versions, to any
    /// client.
    pub(super) fn signature(
        &self,
        account_key: &AccountKey,
        (container, name, version): (&str, &str, Option<&VersionId>),
        permissions: &str,
        valid_for: Duration,
    ) -> Query {
        let expiry = iso8601(self.env.now() + valid_for);
        let protocol = if self.endpoint.is_tls() { "https" } else { "https,http" };
        let resource = format!("/blob/{}/{container}/{name}", self.endpoint.account);
        let (kind, version) = version.map_or(("b", ""), |version| ("bv", version.as_str()));
        let lines =
            [permissions, "", &expiry, &resource, "", "", protocol, API_VERSION, kind, version, "", "", "", "", "", ""];
        Query::new()
            .with("sp", permissions)
            .with("se", &expiry)
            .with("spr", protocol)
            .with("sv", API_VERSION)
            .with("sr", kind)
            .with("sig", account_key.sign(&lines.join("\n")))
    }
}
