//! Sends the requests of acceptance tests.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use lepton_core::resolver::{HttpAnswer, HttpRequest};
use lepton_core::{Error, ErrorKind, Result, SharedEnv};

use crate::transport::{HttpClient, HttpOptions, RequestBody, proxies};

/// The largest body of an answer.
const LARGEST: usize = 1 << 20;

/// Sends a request; redirects are not followed.
pub(super) async fn send(env: &SharedEnv, request: HttpRequest) -> Result<HttpAnswer> {
    let options = HttpOptions {
        tls: true,
        ca_file: None,
        proxy: Arc::new(proxies(None)?),
        connect_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(30),
        max_idle_connections: None,
    };
    let (client, timeout) = (HttpClient::new(options, env.clone())?, request.timeout);
    let prepared = prepared(request)?;
    let answered = pin!(async {
        let response = client.send(prepared).await?;
        let status = response.status().as_u16();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        Ok(HttpAnswer::new(status, headers, response.into_body().read(LARGEST).await?))
    });
    match select(answered, env.sleep(timeout)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(Error::new(ErrorKind::Timeout, format!("there is no whole answer after {timeout:?}"))),
    }
}

fn prepared(request: HttpRequest) -> Result<Request<RequestBody>> {
    let wrong = |what: String| Error::invalid_input(format!("the request cannot be sent: {what}"));
    let uri: Uri = request.url.parse().map_err(|error| wrong(format!("its URL is wrong: {error}")))?;
    let authority = uri.authority().ok_or_else(|| wrong("its URL has no host".to_owned()))?.clone();
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
    // A user name and password in the URL are not sent.
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    headers.insert(HOST, value("host", host)?);
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
    use std::collections::BTreeMap;

    use lepton_core::SystemEnv;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

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
        let env = SystemEnv::shared();
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
        assert_eq!(send(&SystemEnv::shared(), request).await.unwrap_err().kind(), ErrorKind::Timeout);
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_named() {
        let env = SystemEnv::shared();
        for (method, url, what) in [
            ("GET", "/relative", "no host"),
            ("GET", "ftp://host/x", "neither http nor https"),
            ("G T", "http://127.0.0.1:1/", "no method"),
            ("GET", "http://ho st/", "URL"),
        ] {
            let error = send(&env, HttpRequest::new(method, url)).await.unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains(what), "{error}");
        }
    }
}
