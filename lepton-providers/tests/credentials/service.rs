//! A fake of the services that hand out credentials, and of a bucket that remembers who
//! asked. Real ones are inside Amazon's network alone, and none can be made to refuse, to
//! hang or to let credentials expire at a chosen moment.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lepton_core::{RuntimeExt as _, SystemRuntime};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A field of the form in the body.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.into_iter().find(|(known, _)| *known == name)?.1;
        Some(percent_decode_str(value).decode_utf8().unwrap().into_owned())
    }

    /// The access key that signed it.
    pub(crate) fn signed_by(&self) -> &str {
        let authorization = self.header("authorization").unwrap();
        authorization.split_once("Credential=").unwrap().1.split('/').next().unwrap()
    }
}

/// What is answered.
pub(crate) enum Reply {
    Say(u16, String),
    /// Nothing, ever.
    Hang,
}

pub(crate) fn ok(body: impl Into<String>) -> Reply {
    Reply::Say(200, body.into())
}

pub(crate) fn refuse(status: u16) -> Reply {
    Reply::Say(status, String::new())
}

#[derive(Clone)]
struct State {
    answer: Arc<dyn Fn(&Asked) -> Reply + Send + Sync>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// The service.
pub(crate) struct Service {
    pub(crate) endpoint: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Service {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(answer, None).await
    }

    /// Over TLS, and the file with the authority of its certificate.
    pub(crate) async fn start_tls(
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> (Self, tempfile::TempDir, PathBuf) {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, certified.cert.pem()).unwrap();
        let private = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = builder.with_single_cert(vec![certified.cert.der().clone()], private).unwrap();
        (Self::listen(answer, Some(TlsAcceptor::from(Arc::new(config)))).await, folder, ca_file)
    }

    async fn listen(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let endpoint =
            if tls.is_some() { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") };
        let state = State { answer: Arc::new(answer), asked: Arc::default() };
        let (asked, env) = (Arc::clone(&state.asked), SystemRuntime::shared());
        drop(env.clone().spawn_task(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, tls) = (state.clone(), tls.clone());
                drop(env.spawn_task(async move {
                    match tls {
                        None => serve(stream, state).await,
                        // A client that does not trust the certificate goes away.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, state).await;
                            }
                        }
                    }
                }));
            }
        }));
        Self { endpoint, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The paths that were asked for, in order.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: State) {
    let service = service_fn(move |request| respond(state.clone(), request));
    // Connections end as clients end them.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(state: State, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    state.asked.lock().unwrap().push(asked.clone());
    match (state.answer)(&asked) {
        Reply::Hang => std::future::pending().await,
        Reply::Say(status, body) => Ok(Response::builder()
            .status(status)
            .header("etag", "\"e\"")
            .header("last-modified", "Tue, 01 Jan 2030 00:00:00 GMT")
            .body(Full::new(body.into()))
            .unwrap()),
    }
}
