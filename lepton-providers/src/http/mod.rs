//! Files on a web server: a source that can only be read.
//!
//! What there is comes from index pages (nginx, Apache), from a file of paths or URLs, from
//! a manifest, or from the public listing of a bucket.
//!
//! The way of a request: `storage` → `object` or `list` → `client`, which follows
//! redirects, but never with credentials to another host.
//!
//! - `config`: what the user sets; `build`: a store of it
//! - `walk`: through folders by their pages; `index`, `links`: what is on such a page
//! - `file`: files that say what there is; `bucket`: listings of buckets
//! - `pin`: what holds a file still while it is read
//! - `redirect`: where a redirect leads

mod bucket;
mod build;
mod client;
mod config;
mod file;
mod index;
mod links;
mod list;
mod object;
mod pin;
mod redirect;
mod storage;
mod walk;

pub use build::HttpBuilder;
pub use config::{HttpConfig, Listing};
pub use storage::HttpStorage;

/// The door to the parsers of listings for the fuzz targets.
#[cfg(fuzzing)]
pub(crate) fn fuzz(page: &[u8]) {
    let _ = bucket::parse_page(page);
    for name in index::names(page, &http::Uri::from_static("https://host/folder/")).unwrap_or_default() {
        let bare = name.strip_suffix(b"/").unwrap_or(&name);
        assert!(!bare.is_empty() && !bare.contains(&b'/') && bare != b"." && bare != b"..", "{name:?}");
    }
}
