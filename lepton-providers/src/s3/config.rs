//! The settings of a bucket.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use crate::wire::values::{flag, number, settings};

/// Where the bucket is in a request's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AddressingStyle {
    /// `virtual` on AWS if the bucket's name allows it, else `path`.
    #[default]
    Auto,
    /// `https://endpoint/bucket/key`.
    Path,
    /// `https://bucket.endpoint/key`.
    Virtual,
}

/// The kind of store, which selects its known properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preset {
    /// `aws` for hosts of Amazon; `minio` or `versitygw` if the server's first response says
    /// so; else `generic`.
    #[default]
    Auto,
    /// Amazon S3.
    Aws,
    /// MinIO.
    Minio,
    /// versitygw over a folder.
    Versitygw,
    /// moto, a mock for tests: keeps every key, verifies nothing.
    Moto,
    /// A store of which only the common subset of S3 is assumed.
    Generic,
}

/// Server-side encryption with keys of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub enum ServerSideEncryption {
    /// SSE-S3.
    #[serde(rename = "AES256")]
    Aes256,
    /// SSE-KMS.
    #[serde(rename = "aws:kms")]
    Kms,
    /// SSE-KMS in two layers.
    #[serde(rename = "aws:kms:dsse")]
    KmsDsse,
}

impl ServerSideEncryption {
    pub(super) fn header_value(self) -> &'static str {
        match self {
            Self::Aes256 => "AES256",
            Self::Kms => "aws:kms",
            Self::KmsDsse => "aws:kms:dsse",
        }
    }
}

settings! {
    /// The settings of a bucket. Settings that are not given come from the environment,
    /// the shared config files, or a default; unknown names are errors.
    ///
    /// Each setting has a method here, a name in configuration files and, unless it is a
    /// secret, an option of that name in `s3://bucket/prefix?name=value`.
    ///
    /// ```
    /// use lepton_providers::s3::{Preset, S3Config};
    /// let config = S3Config::new("photos").endpoint("http://127.0.0.1:9000").preset(Preset::Minio);
    /// let same: S3Config = serde_json::from_str(
    ///     r#"{"bucket": "photos", "endpoint": "http://127.0.0.1:9000", "preset": "minio"}"#,
    /// )?;
    /// assert_eq!(format!("{config:?}"), format!("{same:?}"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    S3Config of bucket;

    /// Address of the store, such as `https://minio.example:9000`. Default:
    /// `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, the profile's `endpoint_url`,
    /// else Amazon's for the region. `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true` ignores the
    /// variables and the profile.
    endpoint: String,
    /// Region. Default: `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's `region`, else
    /// `us-east-1`. If the server reports another one, that is used.
    region: String,
    /// Profile in the shared config files. Default: `AWS_PROFILE`, else
    /// `default`. If set, credentials in the environment are not used.
    profile: String,
    /// Id of the access key; goes with `secret_access_key`.
    access_key_id: String,
    /// Secret of the access key. Not accepted in URLs.
    secret_access_key: SecretString,
    /// Token of a temporary access key. Not accepted in URLs.
    session_token: SecretString,
    /// Sends requests without a signature, for public buckets.
    #[serde(alias = "no_sign_request", deserialize_with = "flag")]
    anonymous: bool,
    /// Where the bucket is in the address.
    addressing_style: AddressingStyle,
    /// PEM file of the certificates to trust instead of the system's. Default:
    /// `AWS_CA_BUNDLE`, the profile's `ca_bundle`.
    ca_file: PathBuf,
    /// The kind of store. By default it is found out: see [`S3Builder::connect`](super::S3Builder::connect).
    preset: Preset,
    /// Finds out what an unknown server supports by writing objects whose names begin with
    /// `.lepton-probe-`, and deleting them.
    #[serde(deserialize_with = "flag")]
    probe: bool,
    /// Maximum number of bytes that are buffered to be hashed before they are sent (32
    /// MiB), for stores that support uploads neither in signed chunks nor with trailers.
    /// A larger body is refused.
    #[serde(deserialize_with = "number")]
    upload_buffer: u64,
    /// Storage class of new objects, unless a call names one.
    storage_class: String,
    /// Encryption with keys of the store.
    sse: ServerSideEncryption,
    /// Key for `aws:kms`.
    sse_kms_key_id: String,
    /// Key for SSE-C: 32 bytes in Base64. Needs https. Not accepted in URLs.
    sse_customer_key: SecretString,
    /// Agrees to pay for requests to requester-pays buckets.
    #[serde(deserialize_with = "flag")]
    requester_pays: bool,
    /// Account that must own the bucket; otherwise requests are refused.
    expected_bucket_owner: String,
}

/// Settings that a URL must not hold.
pub(crate) const SECRET_SETTINGS: [&str; 4] = ["secret_access_key", "session_token", "sse_customer_key", "proxy"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn text_is_taken_for_every_type_and_unknown_names_list_the_known() {
        let config: S3Config = serde_json::from_str(
            r#"{"bucket": "b", "no_sign_request": "true", "requester_pays": true, "idle_timeout": "1m 5s",
                "connect_timeout": 3, "max_idle_connections": "7", "sse": "aws:kms", "addressing_style": "virtual",
                "capabilities": "{\"delete_batch\": 5}", "secret_access_key": "s3cr3t"}"#,
        )
        .unwrap();
        assert_eq!(config.anonymous, Some(true));
        assert_eq!(config.requester_pays, Some(true));
        assert_eq!(config.idle_timeout, Some(Duration::from_secs(65)));
        assert_eq!(config.connect_timeout, Some(Duration::from_secs(3)));
        assert_eq!(config.max_idle_connections, Some(7));
        assert_eq!(config.capabilities.as_ref().unwrap()["delete_batch"], 5);
        assert!(!format!("{config:?}").contains("s3cr3t"));
        let error = serde_json::from_str::<S3Config>(r#"{"regoin": "x"}"#).unwrap_err().to_string();
        assert!(error.contains("regoin") && error.contains("`region`"), "{error}");
        for wrong in [r#"{"anonymous": "maybe"}"#, r#"{"idle_timeout": "soon"}"#, r#"{"upload_buffer": -1}"#] {
            assert!(serde_json::from_str::<S3Config>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_more_special_settings_win() {
        let base = S3Config::new("a").region("r").endpoint("http://x");
        let both = base.overridden_by(S3Config::new("b").region("s"));
        assert_eq!((both.bucket.as_str(), both.region.as_deref()), ("b", Some("s")));
        assert_eq!(both.endpoint.as_deref(), Some("http://x"));
    }
}
