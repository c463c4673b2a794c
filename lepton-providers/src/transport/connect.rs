//! Connections: direct or through a proxy, plain or TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, io, vec};

use futures_core::future::BoxFuture;
use http::{HeaderValue, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use lepton_core::{Result, SharedRuntime};
use tokio::net::TcpStream;
use tower_service::Service;

use super::error::{BoxError, ConnectTimeout, DnsError};
use super::proxy;
use super::stream::Wire;
use super::tls;

type Tcp = TokioIo<TcpStream>;

/// Opens connections, with a timeout.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<Route>,
    limit: Duration,
    env: SharedRuntime,
}

impl Connector {
    /// `with_tls` is false where no request will ever use TLS, which avoids loading the
    /// system's certificates.
    pub(super) fn new(
        with_tls: bool,
        ca_file: Option<&Path>,
        proxy: Arc<Matcher>,
        limit: Duration,
        env: SharedRuntime,
    ) -> Result<Self> {
        let tls = if with_tls { tls::client_config(ca_file)? } else { tls::trusting_nobody()? };
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        Ok(Self { https: HttpsConnector::from((Route { tcp, proxy }, tls)), limit, env })
    }

    /// The credentials that a proxy in front of `uri` expects in a plain request.
    pub(super) fn proxy_authorization(proxy: &Matcher, uri: &Uri) -> Option<HeaderValue> {
        if uri.scheme_str() != Some("http") {
            return None;
        }
        proxy.intercept(uri)?.basic_auth().cloned()
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Wire<Tcp>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, std::result::Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.https.call(uri), self.limit);
        let alarm = self.env.sleep(limit);
        Box::pin(async move {
            match futures_util::future::select(connecting, alarm).await {
                futures_util::future::Either::Left((result, _)) => result,
                futures_util::future::Either::Right(_) => Err(ConnectTimeout(limit).into()),
            }
        })
    }
}

/// Opens the TCP connection for a destination: to the destination itself or to the proxy.
#[derive(Clone)]
struct Route {
    tcp: HttpConnector<Resolver>,
    proxy: Arc<Matcher>,
}

impl Service<Uri> for Route {
    type Response = Wire<Tcp>;
    type Error = BoxError;
    type Future = BoxFuture<'static, std::result::Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(found) = self.proxy.intercept(&uri) else {
            let connecting = self.tcp.call(uri);
            return Box::pin(async move { Ok(Wire::new(connecting.await?, false)) });
        };
        if let Err(error) = proxy::check(found.uri()) {
            return Box::pin(async move { Err(error.into()) });
        }
        if uri.scheme_str() == Some("http") {
            let connecting = self.tcp.call(found.uri().clone());
            return Box::pin(async move { Ok(Wire::new(connecting.await?, true)) });
        }
        let mut tunnel = Tunnel::new(found.uri().clone(), self.tcp.clone());
        if let Some(authorization) = found.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let connecting = tunnel.call(uri);
        Box::pin(async move { Ok(Wire::new(connecting.await?, false)) })
    }
}

/// The system's resolver, whose failures can be distinguished from others.
#[derive(Clone)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = DnsError;
    type Future = BoxFuture<'static, std::result::Result<Self::Response, DnsError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), DnsError>> {
        Poll::Ready(ready!(self.0.poll_ready(cx)).map_err(DnsError))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.call(name);
        Box::pin(async move {
            let found: Vec<SocketAddr> = resolving.await.map_err(DnsError)?.collect();
            if found.is_empty() {
                return Err(DnsError(io::Error::other("the name has no address")));
            }
            Ok(found.into_iter())
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}
