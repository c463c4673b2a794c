//! The file that `aws sso login` writes.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use lepton_core::to_hex;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha1::{Digest as _, Sha1};

use crate::wire::time::parse_iso8601;

/// The name of the file with the token of a session, or of a start page.
pub(super) fn file_name(session_or_start: &str) -> String {
    format!("{}.json", to_hex(&Sha1::digest(session_or_start.as_bytes())))
}

/// The content of the file.
pub(super) struct Login {
    pub(super) token: SecretString,
    expires: SystemTime,
    pub(super) renewal: Option<Renewal>,
}

impl Login {
    pub(super) fn is_good(&self, at: SystemTime) -> bool {
        at < self.expires
    }
}

/// The parameters to renew a token.
#[derive(Clone)]
pub(super) struct Renewal {
    pub(super) refresh_token: SecretString,
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
    /// When the client's own registration expires.
    pub(super) expires: SystemTime,
}

pub(super) fn login_of(content: &[u8]) -> Option<Login> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cached {
        access_token: SecretString,
        expires_at: String,
        refresh_token: Option<SecretString>,
        client_id: Option<String>,
        client_secret: Option<SecretString>,
        registration_expires_at: Option<String>,
    }
    let time = |text: &str| parse_iso8601(&text.replace("UTC", "Z"));
    let cached: Cached = serde_json::from_slice(content).ok()?;
    let renewal = (|| {
        Some(Renewal {
            refresh_token: cached.refresh_token?,
            client_id: cached.client_id?,
            client_secret: cached.client_secret?,
            expires: time(&cached.registration_expires_at?)?,
        })
    })();
    Some(Login { token: cached.access_token, expires: time(&cached.expires_at)?, renewal })
}

/// Sets fields of a file that only its owner can read. Readers see either all of the old
/// content or all of the new.
pub(super) fn update(file: &Path, fields: &[(&str, Option<SecretString>)], random: u64) -> std::io::Result<()> {
    let content = Zeroizing::new(std::fs::read(file)?);
    let mut document: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&content)?;
    for (name, value) in fields {
        if let Some(value) = value {
            document.insert((*name).to_owned(), value.expose_secret().into());
        }
    }
    let content = Zeroizing::new(serde_json::to_vec(&document)?);
    let temporary = file.with_extension(format!("{random:016x}"));
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).and_then(|mut new| {
        new.write_all(&content)?;
        new.sync_all()?;
        std::fs::rename(&temporary, file)
    });
    if written.is_err() {
        // It may not exist.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_login_is_good_until_it_expires_and_may_be_renewed() {
        let content = br#"{"startUrl": "x", "accessToken": "t", "expiresAt": "2030-01-01T00:00:00UTC"}"#;
        let login = login_of(content).unwrap();
        assert!(login.is_good(UNIX_EPOCH) && !login.is_good(UNIX_EPOCH + Duration::from_secs(1_893_456_000)));
        assert!(login.renewal.is_none());
        let content = br#"{"accessToken": "t", "expiresAt": "2030-01-01T00:00:00Z", "refreshToken": "r",
            "clientId": "c", "clientSecret": "s", "registrationExpiresAt": "2030-02-01T00:00:00Z"}"#;
        assert!(login_of(content).unwrap().renewal.is_some());
        // The file name that the command line uses for a session `my-sso`.
        assert_eq!(file_name("my-sso").len(), 45);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("login.json");
        std::fs::write(&file, r#"{"accessToken": "old", "refreshToken": "kept", "region": "kept"}"#).unwrap();
        update(&file, &[("accessToken", Some("new".into())), ("refreshToken", None)], 7).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(document, serde_json::json!({"accessToken": "new", "refreshToken": "kept", "region": "kept"}));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        std::fs::write(&file, "nonsense").unwrap();
        assert!(update(&file, &[], 8).is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"nonsense");
    }
}
