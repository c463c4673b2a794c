//! The settings of a container.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use crate::wire::values::{flag, number, settings};

/// The kind of service, which selects its known properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preset {
    /// `azurite` for the emulator's account, else `azure`.
    #[default]
    Auto,
    /// Azure Blob Storage.
    Azure,
    /// An account with a hierarchical namespace (Data Lake Storage), where folders are
    /// objects.
    Hierarchical,
    /// Azurite, the emulator.
    Azurite,
}

settings! {
    /// The settings of a container. Settings that are not given come from the environment
    /// or a default; unknown names are errors.
    ///
    /// Each setting has a method here, a name in configuration files and, unless it is a
    /// secret, an option of that name in `az://container/prefix?name=value`.
    ///
    /// ```
    /// use lepton_providers::azure::AzureConfig;
    /// let config = AzureConfig::new("photos").account("lepton").access_tier("Cool");
    /// let same: AzureConfig =
    ///     serde_json::from_str(r#"{"container": "photos", "account": "lepton", "access_tier": "Cool"}"#)?;
    /// assert_eq!(format!("{config:?}"), format!("{same:?}"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    AzureConfig of container;

    /// Storage account. Default: that of the connection string,
    /// `AZURE_STORAGE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME`.
    #[serde(alias = "account_name")]
    account: String,
    /// Address of the blob service, such as `http://127.0.0.1:10000/devstoreaccount1`.
    /// Default: that of the connection string, `AZURE_STORAGE_BLOB_ENDPOINT`,
    /// `AZURE_STORAGE_SERVICE_ENDPOINT`, else `https://ACCOUNT.blob.core.windows.net`.
    endpoint: String,
    /// Account, key and endpoint in one text. Not accepted in URLs. Default:
    /// `AZURE_STORAGE_CONNECTION_STRING`.
    connection_string: SecretString,
    /// Key of the account, in Base64. Not accepted in URLs. Default:
    /// `AZURE_STORAGE_KEY`, `AZURE_STORAGE_ACCOUNT_KEY`.
    account_key: SecretString,
    /// Shared access signature: the query of its URL. Not accepted in URLs. Default:
    /// `AZURE_STORAGE_SAS_TOKEN`.
    sas_token: SecretString,
    /// Tenant of a service principal. Default: `AZURE_TENANT_ID`.
    tenant_id: String,
    /// Service principal, or user-assigned managed identity. Default: `AZURE_CLIENT_ID`.
    client_id: String,
    /// Secret of the service principal. Not accepted in URLs. Default:
    /// `AZURE_CLIENT_SECRET`.
    client_secret: SecretString,
    /// PEM file with the certificate of the service principal and its key in PKCS #8, not
    /// encrypted. Default: `AZURE_CLIENT_CERTIFICATE_PATH`.
    client_certificate_file: PathBuf,
    /// File with the token of a workload, as Kubernetes provides it. Default:
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    federated_token_file: PathBuf,
    /// Issuer of the tokens. Not accepted in URLs: secrets are sent to it. Default:
    /// `AZURE_AUTHORITY_HOST`, else `https://login.microsoftonline.com`.
    authority_host: String,
    /// Gets tokens from the command `az`, for the user who is logged in.
    #[serde(deserialize_with = "flag")]
    use_cli: bool,
    /// Gets tokens from the machine's metadata service.
    #[serde(deserialize_with = "flag")]
    use_managed_identity: bool,
    /// Sends requests without credentials, for public containers.
    #[serde(deserialize_with = "flag")]
    anonymous: bool,
    /// PEM file of the certificates to trust instead of the system's.
    ca_file: PathBuf,
    /// The kind of service.
    preset: Preset,
    /// Maximum size of one body (64 MiB), which is buffered because its checksum is sent
    /// first. A larger one is refused.
    #[serde(deserialize_with = "number")]
    upload_buffer: u64,
    /// Access tier of new blobs (`Hot`, `Cool`, `Cold`, `Archive`), unless a call names
    /// one. Default: the account's.
    access_tier: String,
    /// Encryption scope whose key the service encrypts new blobs with.
    encryption_scope: String,
    /// Key that the service encrypts with and does not store: 32 bytes in Base64. Needs
    /// https. Not accepted in URLs.
    customer_key: SecretString,
    /// Lease for writing and deleting blobs. It is not sent with a write that requires
    /// that no blob exists.
    lease_id: String,
    /// `include`: a blob is deleted with its snapshots; without it, a blob that has
    /// snapshots is not deleted.
    delete_snapshots: String,
}

/// Settings that a URL must not hold.
pub(crate) const SECRET_SETTINGS: [&str; 7] =
    ["connection_string", "account_key", "sas_token", "client_secret", "authority_host", "customer_key", "proxy"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let config = AzureConfig::new("c")
            .account_key("s3cr3t")
            .sas_token("s3cr3t")
            .connection_string("s3cr3t")
            .client_secret("s3cr3t")
            .customer_key("s3cr3t")
            .proxy("s3cr3t");
        assert!(!format!("{config:?}").contains("s3cr3t"));
        let known = serde_json::from_str::<AzureConfig>(r#"{"acount": "x"}"#).unwrap_err().to_string();
        assert!(known.contains("`account`"), "{known}");
    }
}
