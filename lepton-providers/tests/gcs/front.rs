//! One service out of two servers: fake-gcs-server, which has objects and no uploads in
//! parts, and MinIO, which speaks the same protocol of uploads with other headers.
//!
//! What is about an upload goes to MinIO; when it is complete, the object goes on to
//! fake-gcs-server. All else goes there at once. What neither server does is added here,
//! and is a fake: the check of the token and of a part's CRC-32C, and a bucket that is made
//! to keep versions.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lepton_core::{ChecksumAlgorithm, RuntimeExt as _, StoredChecksum, SystemRuntime};
use tokio::net::TcpListener;
use tokio::sync::{RwLock, oneshot};

/// The token that the service wants to see.
pub const TOKEN: &str = "lepton-test-token";

#[derive(Clone)]
struct Front {
    /// `http://host:port` of each.
    fake: String,
    minio: String,
    /// Whether new buckets keep versions.
    versions: bool,
    /// Written to while an object goes from one server to the other: the service has it at once.
    completing: Arc<RwLock<()>>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Starts the service; gives its address.
pub async fn start(fake: &str, minio: &str, versions: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (fake, minio, completing) = (fake.to_owned(), minio.to_owned(), Arc::default());
    let front = Front { fake, minio, versions, completing, client };
    let env = SystemRuntime::shared();
    drop(env.clone().spawn_task(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let front = front.clone();
            let tasks = env.clone();
            drop(env.spawn_task(async move {
                let serve = service_fn(move |request| {
                    // What has begun is done, also where the client leaves: two servers are one.
                    let (front, (send, receive)) = (front.clone(), oneshot::channel());
                    drop(tasks.spawn_task(async move {
                        let _ = send.send(front.serve(request).await);
                    }));
                    receive
                });
                // A client may leave in the middle.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await;
            }));
        }
    }));
    format!("http://{address}")
}

fn refusal(status: u16, code: &str) -> Response<Full<Bytes>> {
    let body = format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>");
    Response::builder().status(status).body(Full::from(body)).unwrap()
}

impl Front {
    async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return refusal(400, "IncompleteBody") };
        let body = body.to_bytes();
        if head.headers.get("authorization").is_none_or(|value| value != &format!("Bearer {TOKEN}")) {
            let body =
                r#"{"error": {"code": 401, "message": "Invalid Credentials", "errors": [{"reason": "authError"}]}}"#;
            return Response::builder().status(401).body(Full::from(body)).unwrap();
        }
        let (path, query) = (head.uri.path().to_owned(), head.uri.query().unwrap_or_default().to_owned());
        let about_upload = query.split('&').any(|pair| pair.starts_with("upload"))
            && !path.starts_with("/upload/")
            && !path.starts_with("/storage/");
        if about_upload && head.method == Method::POST && query.contains("uploadId=") {
            let _completing = self.completing.write().await;
            let answer = self.upload(&head, &path, &query, body).await;
            let complete = answer.status() == StatusCode::OK;
            return if complete { self.hand_on(&path, answer).await } else { answer };
        }
        let _complete = self.completing.read().await;
        if about_upload {
            return self.upload(&head, &path, &query, body).await;
        }
        let body = match path == "/storage/v1/b" && self.versions {
            true => keeping_versions(&body),
            false => body,
        };
        self.pass(&self.fake, &head.method, &path, &query, head.headers, body).await
    }

    async fn pass(
        &self,
        to: &str,
        method: &Method,
        path: &str,
        query: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Response<Full<Bytes>> {
        for name in ["host", "authorization", "content-length"] {
            headers.remove(name);
        }
        let question = if query.is_empty() { "" } else { "?" };
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = format!("{to}{path}{question}{query}").parse().unwrap();
        *request.headers_mut() = headers;
        let Ok(answer) = self.client.request(request).await else { return refusal(502, "NoAnswer") };
        let (mut head, body) = answer.into_parts();
        let Ok(body) = body.collect().await else { return refusal(502, "IncompleteAnswer") };
        for name in ["transfer-encoding", "connection"] {
            head.headers.remove(name);
        }
        Response::from_parts(head, Full::from(body.to_bytes()))
    }

    /// A request about an upload.
    async fn upload(&self, head: &http::request::Parts, path: &str, query: &str, body: Bytes) -> Response<Full<Bytes>> {
        let mut headers = HeaderMap::new();
        for (name, value) in &head.headers {
            if let Some(name) = name.as_str().strip_prefix("x-goog-meta-") {
                let name = HeaderName::from_bytes(format!("x-amz-meta-{name}").as_bytes()).unwrap();
                headers.insert(name, value.clone());
            } else if name.as_str().starts_with("content-") || name == "cache-control" {
                headers.insert(name.clone(), value.clone());
            }
        }
        let sum = StoredChecksum::of(ChecksumAlgorithm::Crc32c, &body).unwrap().value;
        let hash = format!("crc32c={}", base64(&sum));
        if head.headers.get("x-goog-hash").is_some_and(|said| said != &hash) {
            return refusal(400, "BadDigest");
        }
        let mut answer = self.pass(&self.minio, &head.method, path, query, headers, body).await;
        if head.method == Method::PUT && answer.status().is_success() {
            answer.headers_mut().insert("x-goog-hash", HeaderValue::from_str(&hash).unwrap());
        }
        answer
    }

    /// The object of a complete upload goes on to the emulator.
    async fn hand_on(&self, path: &str, mut answer: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
        let object = self.pass(&self.minio, &Method::GET, path, "", HeaderMap::new(), Bytes::new()).await;
        let headers = object.headers().clone();
        let bytes = object.into_body().collect().await.unwrap().to_bytes();
        let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap();
        let name = percent_encoding::percent_decode_str(key).decode_utf8().unwrap().into_owned();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let metadata: serde_json::Map<String, serde_json::Value> = headers
            .iter()
            .filter_map(|(name, value)| {
                let name = name.as_str().strip_prefix("x-amz-meta-")?;
                Some((name.to_owned(), value.to_str().ok()?.into()))
            })
            .collect();
        let resource = serde_json::json!({
            "name": name, "metadata": metadata, "contentType": text("content-type"),
            "contentEncoding": text("content-encoding"), "contentDisposition": text("content-disposition"),
            "contentLanguage": text("content-language"), "cacheControl": text("cache-control"),
        });
        let media = text("content-type").unwrap_or_default();
        let head =
            format!("--b\r\nContent-Type: application/json\r\n\r\n{resource}\r\n--b\r\nContent-Type: {media}\r\n\r\n");
        let body = [head.as_bytes(), &bytes, b"\r\n--b--\r\n"].concat();
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("multipart/related; boundary=b"));
        let to = format!("/upload/storage/v1/b/{bucket}/o");
        let put = self.pass(&self.fake, &Method::POST, &to, "uploadType=multipart", headers, body.into()).await;
        if !put.status().is_success() {
            return put;
        }
        let written = put.into_body().collect().await.unwrap().to_bytes();
        let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
        let generation = HeaderValue::from_str(written["generation"].as_str().unwrap()).unwrap();
        answer.headers_mut().insert("x-goog-generation", generation);
        answer
    }
}

/// The document that makes a bucket, for one that keeps versions.
fn keeping_versions(document: &[u8]) -> Bytes {
    let mut bucket: serde_json::Value = serde_json::from_slice(document).unwrap();
    bucket["versioning"] = serde_json::json!({ "enabled": true });
    bucket.to_string().into()
}

fn base64(bytes: &[u8]) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    BASE64_STANDARD.encode(bytes)
}
