//! Credentials that a command prints (`credential_process`).
//!
//! Format: "Sourcing credentials with an external process" in the AWS CLI user guide. The
//! command runs without a shell; what it prints is a secret and never appears in an
//! error.

use async_trait::async_trait;
use lepton_core::{Error, ErrorKind, Result, SharedRuntime};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::credentials::{Credentials, CredentialsProvider};
use crate::auth::command::{output, split};
use crate::wire::time::parse_iso8601;

/// Runs a command that prints credentials.
#[derive(Debug)]
pub(crate) struct ProcessCredentials {
    command: Vec<String>,
    env: SharedRuntime,
}

impl ProcessCredentials {
    pub(crate) fn new(command: &str, env: SharedRuntime) -> Result<Self> {
        let words = split(command).filter(|words| !words.is_empty());
        let Some(command) = words else {
            return Err(Error::invalid_input("credential_process is empty or has an open quote"));
        };
        Ok(Self { command, env })
    }

    fn failed(&self, why: &'static str) -> Error {
        let name = self.command.first().map_or("", String::as_str);
        Error::new(ErrorKind::Unauthenticated, format!("credential_process {name:?} {why}"))
    }
}

#[async_trait]
impl CredentialsProvider for ProcessCredentials {
    async fn credentials(&self) -> Result<Credentials> {
        let output = output(&self.env, &self.command).await;
        self.parse(&output.map_err(|failed| failed.into_error(|why| self.failed(why)))?)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    version: u32,
    access_key_id: String,
    secret_access_key: SecretString,
    session_token: Option<SecretString>,
    expiration: Option<String>,
}

impl ProcessCredentials {
    pub(super) fn parse(&self, output: &[u8]) -> Result<Credentials> {
        // The parser's message could quote the output, so it is left out.
        let printed: Printed = serde_json::from_slice(output)
            .map_err(|_| self.failed("did not print the JSON of version 1 with AccessKeyId and SecretAccessKey"))?;
        if printed.version != 1
            || printed.access_key_id.is_empty()
            || printed.secret_access_key.expose_secret().is_empty()
        {
            return Err(self.failed("did not print credentials of version 1"));
        }
        let expires = match printed.expiration {
            None => None,
            Some(text) => {
                Some(parse_iso8601(&text).ok_or_else(|| self.failed("printed an Expiration that is no date"))?)
            }
        };
        Ok(Credentials::new(printed.access_key_id, printed.secret_access_key)
            .session_token(printed.session_token)
            .expires(expires))
    }
}

#[cfg(test)]
mod tests {
    use lepton_core::SystemRuntime;

    use super::*;

    async fn run(command: &str) -> Result<Credentials> {
        ProcessCredentials::new(command, SystemRuntime::shared())?.credentials().await
    }

    #[tokio::test]
    async fn prints_credentials() {
        let json = r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"s3cr3t","SessionToken":"t","Expiration":"2030-01-01T00:00:00+00:00"}"#;
        let credentials = run(&format!("printf %s '{json}'")).await.unwrap();
        assert_eq!(credentials.access_key_id, "A");
        assert_eq!(credentials.secret_access_key.expose_secret(), "s3cr3t");
        assert_eq!(credentials.expires, parse_iso8601("2030-01-01T00:00:00Z"));
        assert!(!format!("{credentials:?}").contains("s3cr3t"));
    }

    #[tokio::test]
    async fn failures_name_the_command_and_never_its_output() {
        for command in [
            "/nonexistent/command",
            "false",
            "printf 's3cr3t'",
            "sh -c 'yes s3cr3t'",
            "sh -c 'echo s3cr3t; exit 3'",
            "sh -c 'echo token=s3cr3t >&2; exit 3'",
            r#"sh -c 'printf "{\"SecretAccessKey\": \"s3cr3t\"}"; echo it is s3cr3t >&2; exit 3'"#,
            "sh -c 'echo key is s3cr3t-of-nobody; echo it is s3cr3t-of-nobody >&2; exit 3'",
        ] {
            let error = run(command).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{command}");
            let program = command.split(' ').next().unwrap();
            assert!(error.to_string().contains(program), "{error}");
            assert!(!format!("{error:?} {}", error.full_message()).contains("s3cr3t"), "{error:?}");
        }
        let error = run("sh -c 'echo no such account >&2; exit 3'").await.unwrap_err();
        assert!(error.to_string().contains("no such account"), "{error}");
        assert_eq!(run("sh -c 'open").await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
