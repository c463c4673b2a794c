//! A workload on Amazon's machines. Its token is a signed request for its identity, which
//! is not sent; Google sends it and learns the signer's identity.
//!
//! "Workload identity federation with AWS" and AIP-4117 in Google's documentation;
//! "Signature Version 4" in Amazon's.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::HeaderName;
use http::{HeaderValue, Method, Request};
use lepton_core::{Error, ErrorKind, Result, Sha256, to_hex};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::source::Source;
use crate::transport::RequestBody;
use crate::wire::address::Address;
use crate::wire::encode::encode_query;
use crate::wire::issuer::{Issuer, get, post};
use crate::wire::secrets::Secrets;
use crate::wire::time::{DAY, civil_from_days};
use crate::wire::values::{Issuers, Vars};

const TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const SESSION: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
/// Timeout of the machine's service; it responds immediately or not at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// The addresses of the machine's identity and region, unless the environment provides
/// these.
#[derive(Debug)]
pub(super) struct Aws {
    issuer: Issuer,
    audience: String,
    /// Contains `{region}`.
    identity_url: String,
    region: Option<String>,
    region_url: Option<String>,
    keys: Option<Keys>,
    keys_url: Option<String>,
    session_url: Option<String>,
}

/// The keys from the metadata service or the environment.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    access_key_id: String,
    secret_access_key: SecretString,
    token: Option<SecretString>,
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
        let keys = var("AWS_ACCESS_KEY_ID").zip(var("AWS_SECRET_ACCESS_KEY")).map(|(id, secret)| Keys {
            access_key_id: id,
            secret_access_key: secret.into(),
            token: var("AWS_SESSION_TOKEN").map(Into::into),
        });
        Ok(Self {
            issuer: issuers(false)?,
            audience: audience.to_owned(),
            identity_url: source.regional_cred_verification_url.clone().ok_or_else(missing)?,
            region: var("AWS_REGION").or_else(|| var("AWS_DEFAULT_REGION")),
            region_url: source.region_url.clone(),
            keys,
            keys_url: source.url.clone(),
            session_url: source.imdsv2_session_token_url.clone(),
        })
    }

    /// The signed request, in the format that Google expects.
    pub(super) async fn token(&self) -> Result<SecretString> {
        let session = match &self.session_url {
            Some(url) if self.region.is_none() || self.keys.is_none() => Some(self.session(url).await?),
            _ => None,
        };
        let region = match (&self.region, &self.region_url) {
            (Some(region), _) => region.clone(),
            (None, Some(url)) => {
                // The service returns the zone, which is the region and a letter.
                let zone = self.read(url, session.as_ref()).await?;
                zone.trim().trim_end_matches(|end: char| end.is_ascii_lowercase()).to_owned()
            }
            (None, None) => return Err(nothing("region")),
        };
        let keys = match (&self.keys, &self.keys_url) {
            (Some(keys), _) => keys.clone(),
            (None, Some(url)) => {
                let role = self.read(url, session.as_ref()).await?;
                let url = format!("{}/{}", url.trim_end_matches('/'), role.trim());
                let answer = self.read(&url, session.as_ref()).await?;
                // The parser's message could quote a key, so it is left out.
                serde_json::from_str(&answer).map_err(|_| nothing("key"))?
            }
            (None, None) => return Err(nothing("key")),
        };
        let seconds = self.issuer.env.now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        signed(&self.identity_url.replace("{region}", &region), &region, &self.audience, &keys, seconds)
    }

    async fn session(&self, url: &str) -> Result<HeaderValue> {
        let mut request = post(address(url)?.join("", "")?, "");
        *request.method_mut() = Method::PUT;
        request.headers_mut().insert(TTL, HeaderValue::from_static("300"));
        let mut session = HeaderValue::from_maybe_shared(self.asked(request).await?).map_err(|_| nothing("session"))?;
        session.set_sensitive(true);
        Ok(session)
    }

    async fn read(&self, url: &str, session: Option<&HeaderValue>) -> Result<String> {
        let mut request = get(address(url)?.join("", "")?);
        if let Some(session) = session {
            request.headers_mut().insert(SESSION, session.clone());
        }
        String::from_utf8(self.asked(request).await?.to_vec()).map_err(|_| nothing("text"))
    }

    async fn asked(&self, request: Request<RequestBody>) -> Result<Bytes> {
        let message = "the machine's metadata service did not answer in time; for a container on the machine its \
                       hop limit must be 2";
        let answer = self.issuer.send_within(request, Secrets::default(), PATIENCE, message).await?;
        if !answer.is_success() {
            return Err(answer.refusal("the machine's metadata service refused"));
        }
        Ok(answer.body)
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

fn nothing(what: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, format!("neither environment nor metadata service tell the {what} of AWS"))
}

/// A signed request for the signer's identity, as JSON, percent-encoded.
fn signed(url: &str, region: &str, audience: &str, keys: &Keys, seconds: u64) -> Result<SecretString> {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let host = Address::parse(place)?.authority.to_string();
    let ((year, month, day), rest) = (civil_from_days(seconds / DAY), seconds % DAY);
    let date = format!("{year:04}{month:02}{day:02}");
    let time = format!("{date}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60);
    let mut headers = vec![("host", host.as_str()), ("x-amz-date", &time)];
    if let Some(token) = &keys.token {
        headers.push(("x-amz-security-token", token.expose_secret()));
    }
    headers.push(("x-goog-cloud-target-resource", audience));
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let mut request = format!("POST\n/\n{query}\n");
    for (name, value) in &headers {
        // Writing to a String cannot fail.
        let _ = writeln!(request, "{name}:{value}");
    }
    let _ = write!(request, "\n{names}\n{}", Sha256::of(b""));
    let scope = format!("{date}/{region}/sts/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", Sha256::of(request.as_bytes()));
    let mut key = ["AWS4", keys.secret_access_key.expose_secret()].concat().into_bytes();
    for step in scope.split('/').chain([to_sign.as_str()]) {
        key = hmac(&key, step.as_bytes());
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        keys.access_key_id,
        to_hex(&key)
    );
    headers.push(("Authorization", &authorization));
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| serde_json::json!({ "key": name, "value": value })).collect();
    let token = serde_json::json!({ "url": url, "method": "POST", "headers": headers }).to_string();
    Ok(encode_query(token.as_bytes()).into())
}

fn hmac(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    // HMAC accepts keys of any length.
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys come from Amazon's documentation; the signature was made with botocore.
    #[test]
    fn a_request_is_signed_and_the_key_not_in_it() {
        let keys = Keys {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            token: Some("session".into()),
        };
        let url = "https://sts.us-east-2.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15";
        let token = signed(url, "us-east-2", "//iam/audience", &keys, 1_597_117_416).unwrap();
        let token = percent_encoding::percent_decode_str(token.expose_secret()).decode_utf8().unwrap();
        let token: serde_json::Value = serde_json::from_str(&token).unwrap();
        assert_eq!((token["url"].as_str(), token["method"].as_str()), (Some(url), Some("POST")));
        let headers = token["headers"].as_array().unwrap();
        let said = |name: &str| headers.iter().find(|header| header["key"] == name).unwrap()["value"].clone();
        assert_eq!(said("host"), "sts.us-east-2.amazonaws.com");
        assert_eq!(said("x-amz-date"), "20200811T034336Z");
        assert_eq!(said("x-goog-cloud-target-resource"), "//iam/audience");
        let authorization = said("Authorization").as_str().unwrap().to_owned();
        let names = "SignedHeaders=host;x-amz-date;x-amz-security-token;x-goog-cloud-target-resource,";
        assert!(authorization.contains(names) && authorization.contains("/20200811/us-east-2/sts/aws4_request"));
        assert!(
            authorization.ends_with("Signature=2c0a8e38daa0b3a24e1aadd0eb717c60a3ca30b2339e98c562433f4c8f93ff8b"),
            "{authorization}"
        );
        assert!(!token.to_string().contains("wJalrXUtnFEMI"));
    }

    #[test]
    fn only_the_machines_own_metadata_service_is_asked() {
        assert!(address("http://169.254.169.254/latest/meta-data/placement/availability-zone").is_ok());
        assert!(address("http://example.org/latest").is_err());
    }
}
