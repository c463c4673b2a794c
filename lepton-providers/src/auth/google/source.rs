//! The token of a workload as described in the credentials file: `credential_source`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// The location of the token, as described in the file.
#[derive(Deserialize)]
pub(super) struct Source {
    pub(super) file: Option<PathBuf>,
    pub(super) url: Option<String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) format: Option<Format>,
    pub(super) environment_id: Option<String>,
    pub(super) region_url: Option<String>,
    pub(super) regional_cred_verification_url: Option<String>,
    pub(super) imdsv2_session_token_url: Option<String>,
    pub(super) executable: Option<Executable>,
}

#[derive(Deserialize)]
pub(super) struct Format {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) subject_token_field_name: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Executable {
    pub(super) command: String,
}
