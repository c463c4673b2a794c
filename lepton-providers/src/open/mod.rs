//! From a URL to a place in a store.
//!
//! - `url`: by its scheme to the backend
//! - `named`: URLs that name a bucket; `http`, `local`: places of these kinds
//! - `settings`: those of any backend; `query`: those that stand in the URL

#[cfg(feature = "http")]
mod http;
#[cfg(feature = "local")]
mod local;
#[cfg(any(feature = "azure", feature = "gcs", feature = "s3"))]
mod named;
mod query;
mod settings;
mod url;

pub use settings::Settings;
#[cfg(all(fuzzing, feature = "azure", feature = "s3"))]
pub(crate) use url::fuzz;
pub use url::{open, open_with};
