//! Forwards requests to the upstream server, as a proxy does.

use http::header::{CONNECTION, HeaderName, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Response, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;

use crate::protocol::Body;

/// A server that answers over plain HTTP/1.1.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: Client<HttpConnector, Body>,
    authority: Authority,
}

impl Upstream {
    pub(crate) fn new(authority: Authority) -> Self {
        let mut client = Client::builder(TokioExecutor::new());
        // Each request uses its own connection: an idle connection that the server closes would
        // be a fault that no hook requested.
        let client = client.set_host(false).pool_max_idle_per_host(0).build_http();
        Self { client, authority }
    }

    /// Sends the request unchanged: the host header stays, because it is signed.
    pub(crate) async fn call(&self, mut request: Request<Body>) -> Result<Response<Body>, Error> {
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let mut uri = http::uri::Parts::default();
        (uri.scheme, uri.authority, uri.path_and_query) =
            (Some(Scheme::HTTP), Some(self.authority.clone()), Some(path));
        // All three parts are present, so this is a valid URI.
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        between_neighbours(request.headers_mut());
        let mut response = self.client.request(request).await?;
        between_neighbours(response.headers_mut());
        Ok(response.map(Body::new))
    }
}

/// Removes the hop-by-hop headers.
fn between_neighbours(headers: &mut HeaderMap) {
    for name in [CONNECTION, TRANSFER_ENCODING, HeaderName::from_static("keep-alive")] {
        headers.remove(name);
    }
}
