//! Sends the requests of acceptance tests.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use lepton_core::resolver::{HttpAnswer, HttpRequest};
use lepton_core::{Error, ErrorKind, Result, SharedRuntime};

use crate::transport::{HttpClient, HttpOptions, RequestBody, proxies};

/// The largest body of an answer.
const LARGEST: usize = 1 << 20;

/// Longer than any request takes: its own timeout ends a request, even one without progress.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The clients of a resolver, each made when it is first needed: reading the certificates of
/// the system takes longer than most requests.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<BTreeMap<Kind, Arc<HttpClient>>>);

/// What a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    tls: bool,
    /// Whether the proxies of the environment are used.
    proxied: bool,
}

impl Kind {
    fn of(uri: &Uri) -> Self {
        Self { tls: uri.scheme_str() == Some("https"), proxied: !uri.host().is_some_and(is_loopback) }
    }
}

impl Clients {
    fn client(&self, kind: Kind, env: &SharedRuntime) -> Result<Arc<HttpClient>> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&kind) {
            return Ok(Arc::clone(client));
        }
        let options = HttpOptions {
            tls: kind.tls,
            ca_file: None,
            proxy: Arc::new(proxies((!kind.proxied).then(|| "none".into()).as_ref())?),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: FOREVER,
            // A test asks who serves now, and not who did at an earlier request.
            max_idle_connections: Some(0),
        };
        let client = Arc::new(HttpClient::new(options, env.clone())?);
        clients.insert(kind, Arc::clone(&client));
        Ok(client)
    }

    /// Sends a request; redirects are not followed.
    pub(super) async fn send(&self, env: &SharedRuntime, request: HttpRequest) -> Result<HttpAnswer> {
        let timeout = request.timeout;
        let prepared = prepared(request)?;
        let client = self.client(Kind::of(prepared.uri()), env)?;
        let answered = pin!(answer(&client, prepared));
        match select(answered, env.sleep(timeout)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                Err(Error::new(ErrorKind::Timeout, format!("there is no whole answer after {timeout:?}")))
            }
        }
    }
}

async fn answer(client: &HttpClient, request: Request<RequestBody>) -> Result<HttpAnswer> {
    let response = client.send(request).await?;
    let status = response.status().as_u16();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    Ok(HttpAnswer::new(status, headers, response.into_body().read(LARGEST).await?))
}

/// Whether a host of a URL is this machine. A proxy has another loopback.
fn is_loopback(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
    match address.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

fn prepared(request: HttpRequest) -> Result<Request<RequestBody>> {
    let wrong = |what: String| Error::invalid_input(format!("the request cannot be sent: {what}"));
    let uri: Uri = request.url.parse().map_err(|error| wrong(format!("its URL is wrong: {error}")))?;
    let authority = uri.authority().ok_or_else(|| wrong("its URL has no host".to_owned()))?.clone();
    if authority.as_str().contains('@') {
        return Err(wrong("its URL has a user name, which HTTP does not send; use a header".to_owned()));
    }
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("its URL is neither http nor https".to_owned()));
    }
    let method = Method::from_bytes(request.method.as_bytes());
    let method = method.map_err(|_| wrong(format!("{:?} is no method", request.method)))?;
    let value = |name: &str, value: &str| {
        HeaderValue::from_str(value).map_err(|_| wrong(format!("the header {name} has a wrong value")))
    };
    let has_body = !matches!(method, Method::GET | Method::HEAD) || !request.body.is_empty();
    let len = request.body.len();
    let mut sent = Request::new(RequestBody::bytes(request.body));
    (*sent.method_mut(), *sent.uri_mut()) = (method, uri);
    let headers = sent.headers_mut();
    headers.insert(HOST, value("host", authority.as_str())?);
    if has_body {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
    }
    for (name, text) in &request.headers {
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let parsed = parsed.map_err(|_| wrong(format!("{name:?} is no name of a header")))?;
        headers.insert(parsed, value(name, text)?);
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use lepton_core::SystemRuntime;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn send(env: &SharedRuntime, request: HttpRequest) -> Result<HttpAnswer> {
        Clients::default().send(env, request).await
    }

    #[tokio::test]
    async fn a_request_gets_its_answer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/items/1?a=b", listener.local_addr().unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut sent, mut buffer) = (Vec::new(), [0; 1024]);
            while !sent.ends_with(b"hello") {
                let len = stream.read(&mut buffer).await.unwrap();
                sent.extend_from_slice(&buffer[..len]);
            }
            stream.write_all(b"HTTP/1.1 201 Created\r\nX-Item: 1\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            String::from_utf8(sent).unwrap()
        };
        let request = HttpRequest::new("PUT", &url).body("hello");
        let request = request.headers(BTreeMap::from([("x-test".to_owned(), "yes".to_owned())]));
        let env = SystemRuntime::shared();
        let (sent, answer) = tokio::join!(server, send(&env, request));
        assert!(sent.starts_with("PUT /items/1?a=b HTTP/1.1\r\n") && sent.contains("x-test: yes"), "{sent}");
        let answer = answer.unwrap();
        assert_eq!((answer.status, &answer.headers["x-item"], &answer.body[..]), (201, &"1".to_owned(), &b"ok"[..]));
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_a_timeout() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let request = HttpRequest::new("GET", url).timeout(Duration::from_millis(100));
        assert_eq!(send(&SystemRuntime::shared(), request).await.unwrap_err().kind(), ErrorKind::Timeout);
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_named() {
        let env = SystemRuntime::shared();
        for (method, url, what) in [
            ("GET", "/relative", "no host"),
            ("GET", "ftp://host/x", "neither http nor https"),
            ("G T", "http://127.0.0.1:1/", "no method"),
            ("GET", "http://ho st/", "URL"),
            ("GET", "http://user@127.0.0.1:1/", "user name"),
            ("GET", "https://user:s3cr3t@127.0.0.1:1/", "user name"),
        ] {
            let error = send(&env, HttpRequest::new(method, url)).await.unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains(what), "{error}");
            assert!(!error.to_string().contains("s3cr3t"), "{error}");
        }
    }

    /// The environment is that of a process, so another process sends the request.
    #[test]
    fn this_machine_is_reached_without_proxies_and_certificates() {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["resolve::http::tests::a_request_gets_its_answer", "--exact"]);
        command.envs(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:1")));
        command.env_remove("no_proxy").env_remove("NO_PROXY");
        command.env("SSL_CERT_FILE", "/dev/null").env_remove("SSL_CERT_DIR");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    fn a_client_is_kept_for_each_kind_of_address() {
        let kind = |url: &str| Kind::of(&url.parse().unwrap());
        let (clients, env) = (Clients::default(), SystemRuntime::shared());
        let client = |url: &str| clients.client(kind(url), &env).unwrap();
        assert!(Arc::ptr_eq(&client("http://127.0.0.1:80/a"), &client("http://localhost/b")));
        assert!(!Arc::ptr_eq(&client("http://127.0.0.1/"), &client("http://b.example/")));
        for here in ["127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "LOCALHOST", "localhost.", "a.localhost"] {
            assert_eq!(kind(&format!("https://{here}:1/")), Kind { tls: true, proxied: false }, "{here}");
        }
        for elsewhere in ["b.example", "128.0.0.1", "[::2]", "localhost.example", "notlocalhost"] {
            assert_eq!(kind(&format!("http://{elsewhere}/")), Kind { tls: false, proxied: true }, "{elsewhere}");
        }
    }
}
