//! A workload on Amazon's machines. Its token is a signed request for its identity, which
//! is not sent; Google sends it and learns the signer's identity.
//!
//! "Workload identity federation with AWS" and AIP-4117 in Google's documentation;
//! "Signature Version 4" in Amazon's.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use lepton_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret as _, SecretString};

use super::source::Source;
use crate::auth::aws::credentials::Credentials;
use crate::auth::aws::imds::{Imds, TIMEOUT, credentials_of, succeeded};
use crate::auth::aws::sign::key::{CanonicalRequest, EMPTY_SHA256, SigningContext, SigningKey};
use crate::auth::issuer::Issuers;
use crate::wire::address::Address;
use crate::wire::encode::encode_query;
use crate::wire::time::BasicDate;
use crate::wire::values::Vars;

/// The addresses of the machine's identity and region, unless the environment provides
/// these.
#[derive(Debug)]
pub(super) struct Aws {
    imds: Imds,
    audience: String,
    /// Contains `{region}`.
    identity_url: String,
    region: Option<String>,
    region_url: Option<String>,
    credentials: Option<Credentials>,
    credentials_url: Option<String>,
    session_url: Option<String>,
}

impl Aws {
    /// # Errors
    /// `unsupported` for any version but the first; `invalid_input` if a field is
    /// missing.
    pub(super) fn new(id: &str, source: &Source, audience: &str, var: Vars<'_>, issuers: Issuers<'_>) -> Result<Self> {
        if id != "aws1" {
            return Err(Error::unsupported(format!("credential_source with environment_id {id:?} is not known here")));
        }
        let missing = || Error::invalid_input("credential_source names no regional_cred_verification_url");
        let credentials = var("AWS_ACCESS_KEY_ID")
            .zip(var("AWS_SECRET_ACCESS_KEY"))
            .map(|(id, secret)| Credentials::new(id, secret).session_token(var("AWS_SESSION_TOKEN").map(Into::into)));
        let late = "the machine's metadata service did not answer in time; for a container on the machine its hop \
                    limit must be 2";
        Ok(Self {
            imds: Imds { issuer: issuers(false)?, timeout: TIMEOUT, late },
            audience: audience.to_owned(),
            identity_url: source.regional_cred_verification_url.clone().ok_or_else(missing)?,
            region: var("AWS_REGION").or_else(|| var("AWS_DEFAULT_REGION")),
            region_url: source.region_url.clone(),
            credentials,
            credentials_url: source.url.clone(),
            session_url: source.imdsv2_session_token_url.clone(),
        })
    }

    /// The signed request, in the format that Google expects.
    pub(super) async fn token(&self) -> Result<SecretString> {
        let session = match &self.session_url {
            Some(url) if self.region.is_none() || self.credentials.is_none() => {
                let session = self.imds.session(address(url)?.join("", "")?, "300").await?;
                Some(session.ok_or_else(|| missing("session"))?)
            }
            _ => None,
        };
        let region = match (&self.region, &self.region_url) {
            (Some(region), _) => region.clone(),
            (None, Some(url)) => {
                // The service returns the zone, which is the region and a letter.
                let zone = self.read(url, session.as_ref()).await?;
                zone.trim().trim_end_matches(|end: char| end.is_ascii_lowercase()).to_owned()
            }
            (None, None) => return Err(missing("region")),
        };
        let credentials = match (&self.credentials, &self.credentials_url) {
            (Some(credentials), _) => credentials.clone(),
            (None, Some(url)) => {
                let role = self.read(url, session.as_ref()).await?;
                let url = format!("{}/{}", url.trim_end_matches('/'), role.trim());
                let answer = self.read(&url, session.as_ref()).await?;
                credentials_of(answer.as_bytes()).ok_or_else(|| missing("key"))?
            }
            (None, None) => return Err(missing("key")),
        };
        let (url, now) = (self.identity_url.replace("{region}", &region), self.imds.issuer.env.now());
        signed(&url, &region, &self.audience, &Arc::new(credentials), now)
    }

    async fn read(&self, url: &str, session: Option<&HeaderValue>) -> Result<String> {
        let answer = self.imds.read(address(url)?.join("", "")?, session).await?;
        String::from_utf8(succeeded(answer)?.to_vec()).map_err(|_| missing("text"))
    }
}

/// The address of the metadata service, which must be local to the machine.
fn address(url: &str) -> Result<Address> {
    let address = Address::parse(url)?;
    let host = address.authority.host();
    if address.is_here() || host == "169.254.169.254" || host == "[fd00:ec2::254]" {
        return Ok(address);
    }
    Err(Error::invalid_input("credential_source names another metadata service than the machine's"))
}

fn missing(what: &str) -> Error {
    let message = format!("neither the environment nor the metadata service gives the {what} of AWS");
    Error::new(ErrorKind::Unauthenticated, message)
}

/// A signed request for the signer's identity, as JSON, percent-encoded.
fn signed(
    url: &str,
    region: &str,
    audience: &str,
    credentials: &Arc<Credentials>,
    now: SystemTime,
) -> Result<SecretString> {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let host = Address::parse(place)?.authority.to_string();
    let context = SigningContext { credentials, region, service: "sts", date: BasicDate::new(now) };
    let mut headers = vec![("host", host.as_str()), ("x-amz-date", context.date.as_str())];
    if let Some(token) = &credentials.session_token {
        headers.push(("x-amz-security-token", token.expose_secret()));
    }
    headers.push(("x-goog-cloud-target-resource", audience));
    let header = |(name, value): &(&'static str, &str)| Ok((HeaderName::from_static(name), value.parse()?));
    let signed: Result<HeaderMap, http::header::InvalidHeaderValue> = headers.iter().map(header).collect();
    let signed = signed.map_err(|_| Error::invalid_input("the credentials of AWS or the audience are no header"))?;
    let request = CanonicalRequest { method: "POST", path: "/", query, headers: &signed, payload_hash: EMPTY_SHA256 };
    let key = SigningKey::derive(&context);
    let (signature, names) = key.sign(&context, &request);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, Signature={signature}",
        credentials.access_key_id, key.scope,
    );
    headers.push(("Authorization", &authorization));
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| serde_json::json!({ "key": name, "value": value })).collect();
    let token = serde_json::json!({ "url": url, "method": "POST", "headers": headers }).to_string();
    Ok(encode_query(token.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// The keys come from Amazon's documentation; the signature was made with botocore.
    #[test]
    fn a_request_is_signed_and_the_key_not_in_it() {
        let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let credentials = Arc::new(credentials.session_token(Some("session".into())));
        let now = UNIX_EPOCH + Duration::from_secs(1_597_117_416);
        let url = "https://sts.us-east-2.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15";
        let token = signed(url, "us-east-2", "//iam/audience", &credentials, now).unwrap();
        let token = percent_encoding::percent_decode_str(token.expose_secret()).decode_utf8().unwrap();
        let token: serde_json::Value = serde_json::from_str(&token).unwrap();
        assert_eq!((token["url"].as_str(), token["method"].as_str()), (Some(url), Some("POST")));
        let headers = token["headers"].as_array().unwrap();
        let header = |name: &str| headers.iter().find(|header| header["key"] == name).unwrap()["value"].clone();
        assert_eq!(header("host"), "sts.us-east-2.amazonaws.com");
        assert_eq!(header("x-amz-date"), "20200811T034336Z");
        assert_eq!(header("x-goog-cloud-target-resource"), "//iam/audience");
        let authorization = header("Authorization").as_str().unwrap().to_owned();
        let names = "SignedHeaders=host;x-amz-date;x-amz-security-token;x-goog-cloud-target-resource,";
        assert!(authorization.contains(names) && authorization.contains("/20200811/us-east-2/sts/aws4_request"));
        assert!(
            authorization.ends_with("Signature=2c0a8e38daa0b3a24e1aadd0eb717c60a3ca30b2339e98c562433f4c8f93ff8b"),
            "{authorization}"
        );
        assert!(!token.to_string().contains("wJalrXUtnFEMI"));
    }

    #[test]
    fn only_the_machines_own_metadata_service_is_queried() {
        assert!(address("http://169.254.169.254/latest/meta-data/placement/availability-zone").is_ok());
        assert!(address("http://example.org/latest").is_err());
    }
}
