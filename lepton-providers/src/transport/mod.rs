//! The HTTP/1.1 client under the providers.
//!
//! - `client`: sends a request, bounded by a time without progress
//! - `connect`: connections, through proxies and TLS
//! - `proxy`: which requests go through which proxy
//! - `stream`: a connection that still reads an answer after writing failed
//! - `upload`, `download`: bodies in each direction
//! - `tls`: trusted certificates
//! - `error`: what failed, and whether anything was sent
//!
//! It follows no redirect, retries nothing and keeps a path exactly as it was
//! given, `.` and `..` included.

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
