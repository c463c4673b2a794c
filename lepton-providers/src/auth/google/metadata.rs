//! Tokens of the service account of a machine, a pod or a function.
//!
//! "About VM metadata" and "Authenticate workloads" in Google's documentation.

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use lepton_core::Result;

use crate::auth::issuer::{Issuer, get};
use crate::auth::oauth::ask;
use crate::auth::token::{Token, TokenProvider};
use crate::wire::address::Address;
use crate::wire::secrets::Secrets;
use crate::wire::values::Vars;

const HOST: &str = "metadata.google.internal";
const PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

/// Queries the metadata server.
#[derive(Debug)]
pub(crate) struct MetadataServer {
    issuer: Issuer,
    address: Address,
}

impl MetadataServer {
    /// The server that `GCE_METADATA_HOST` or `GCE_METADATA_IP` names, otherwise the
    /// default one.
    ///
    /// # Errors
    /// `invalid_input` if a variable does not hold a host.
    pub(crate) fn new(issuer: Issuer, var: Vars<'_>) -> Result<Self> {
        let host = var("GCE_METADATA_HOST").or_else(|| var("GCE_METADATA_IP")).unwrap_or_else(|| HOST.to_owned());
        Ok(Self { issuer, address: Address::parse(&format!("http://{host}"))? })
    }
}

#[async_trait]
impl TokenProvider for MetadataServer {
    async fn token(&self) -> Result<Token> {
        let mut request = get(self.address.join(PATH, "")?);
        let flavor = (HeaderName::from_static("metadata-flavor"), HeaderValue::from_static("Google"));
        request.headers_mut().insert(flavor.0, flavor.1);
        ask(&self.issuer, request, Secrets::default()).await
    }
}

#[cfg(test)]
mod tests {
    use lepton_core::{RuntimeExt as _, SystemRuntime};
    use secrecy::ExposeSecret as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Uses a fake server, which answers one request.
    #[tokio::test]
    async fn the_server_of_the_environment_is_used() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (host, env) = (listener.local_addr().unwrap().to_string(), SystemRuntime::shared());
        let serving = env.clone().spawn_task(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "half a request");
            }
            let body = r#"{"access_token": "t", "expires_in": 3599, "token_type": "Bearer"}"#;
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap().to_ascii_lowercase()
        });
        let var = |name: &str| (name == "GCE_METADATA_IP").then(|| host.clone());
        let server = MetadataServer::new(Issuer::plain(&env), &var).unwrap();
        let token = server.token().await.unwrap();
        assert!(token.secret.expose_secret() == "t" && token.expires.is_some());
        let request = serving.join().await.unwrap();
        assert!(request.starts_with("get /computemetadata/v1/instance/service-accounts/default/token "), "{request}");
        assert!(request.contains("metadata-flavor: google"), "{request}");
    }
}
