//! Tokens of the managed identity of a machine or an app service.
//!
//! "How to use managed identities for Azure resources on an Azure VM to acquire an access
//! token", and the same for App Service.

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use lepton_core::{Error, ErrorKind, Result, RetryClass};
use secrecy::{ExposeSecret as _, SecretString};

use super::resource::RESOURCE;
use crate::auth::issuer::{Issuer, get};
use crate::auth::oauth::ask;
use crate::auth::token::{Token, TokenProvider};
use crate::wire::address::Address;
use crate::wire::encode::Query;
use crate::wire::secrets::Secrets;
use crate::wire::values::Vars;

/// The metadata service of all Azure machines: link-local, never routed.
const METADATA: &str = "http://169.254.169.254";

/// How long the metadata service may be unavailable while it is updated.
const RENEWAL: Duration = Duration::from_secs(70);

/// How to query a metadata service.
#[derive(Debug)]
struct Protocol {
    version: &'static str,
    header: (HeaderName, SecretString),
    /// The parameter that selects one of several identities.
    client: &'static str,
    /// Whether it is a machine's service.
    machine: bool,
}

/// Queries the metadata service.
#[derive(Debug)]
pub(crate) struct ManagedIdentity {
    issuer: Issuer,
    address: Address,
    protocol: Protocol,
    /// Selects one of several identities.
    client: Option<String>,
}

impl ManagedIdentity {
    /// The service that the environment names, otherwise the machine's.
    ///
    /// # Errors
    /// `invalid_input` if it names an invalid address; `unsupported` if it requires a
    /// kind of authorization that is not supported.
    pub(crate) fn new(issuer: Issuer, client: Option<String>, var: Vars<'_>) -> Result<Self> {
        let service = move |endpoint: String, protocol| {
            Ok(Self { issuer, address: Address::parse(&endpoint)?, protocol, client })
        };
        if let Some(endpoint) = var("IDENTITY_ENDPOINT") {
            let Some(secret) = var("IDENTITY_HEADER") else {
                let message = "IDENTITY_ENDPOINT without IDENTITY_HEADER is that of Azure Arc, whose identities are \
                               not known here; use a service principal, or unset it";
                return Err(Error::unsupported(message));
            };
            let header = (HeaderName::from_static("x-identity-header"), secret.into());
            return service(endpoint, Protocol { version: "2019-08-01", header, client: "client_id", machine: false });
        }
        // The same, under its older name.
        if let (Some(endpoint), Some(secret)) = (var("MSI_ENDPOINT"), var("MSI_SECRET")) {
            let header = (HeaderName::from_static("secret"), secret.into());
            return service(endpoint, Protocol { version: "2017-09-01", header, client: "clientid", machine: false });
        }
        let host = var("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or_else(|| METADATA.to_owned());
        let header = (HeaderName::from_static("metadata"), "true".into());
        let protocol = Protocol { version: "2018-02-01", header, client: "client_id", machine: true };
        service(format!("{}/metadata/identity/oauth2/token", host.trim_end_matches('/')), protocol)
    }

    /// The meaning of a refusal. A machine's service is unavailable while it is updated.
    fn explain(&self, error: Error) -> Error {
        match error.status() {
            Some(404) if self.protocol.machine => error.with_kind(ErrorKind::Unavailable).with_retry(RetryClass::Now),
            Some(410) if self.protocol.machine => {
                error.with_kind(ErrorKind::Unavailable).with_retry(RetryClass::After(RENEWAL))
            }
            _ => error,
        }
    }
}

#[async_trait]
impl TokenProvider for ManagedIdentity {
    async fn token(&self) -> Result<Token> {
        let Protocol { version, header: (name, value), client, .. } = &self.protocol;
        let mut query = Query::new().with("api-version", version).with("resource", RESOURCE);
        if let Some(id) = &self.client {
            query.push(client, id);
        }
        let mut request = get(self.address.join("", &query.canonical())?);
        let value = HeaderValue::from_str(value.expose_secret());
        let mut value = value.map_err(|_| Error::invalid_input("IDENTITY_HEADER holds control characters"))?;
        // On a machine, the value is a constant.
        value.set_sensitive(!self.protocol.machine);
        request.headers_mut().insert(name.clone(), value);
        ask(&self.issuer, request, Secrets::default()).await.map_err(|error| self.explain(error))
    }
}
