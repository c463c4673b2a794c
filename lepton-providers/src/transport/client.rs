//! Sends requests.

use std::fmt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use http::header::PROXY_AUTHORIZATION;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::proxy::matcher::Matcher;
use lepton_core::{Effect, Error, ErrorKind, Result, SharedRuntime};

use super::connect::Connector;
use super::download::ResponseBody;
use super::error::{idle, unanswered};
use super::upload::{Progress, RequestBody};

/// How many bytes of a body may be buffered between the connection and the socket. More
/// costs memory, because a piece keeps its whole buffer alive; less costs system calls.
const BUFFER: usize = 256 << 10;

/// The maximum number of idle connections.
const IDLE: usize = 256;

/// The settings of a client.
pub(crate) struct HttpOptions {
    /// Whether requests may use TLS.
    pub(crate) tls: bool,
    /// Certificates to trust instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Which proxy each request uses.
    pub(crate) proxy: Arc<Matcher>,
    /// Connect timeout.
    pub(crate) connect_timeout: Duration,
    /// Timeout without a byte in either direction.
    pub(crate) idle_timeout: Duration,
    /// The maximum number of idle connections per host; by default 256, or a quarter of
    /// the limit of open files if that is less.
    pub(crate) max_idle_connections: Option<u64>,
}

/// A pooled HTTP/1.1 client.
pub(crate) struct HttpClient {
    client: Client<Connector, RequestBody>,
    proxy: Arc<Matcher>,
    idle_timeout: Duration,
    env: SharedRuntime,
}

impl HttpClient {
    pub(crate) fn new(options: HttpOptions, env: SharedRuntime) -> Result<Self> {
        let HttpOptions { tls, ca_file, proxy, connect_timeout, idle_timeout, max_idle_connections } = options;
        let most_idle =
            max_idle_connections.map_or_else(idle_connections, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let connector = Connector::new(tls, ca_file.as_deref(), Arc::clone(&proxy), connect_timeout, env.clone())?;
        let client = Client::builder(Spawner(env.clone()))
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(most_idle)
            .http1_max_buf_size(BUFFER)
            .build(connector);
        Ok(Self { client, proxy, idle_timeout, env })
    }

    /// The user name and password for a proxy in front of `uri`.
    pub(crate) fn proxy_authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        self.proxy.intercept(uri)?.basic_auth().cloned()
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// The effect of an error is `None` if the server cannot have acted on the request,
    /// otherwise `Unknown`. If the request's body ended with an error, that error is
    /// returned. A response that arrives before the whole body is sent stops the sending.
    pub(crate) async fn send(&self, request: Request<RequestBody>) -> Result<Response<ResponseBody>> {
        self.send_within(request, Duration::ZERO).await
    }

    /// The same for a request that the server may process without sending anything for up
    /// to `limit`, if that is longer than the usual idle timeout.
    pub(crate) async fn send_within(
        &self,
        request: Request<RequestBody>,
        limit: Duration,
    ) -> Result<Response<ResponseBody>> {
        let limit = limit.max(self.idle_timeout);
        let (mut head, body) = request.into_parts();
        if let Some(authorization) = Connector::proxy_authorization(&self.proxy, &head.uri) {
            head.headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        let host = head.uri.host().unwrap_or_default().to_owned();
        let proxy = self.proxy.intercept(&head.uri).map(|proxy| named(proxy.uri()));
        let plain = head.uri.scheme() == Some(&Scheme::HTTP);
        let (body, progress) = body.watched(self.env.clone());
        let answered = self.watch(self.client.request(Request::from_parts(head, body)), &progress, limit).await?;
        let response = answered.map_err(|error| match progress.failure() {
            Some(failure) => failure.with_effect(Effect::None),
            None => match &proxy {
                Some(proxy) => unanswered(error, &host, false).with_context("proxy", proxy),
                None => unanswered(error, &host, plain),
            },
        })?;
        if !progress.is_done() {
            progress.stop();
            if response.status().is_success() {
                let message = "the server confirmed the request before it had all of it";
                return Err(Error::new(ErrorKind::Unexpected, message).with_effect(Effect::Unknown));
            }
        }
        Ok(response.map(|body| ResponseBody::new(body, self.env.clone(), self.idle_timeout)))
    }

    /// Waits for the response as long as there is progress.
    async fn watch<F: Future>(&self, answer: F, progress: &Progress, limit: Duration) -> Result<F::Output> {
        let mut answer = pin!(answer);
        let mut left = limit;
        loop {
            match select(answer.as_mut(), self.env.sleep(left)).await {
                Either::Left((output, _)) => return Ok(output),
                Either::Right(_) => match progress.idle_left(self.env.uptime(), limit) {
                    Some(more) => left = more,
                    None => {
                        progress.stop();
                        return Err(idle(limit).with_effect(Effect::Unknown));
                    }
                },
            }
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

/// The maximum number of idle connections: at most a quarter of the limit of open files,
/// which leaves the rest for files.
fn idle_connections() -> usize {
    let open = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    open.and_then(|open| usize::try_from(open / 4).ok()).map_or(IDLE, |most| most.min(IDLE))
}

/// Spawns the tasks that drive connections.
#[derive(Clone)]
struct Spawner(SharedRuntime);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawner {
    fn execute(&self, task: F) {
        self.0.spawn(Box::pin(task));
    }
}

/// The address of a proxy, without the credentials that its URL may have.
fn named(proxy: &Uri) -> String {
    let host = proxy.host().unwrap_or_default();
    proxy.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
