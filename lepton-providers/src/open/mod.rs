//! From a URL to a location in a store.
//!
//! - `url`: selects the backend by the scheme
//! - `named`: URLs that name a bucket; `http`, `local`: locations of these kinds
//! - `settings`: the settings of every backend; `query`: those given in the URL

#[cfg(feature = "http")]
mod http;
#[cfg(feature = "local")]
mod local;
#[cfg(any(feature = "azure", feature = "gcs", feature = "s3"))]
mod named;
mod query;
mod settings;
mod url;

pub use settings::StoreConfig;
#[cfg(all(fuzzing, feature = "azure", feature = "s3"))]
pub(crate) use url::fuzz;
pub use url::{open, open_with};
