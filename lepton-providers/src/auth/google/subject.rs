//! The token with which another cloud identifies a workload: from a file, a URL, a
//! command, or as a signature of Amazon's.
//!
//! "Workload identity federation", and AIP-4117, in Google's documentation.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue};
use lepton_core::{Error, ErrorKind, Result, SharedRuntime};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::aws::Aws;
use super::source::Source;
use crate::auth::command;
use crate::auth::file::secret;
use crate::auth::issuer::{Issuer, Issuers, get};
use crate::wire::address::Address;
use crate::wire::secrets::Secrets;
use crate::wire::values::Vars;

/// The location of a workload's token.
#[derive(Debug)]
pub(super) enum Subject {
    File { file: PathBuf, field: Option<String> },
    Url(Box<Url>),
    Command(Vec<String>),
    Aws(Box<Aws>),
}

/// A service that returns the token.
#[derive(Debug)]
pub(super) struct Url {
    issuer: Issuer,
    address: Address,
    query: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    field: Option<String>,
}

impl Subject {
    /// # Errors
    /// `invalid_input` if the description in the file is invalid; `unsupported` for a
    /// command, unless commands are allowed.
    pub(super) fn new(source: Source, audience: &str, kind: &str, var: Vars<'_>, issuers: Issuers<'_>) -> Result<Self> {
        if let Some(id) = &source.environment_id {
            return Aws::new(id, &source, audience, var, issuers).map(|aws| Self::Aws(Box::new(aws)));
        }
        let field = source
            .format
            .filter(|format| format.kind == "json")
            .map(|format| format.subject_token_field_name.unwrap_or_else(|| "access_token".to_owned()));
        if let Some(file) = source.file {
            return Ok(Self::File { file, field });
        }
        if let Some(url) = source.url {
            let (place, query) = url.split_once('?').unwrap_or((&url, ""));
            let address = Address::parse(place)?;
            let headers = source.headers.into_iter().map(|(name, value)| header(&name, &value));
            let headers = headers.collect::<Result<Vec<_>>>()?;
            // The metadata service of a machine is not reached through a proxy.
            let issuer = issuers(address.is_tls())?;
            return Ok(Self::Url(Box::new(Url { issuer, address, query: query.to_owned(), headers, field })));
        }
        match source.executable {
            Some(executable) => command_of(&executable.command, audience, kind, var).map(Self::Command),
            None => Err(Error::invalid_input("credential_source names neither a file, a url nor an executable")),
        }
    }

    /// Gets the token.
    pub(super) async fn token(&self, env: &SharedRuntime) -> Result<SecretString> {
        match self {
            Self::File { file, field } => {
                let content = secret(env, file, "token of the workload").await?;
                token_in(content.as_bytes(), field.as_deref())
            }
            Self::Url(url) => {
                let mut request = get(url.address.join("", &url.query)?);
                request.headers_mut().extend(url.headers.iter().cloned());
                let answer = url.issuer.send(request, Secrets::default()).await?;
                if !answer.is_success() {
                    return Err(answer.refusal("the place of the workload's token refused"));
                }
                token_in(&answer.body, url.field.as_deref())
            }
            Self::Command(command) => {
                let failed = |why| {
                    let message = format!("the executable of the credentials {why}");
                    Error::new(ErrorKind::Unauthenticated, message)
                };
                printed(&command::output(env, command).await.map_err(|error| error.into_error(failed))?)
            }
            Self::Aws(aws) => aws.token().await,
        }
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let (Ok(header), Ok(mut value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) else {
        return Err(Error::invalid_input(format!("the header {name:?} of credential_source is none")));
    };
    value.set_sensitive(true);
    Ok((header, value))
}

fn token_in(content: &[u8], field: Option<&str>) -> Result<SecretString> {
    let nonsense = || Error::new(ErrorKind::Unauthenticated, "the token of the workload is not where it should be");
    let text = match field {
        None => String::from_utf8(content.to_vec()).map_err(|_| nonsense())?,
        Some(field) => {
            let json: serde_json::Value = serde_json::from_slice(content).map_err(|_| nonsense())?;
            json.get(field).and_then(|token| token.as_str()).ok_or_else(nonsense)?.to_owned()
        }
    };
    Ok(text.trim().into())
}

/// The command, run through `env` to set the variables that it expects.
fn command_of(command: &str, audience: &str, kind: &str, var: Vars<'_>) -> Result<Vec<String>> {
    const ALLOW: &str = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";
    if var(ALLOW).as_deref() != Some("1") {
        return Err(Error::unsupported(format!("the credentials name an executable; to let it run set {ALLOW}=1")));
    }
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return Err(Error::invalid_input("the executable of credential_source is empty"));
    }
    let variables = [
        "env".to_owned(),
        format!("GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE={audience}"),
        format!("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE={kind}"),
        "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0".to_owned(),
    ];
    Ok(variables.into_iter().chain(words).collect())
}

/// The token in the output of a command.
fn printed(output: &[u8]) -> Result<SecretString> {
    #[derive(Deserialize)]
    struct Printed {
        success: bool,
        id_token: Option<SecretString>,
        saml_response: Option<SecretString>,
        code: Option<String>,
        message: Option<String>,
    }
    let wrong =
        |why: String| Error::new(ErrorKind::Unauthenticated, format!("the executable of the credentials {why}"));
    // The parser's message could quote the output, so it is left out.
    let printed: Printed = serde_json::from_slice(output).map_err(|_| wrong("prints no JSON of its format".into()))?;
    if !printed.success {
        let reported = [printed.code, printed.message].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let tokens = printed.id_token.iter().chain(&printed.saml_response);
        let secrets = tokens.fold(Secrets::default(), |secrets, token| secrets.text(token.expose_secret()));
        return Err(wrong(format!("says: {}", secrets.printable(&reported))));
    }
    printed.id_token.or(printed.saml_response).ok_or_else(|| wrong("prints no token".into()))
}

#[cfg(test)]
mod tests {
    use lepton_core::SystemRuntime;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[tokio::test]
    async fn a_command_runs_only_where_it_is_allowed_to() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("token.sh");
        let says =
            r#"echo "{\"version\": 1, \"success\": true, \"id_token\": \"of $GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE\"}""#;
        std::fs::write(&script, says).unwrap();
        let command = format!("sh {}", script.display());
        let refused = command_of(&command, "a", "t", &|_| None).unwrap_err();
        assert!(refused.message().contains("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1"), "{refused}");
        let command = command_of(&command, "a", "t", &|_| Some("1".into())).unwrap();
        let token = Subject::Command(command).token(&SystemRuntime::shared()).await.unwrap();
        assert_eq!(token.expose_secret(), "of a");
    }

    #[test]
    fn output_of_a_command_is_parsed_and_not_shown() {
        let error = printed(br#"{"version": 1, "success": false, "code": "401", "message": "log in"}"#).unwrap_err();
        assert!(error.message().ends_with("says: 401 log in"), "{error}");
        for wrong in [&b"s3cr3t"[..], br#"{"success": "s3cr3t"}"#, br#"{"success": true}"#] {
            assert!(!printed(wrong).unwrap_err().full_message().contains("s3cr3t"));
        }
        assert_eq!(token_in(br#"{"t": " x "}"#, Some("t")).unwrap().expose_secret(), "x");
        assert!(token_in(br#"{"t": 1}"#, Some("t")).is_err());
    }
}
