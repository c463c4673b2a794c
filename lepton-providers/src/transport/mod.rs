//! The HTTP/1.1 client under the providers.
//!
//! - `client`: sends a request, with a timeout for lack of progress
//! - `connect`: opens connections, through proxies and TLS
//! - `proxy`: which proxy each request uses
//! - `stream`: a connection that can still read a response after a write failed
//! - `upload`, `download`: bodies in each direction
//! - `tls`: trusted certificates
//! - `error`: errors of a request, and whether anything was sent
//!
//! It does not follow redirects, does not retry, and sends a path exactly as given,
//! including `.` and `..`.

mod client;
mod connect;
mod download;
mod error;
mod proxy;
mod stream;
mod tls;
mod upload;

pub(crate) use client::{HttpClient, HttpOptions};
pub(crate) use download::ResponseBody;
pub(crate) use proxy::proxies;
pub(crate) use upload::RequestBody;
