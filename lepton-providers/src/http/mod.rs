//! Files on a web server: a read-only source.
//!
//! The listing comes from index pages (nginx, Apache), from a file of paths or URLs, from
//! a manifest, or from the public listing of a bucket.
//!
//! A request goes from `storage` to `object` or `list`, then to `client`, which follows
//! redirects but never sends credentials to another host.
//!
//! - `config`: the user's settings; `build`: makes a store from them
//! - `walk`: walks folders by their pages; `index`, `links`: parse such a page
//! - `file`: files that list the objects; `bucket`: listings of buckets
//! - `pin`: detects whether a file changes while it is read
//! - `redirect`: the target of a redirect

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

/// Entry point to the parsers of listings for the fuzz targets.
#[cfg(fuzzing)]
pub(crate) fn fuzz(page: &[u8]) {
    let _ = bucket::parse_page(page);
    for name in index::names(page, &http::Uri::from_static("https://host/folder/")).unwrap_or_default() {
        let bare = name.strip_suffix(b"/").unwrap_or(&name);
        assert!(!bare.is_empty() && !bare.contains(&b'/') && bare != b"." && bare != b"..", "{name:?}");
    }
}
