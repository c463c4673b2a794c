//! The settings of a bucket.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use crate::wire::values::{flag, number, settings};

/// The kind of service, which selects its known properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preset {
    /// `gcs`, unless `STORAGE_EMULATOR_HOST` names its address: then `fake-gcs`.
    #[default]
    Auto,
    /// Google Cloud Storage.
    Gcs,
    /// fake-gcs-server, an emulator.
    FakeGcs,
}

settings! {
    /// The settings of a bucket. Settings that are not given come from the environment,
    /// the files of the Google Cloud CLI, or a default; unknown names are errors.
    ///
    /// Each setting has a method here, a name in configuration files and, unless it is a
    /// secret, an option of that name in `gs://bucket/prefix?name=value`.
    ///
    /// ```
    /// use lepton_providers::gcs::GcsConfig;
    /// let config = GcsConfig::new("photos").user_project("lepton");
    /// let same: GcsConfig = serde_json::from_str(r#"{"bucket": "photos", "user_project": "lepton"}"#)?;
    /// assert_eq!(format!("{config:?}"), format!("{same:?}"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    GcsConfig of bucket;

    /// Address of the service. Default: `STORAGE_EMULATOR_HOST`, else
    /// `https://storage.googleapis.com`. An endpoint that is not Google's gets only
    /// credentials that the settings name.
    endpoint: String,
    /// File with credentials: of a service account, of a user, or of a workload that
    /// another cloud identifies. Default: `GOOGLE_APPLICATION_CREDENTIALS`, else the file
    /// that `gcloud auth application-default login` writes.
    credentials_file: PathBuf,
    /// The content of such a file. Not accepted in URLs.
    credentials_json: SecretString,
    /// A token, as `gcloud auth print-access-token` prints it. Not accepted in URLs.
    access_token: SecretString,
    /// Gets tokens from the machine's metadata service.
    #[serde(deserialize_with = "flag")]
    use_metadata_server: bool,
    /// Sends requests without credentials, for public buckets.
    #[serde(deserialize_with = "flag")]
    anonymous: bool,
    /// Project that pays for requests to requester-pays buckets. Default:
    /// `GOOGLE_CLOUD_QUOTA_PROJECT`.
    user_project: String,
    /// Project in which a bucket is created. Default: `GOOGLE_CLOUD_PROJECT`,
    /// `CLOUDSDK_CORE_PROJECT`.
    project: String,
    /// Key of Cloud KMS that new objects are encrypted with.
    kms_key_name: String,
    /// Storage class of new objects, unless a call names one. Default: the bucket's.
    storage_class: String,
    /// PEM file of the certificates to trust instead of the system's. Default:
    /// `CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE`.
    ca_file: PathBuf,
    /// The kind of service.
    preset: Preset,
    /// Maximum size of one body (64 MiB), which is buffered because its checksum is sent
    /// first. A larger one is refused.
    #[serde(deserialize_with = "number")]
    upload_buffer: u64,
}

/// Settings that a URL must not hold.
pub(crate) const SECRET_SETTINGS: [&str; 3] = ["credentials_json", "access_token", "proxy"];
