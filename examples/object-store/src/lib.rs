//! Opens stores of the object_store crate by URL, as Lepton stores.
//!
//! A URL is parsed as that crate parses it (`s3://bucket/folder`, `az://container`,
//! `gs://bucket`, `https://account.blob.core.windows.net/container`). Settings that are not in
//! the URL come from the environment variables of that crate: its builders' `from_env`.

use std::sync::Arc;

use lepton::interop::{FromObjectStore, from_object_store};
use lepton::{Error, Location, Result, SharedStorage};
use object_store::aws::AmazonS3Builder;
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::MultipartStore;
use object_store::{ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

/// The location that a URL names.
///
/// # Errors
/// `invalid_input` if that crate cannot parse the URL, or a setting is missing; `unsupported`
/// for a URL of no cloud that it supports.
pub fn open(text: &str) -> Result<Location> {
    let url = Url::parse(text).map_err(|error| Error::invalid_input("this is no URL").with_source(error))?;
    // A name for messages and journals, without the query, which may contain a credential.
    let mut name = url.clone();
    name.set_query(None);
    let wrong = |error: object_store::Error| {
        Error::invalid_input("the object_store crate cannot open it").with_source(error).with_context("url", &name)
    };
    let (scheme, folder) = ObjectStoreScheme::parse(&url).map_err(|error| wrong(error.into()))?;
    let store = match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let builder = AmazonS3Builder::from_env().with_url(text).with_retry(no_retry());
            bridged(builder.build().map_err(wrong)?, name.as_str())
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(text).with_retry(no_retry());
            azure(builder.build().map_err(wrong)?, name.as_str())?
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let builder = GoogleCloudStorageBuilder::from_env().with_url(text).with_retry(no_retry());
            bridged(builder.build().map_err(wrong)?, name.as_str())
        }
        _ => {
            return Err(Error::unsupported("this is none of the clouds that are opened here").with_context("url", name));
        }
    };
    Ok(Location::new(Arc::new(store) as SharedStorage, folder.as_ref()))
}

/// A store of that crate as a Lepton store. The store is passed twice: for whole objects, and
/// for multipart uploads that can be resumed.
pub fn bridged<S: ObjectStore + MultipartStore>(store: S, name: &str) -> FromObjectStore {
    let store = Arc::new(store);
    from_object_store(Arc::clone(&store) as Arc<dyn ObjectStore>, name).multipart(store)
}

/// Azure through that crate. Its own multipart uploads keep the attributes, whereas those that
/// can be resumed do not, so only the former are used. Metadata names must be identifiers, and
/// a backslash in a key becomes a slash.
///
/// # Errors
/// As [`FromObjectStore::overridden`].
pub fn azure(store: MicrosoftAzure, name: &str) -> Result<FromObjectStore> {
    let can = serde_json::json!({ "metadata_names": "identifiers", "keys": { "forbidden_bytes": b"\\" } });
    from_object_store(Arc::new(store), name).overridden(&can)
}

/// No retries: the engine retries, and knows which operations are safe to repeat.
pub fn no_retry() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// Sets the cryptography provider of that crate's client, once per process and before its first
/// store.
pub fn set_cryptography() {
    // An error means that it is already set.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
