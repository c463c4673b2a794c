//! Requests a bearer token and parses the response.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Request;
use lepton_core::{Error, ErrorKind, Result};
use secrecy::SecretString;
use serde::Deserialize;

use crate::auth::issuer::{Answer, Issuer};
use crate::auth::token::Token;
use crate::transport::RequestBody;
use crate::wire::secrets::Secrets;

/// Requests a token. `secrets` are those in the body of the request.
///
/// # Errors
/// `unauthenticated` if it is refused, with the service's message; the errors of the
/// network.
pub(crate) async fn ask(issuer: &Issuer, request: Request<RequestBody>, secrets: Secrets) -> Result<Token> {
    let answer = issuer.send(request, secrets).await?;
    if !answer.is_success() {
        return Err(refused(&answer));
    }
    let nonsense = || Error::new(ErrorKind::Unauthenticated, "the answer holds no token");
    token_of(&answer.body, issuer.env.now()).ok_or_else(nonsense)
}

fn refused(answer: &Answer) -> Error {
    #[derive(Deserialize, Default)]
    struct Refusal {
        #[serde(default)]
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let reply: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    // The first line has the reason; the others hold ids and times.
    let error = answer.refusal(reply.error_description.lines().next().unwrap_or_default());
    answer.coded(error, &reply.error)
}

/// The token in a response. Services differ in the field names and in the format of
/// times.
pub(crate) fn token_of(answer: &[u8], now: SystemTime) -> Option<Token> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(alias = "accessToken")]
        access_token: SecretString,
        expires_in: Option<Seconds>,
        expires_on: Option<Seconds>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Number(u64),
        Text(String),
    }
    let number = |seconds: Option<Seconds>| match seconds? {
        Seconds::Number(seconds) => Some(Duration::from_secs(seconds)),
        Seconds::Text(text) => text.parse().ok().map(Duration::from_secs),
    };
    // The parser's message could quote the response, so it is left out.
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    let at = number(answer.expires_on).and_then(|since| UNIX_EPOCH.checked_add(since));
    let after = number(answer.expires_in).and_then(|more| now.checked_add(more));
    Some(Token::new(answer.access_token).expires(at.or(after)))
}

#[cfg(test)]
mod tests {
    use lepton_core::RetryClass;

    use super::*;

    #[test]
    fn answers_of_every_issuer_are_read() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        for (answer, expires) in [
            (r#"{"token_type": "Bearer", "expires_in": 3599, "access_token": "t"}"#, at(4599)),
            (r#"{"access_token": "t", "expires_on": "5000", "expires_in": "1"}"#, at(5000)),
            (r#"{"accessToken": "t", "expiresOn": "2026-01-01 00:00:00.000000", "expires_on": 6000}"#, at(6000)),
            (r#"{"access_token": "t"}"#, None),
        ] {
            assert_eq!(token_of(answer.as_bytes(), now).unwrap().expires, expires, "{answer}");
        }
        assert!(token_of(b"{}", now).is_none() && token_of(b"t", now).is_none());
    }

    #[test]
    fn a_refusal_has_the_issuers_message() {
        let body = br#"{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid secret.\r\nTrace: x"}"#;
        let error = refused(&Answer { status: 401, body: body.to_vec().into(), secrets: Secrets::default() });
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, RetryClass::Never));
        assert!(error.message().ends_with("Invalid secret."), "{error}");
        assert_ne!(
            refused(&Answer { status: 503, body: bytes::Bytes::new(), secrets: Secrets::default() }).retry(),
            RetryClass::Never
        );
    }
}
