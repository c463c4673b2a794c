//! Stores of the object_store crate, by URL, as Lepton's.
//!
//! A URL is read as that crate reads it (`s3://bucket/folder`, `az://container`, `gs://bucket`,
//! `https://account.blob.core.windows.net/container`), and what it does not say comes from the
//! environment under that crate's names: its builders' `from_env`.

use std::sync::Arc;

use lepton::interop::{FromObjectStore, from_object_store};
use lepton::{Error, Location, Result, SharedStorage};
use object_store::aws::AmazonS3Builder;
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::MultipartStore;
use object_store::{ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

/// The place that a URL names.
///
/// # Errors
/// `invalid_input` where that crate cannot read it, or lacks a setting; `unsupported` for
/// what is none of its clouds.
pub fn open(text: &str) -> Result<Location> {
    let url = Url::parse(text).map_err(|error| Error::invalid_input("this is no URL").with_source(error))?;
    // A name for messages and journals, without what may be a permission.
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

/// A store of that crate as one of Lepton's. It is given twice: for whole objects, and for
/// uploads in parts that can be gone on with.
pub fn bridged<S: ObjectStore + MultipartStore>(store: S, name: &str) -> FromObjectStore {
    let store = Arc::new(store);
    from_object_store(Arc::clone(&store) as Arc<dyn ObjectStore>, name).multipart(store)
}

/// Azure by that crate, whose own uploads in parts keep the attributes, where those that we
/// could go on with do not. Names of metadata are those of identifiers, and a backslash
/// becomes a slash on the way.
///
/// # Errors
/// Those of [`FromObjectStore::overridden`].
pub fn azure(store: MicrosoftAzure, name: &str) -> Result<FromObjectStore> {
    let can = serde_json::json!({ "metadata_names": "identifiers", "keys": { "forbidden_bytes": b"\\" } });
    from_object_store(Arc::new(store), name).overridden(&can)
}

/// The engine retries, and knows what is safe to do twice.
pub fn no_retry() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// Sets the cryptography of that crate's client, once in a process and before its first store.
pub fn set_cryptography() {
    // An error says that it is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
