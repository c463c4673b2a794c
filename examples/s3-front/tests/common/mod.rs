//! A small S3 client that can also send wrong requests: it signs by itself and writes the bytes
//! of a request exactly as specified.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit as _, Mac as _};
use lepton_core::to_hex;
use lepton_s3_front::{S3Front, Server};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const ACCESS: &str = "access";
pub const SECRET: &str = "secret";

/// A front with the known credentials; buckets are added by the test.
pub fn front() -> lepton_s3_front::Builder {
    S3Front::builder().credentials(ACCESS, SECRET)
}

/// What a request states about its body.
#[derive(Debug, Clone)]
pub enum Payload {
    /// `x-amz-content-sha256` is the digest of the body.
    Plain(Vec<u8>),
    /// `x-amz-content-sha256` has this value.
    Stated(Vec<u8>, &'static str),
    /// Chunks with signatures.
    Signed(Chunks),
    /// Chunks without signatures, with a trailer.
    Unsigned(Chunks),
}

/// A chunked body and its defects.
#[derive(Debug, Clone, Default)]
pub struct Chunks {
    pub chunks: Vec<Vec<u8>>,
    /// Announced in `x-amz-trailer`; sent with the value if there is one.
    pub trailer: Option<(&'static str, Option<String>)>,
    /// Changed after it was signed.
    pub tampered: Option<usize>,
    /// The final chunk is missing.
    pub cut: bool,
    /// This length instead of the true one.
    pub decoded_length: Option<usize>,
}

impl Chunks {
    pub fn of(chunks: &[&[u8]]) -> Self {
        Self { chunks: chunks.iter().map(|chunk| chunk.to_vec()).collect(), ..Self::default() }
    }
}

#[derive(Debug, Clone)]
pub struct Request {
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    payload: Payload,
    age: Duration,
    keys: (&'static str, &'static str),
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first XML element with this name.
    pub fn element(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(value, _)| value.to_owned())
    }

    /// Whether the body has the length stated in its header.
    pub fn is_whole(&self) -> bool {
        self.header("content-length").is_none_or(|len| len.parse() == Ok(self.body.len()))
    }
}

impl Request {
    /// The target must be percent-encoded and its query sorted, as SigV4 requires.
    pub fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            headers: Vec::new(),
            payload: Payload::Plain(Vec::new()),
            age: Duration::ZERO,
            keys: (ACCESS, SECRET),
        }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.payload = Payload::Plain(body.into());
        self
    }

    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// Signs the request with a time this long ago.
    pub fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    pub fn keys(mut self, access: &'static str, secret: &'static str) -> Self {
        self.keys = (access, secret);
        self
    }

    /// Sends the request and reads until the connection ends.
    pub async fn send(&self, server: &Server) -> std::io::Result<Response> {
        let mut stream = TcpStream::connect(server.address()).await?;
        stream.write_all(&self.bytes(server)).await?;
        read(&mut stream).await
    }

    /// Sends the request, which must be answered, and returns status and code.
    pub async fn code(&self, server: &Server) -> (u16, String) {
        let response = self.send(server).await.expect("a reply");
        (response.status, response.element("Code").unwrap_or_default())
    }

    /// The request as it goes over the wire.
    pub fn bytes(&self, server: &Server) -> Vec<u8> {
        let (date, day) = amz_date(SystemTime::now() - self.age);
        let mut headers = self.headers.clone();
        headers.push(("host".into(), server.address().to_string()));
        headers.push(("x-amz-date".into(), date.clone()));
        headers.push(("x-amz-content-sha256".into(), self.payload.content_sha256()));
        if let Payload::Signed(chunks) | Payload::Unsigned(chunks) = &self.payload {
            let len = chunks.decoded_length.unwrap_or_else(|| chunks.chunks.iter().map(Vec::len).sum());
            headers.push(("x-amz-decoded-content-length".into(), len.to_string()));
            headers.push(("content-encoding".into(), "aws-chunked".into()));
            headers.extend(chunks.trailer.iter().map(|(name, _)| ("x-amz-trailer".into(), (*name).to_owned())));
        }
        headers.sort();
        let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let listed: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical =
            format!("{}\n{path}\n{query}\n{listed}\n{names}\n{}", self.method, self.payload.content_sha256());
        let signer = Signer::new(self.keys.1, &date, &day);
        let seed =
            signer.sign(&format!("AWS4-HMAC-SHA256\n{date}\n{}\n{}", signer.scope, sha256(canonical.as_bytes())));
        let body = self.payload.wire(&signer, &seed);
        let credential = format!("{}/{}", self.keys.0, signer.scope);
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={seed}");
        bytes.extend(format!("authorization: {authorization}\r\ncontent-length: {}\r\n", body.len()).into_bytes());
        bytes.extend(b"connection: close\r\n\r\n");
        bytes.extend(body);
        bytes
    }
}

impl Payload {
    fn content_sha256(&self) -> String {
        match self {
            Payload::Plain(body) => sha256(body),
            Payload::Stated(_, stated) => (*stated).to_owned(),
            Payload::Signed(Chunks { trailer: None, .. }) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".into(),
            Payload::Signed(_) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".into(),
            Payload::Unsigned(_) => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".into(),
        }
    }

    fn wire(&self, signer: &Signer, seed: &str) -> Vec<u8> {
        let (chunks, signed) = match self {
            Payload::Plain(body) | Payload::Stated(body, _) => return body.clone(),
            Payload::Signed(chunks) => (chunks, true),
            Payload::Unsigned(chunks) => (chunks, false),
        };
        let mut wire = Vec::new();
        let mut previous = seed.to_owned();
        let last = Vec::new();
        for (number, chunk) in chunks.chunks.iter().chain((!chunks.cut).then_some(&last)).enumerate() {
            wire.extend(format!("{:x}", chunk.len()).into_bytes());
            if signed {
                let digest = format!("{}\n{}", sha256(b""), sha256(chunk));
                previous = signer.sign(&format!(
                    "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{digest}",
                    signer.date, signer.scope
                ));
                wire.extend(format!(";chunk-signature={previous}").into_bytes());
            }
            wire.extend(b"\r\n");
            let start = wire.len();
            wire.extend(chunk);
            if chunks.tampered == Some(number) {
                wire[start] ^= 1;
            }
            if !chunk.is_empty() {
                wire.extend(b"\r\n");
            }
        }
        if let Some((name, Some(value))) = &chunks.trailer {
            wire.extend(format!("{name}:{value}\r\n").into_bytes());
            if signed {
                let digest = sha256(format!("{name}:{value}\n").as_bytes());
                let signature = signer.sign(&format!(
                    "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{previous}\n{digest}",
                    signer.date, signer.scope
                ));
                wire.extend(format!("x-amz-trailer-signature:{signature}\r\n").into_bytes());
            }
        }
        wire.extend(b"\r\n");
        wire
    }
}

struct Signer {
    key: Vec<u8>,
    date: String,
    scope: String,
}

impl Signer {
    fn new(secret: &str, date: &str, day: &str) -> Self {
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [day, "us-east-1", "s3", "aws4_request"] {
            key = hmac(&key, part);
        }
        Self { key, date: date.to_owned(), scope: format!("{day}/us-east-1/s3/aws4_request") }
    }

    fn sign(&self, text: &str) -> String {
        to_hex(&hmac(&self.key, text))
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn sha256(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

/// The time as `20261120T120000Z` and `20261120`, using the days-to-civil algorithm of Howard
/// Hinnant.
fn amz_date(time: SystemTime) -> (String, String) {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let date = format!("{year:04}{month:02}{day:02}");
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    (format!("{date}T{hour:02}{minute:02}{second:02}Z"), date)
}

/// Reads one response and everything after it until the server closes the connection.
pub async fn read(stream: &mut TcpStream) -> std::io::Result<Response> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| std::io::Error::other("the connection ended before the headers did"))?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(':'));
    Ok(Response {
        status: status.ok_or_else(|| std::io::Error::other("there is no status"))?,
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect(),
        body: bytes[end + 4..].to_vec(),
    })
}
