//! A synthetic server for `cargo xtask bench sync` and `… growth`, which run it. It is not an
//! object store: it answers S3 listings for a given number of objects without storing any, so
//! that ten million of them need no disk.
//!
//! ```text
//! listing OBJECTS [MILLISECONDS [BYTES]]   prints its address, serves until standard input ends
//! ```
//!
//! Every bucket has the same objects, `folder-00000/object-0000000000` and so on, a thousand
//! per folder, with MD5s as ETags. The objects of a bucket whose name begins with `copy` were
//! written a day after those of the others. Each answer is delayed by MILLISECONDS.
//!
//! With BYTES, each object has this size, consists of its repeated key, and can be read. A
//! bucket whose name begins with `sink` then lists nothing and accepts objects: it refuses
//! bytes other than those of the key, and stores none.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Error, Read as _, Result, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use lepton::core::md5;

const IN_A_FOLDER: u64 = 1000;
const PAGE: u64 = 1000;
const XML: &str = "Content-Type: application/xml\r\n";

#[derive(Clone, Copy)]
struct Server {
    objects: u64,
    delay: Duration,
    /// The size of each object; without it, objects cannot be read.
    size: Option<usize>,
}

/// The relevant parts of a request.
struct Request<'a> {
    method: &'a str,
    bucket: &'a str,
    key: &'a str,
    query: Vec<(&'a str, String)>,
    body: Vec<u8>,
}

fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).filter(|word| word != "--bench").map(|word| word.parse::<u64>());
    let usage = || Error::other("usage: listing OBJECTS [MILLISECONDS [BYTES]]");
    let Some(Ok(objects)) = numbers.next() else { return Err(usage()) };
    let delay = Duration::from_millis(numbers.next().transpose().map_err(Error::other)?.unwrap_or(0));
    let size = numbers.next().transpose().map_err(Error::other)?.map(usize::try_from).transpose();
    let server = Server { objects, delay, size: size.map_err(Error::other)? };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || server.serve(stream));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

impl<'a> Request<'a> {
    fn parse(line: &'a str, body: Vec<u8>) -> Self {
        let mut words = line.split_whitespace();
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self { method, bucket, key, query: pairs.map(|(name, value)| (name, plain(value))).collect(), body }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

impl Server {
    fn serve(self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut input = BufReader::new(stream.try_clone()?);
        let mut output = stream;
        let mut line = String::new();
        while input.read_line(&mut line)? > 0 {
            let mut length = 0;
            let mut header = String::new();
            while input.read_line(&mut header)? > 2 {
                if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().map_err(Error::other)?;
                }
                header.clear();
            }
            let mut body = Vec::new();
            input.by_ref().take(length).read_to_end(&mut body)?;
            std::thread::sleep(self.delay);
            output.write_all(self.answer(&Request::parse(&line, body)).as_bytes())?;
            line.clear();
        }
        Ok(())
    }

    fn answer(self, request: &Request<'_>) -> String {
        match (request.method, request.key, self.size) {
            ("HEAD", "", _) | ("HEAD", _, None) => answer("200 OK", "", ""),
            ("GET", "", _) if request.get("list-type") == Some("2") => answer("200 OK", XML, &self.page(request)),
            ("GET", "", _) if request.get("location").is_some() => {
                answer("200 OK", XML, "<LocationConstraint>us-east-1</LocationConstraint>")
            }
            ("GET" | "HEAD" | "PUT", _, Some(size)) if !request.key.is_empty() => self.object(request, size),
            _ => refusal("501 Not Implemented", "NotImplemented"),
        }
    }

    /// Reads, describes or accepts an object.
    fn object(self, request: &Request<'_>, size: usize) -> String {
        let digits = request.key.rsplit('-').next().unwrap_or_default();
        let number = digits.parse().ok().filter(|number| *number < self.objects && key(*number) == request.key);
        let Some(number) = number.filter(|_| request.method == "PUT" || !request.bucket.starts_with("sink")) else {
            return refusal("404 Not Found", "NoSuchKey");
        };
        let bytes = bytes(number, size);
        let tag = format!("ETag: \"{}\"\r\n", hex(bytes.as_bytes()));
        let written = format!("Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n{tag}");
        match request.method {
            "GET" => answer("200 OK", &written, &bytes),
            "HEAD" => format!("HTTP/1.1 200 OK\r\n{written}Content-Length: {size}\r\n\r\n"),
            _ if request.body == bytes.as_bytes() => answer("200 OK", &tag, ""),
            _ => refusal("400 Bad Request", "BadDigest"),
        }
    }

    fn page(self, request: &Request<'_>) -> String {
        let day = if request.bucket.starts_with("copy") { 2 } else { 1 };
        let after = request.get("continuation-token").or_else(|| request.get("start-after")).unwrap_or_default();
        let prefix = request.get("prefix").unwrap_or_default();
        let most = request.get("max-keys").and_then(|most| most.parse().ok()).unwrap_or(PAGE).min(PAGE);
        let first = self.behind(after).max(self.from(prefix));
        let end = if self.size.is_some() && request.bucket.starts_with("sink") { 0 } else { self.objects };
        let mut text = String::with_capacity(320 * 1024);
        text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>");
        let (mut at, mut entries, mut last) = (first, 0, String::new());
        while at < end && entries < most && key(at).starts_with(prefix) {
            let name = key(at);
            let delimiter = request.get("delimiter").filter(|mark| !mark.is_empty());
            let folder = delimiter.and_then(|mark| name[prefix.len()..].split_once(mark));
            if let Some((folder, _)) = folder {
                last = format!("{prefix}{folder}0");
                let _ = write!(text, "<CommonPrefixes><Prefix>{prefix}{folder}/</Prefix></CommonPrefixes>");
                at = self.behind(&last);
            } else {
                let (tag, size) = match self.size {
                    Some(size) => (hex(bytes(at, size).as_bytes()), size as u64),
                    None => (format!("{at:032x}"), at % 100_000),
                };
                let _ = write!(
                    text,
                    "<Contents><Key>{name}</Key><LastModified>2026-01-0{day}T00:00:00.000Z</LastModified>\
                     <ETag>&quot;{tag}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
                );
                at += 1;
                last = name;
            }
            entries += 1;
        }
        let more = at < end && key(at).starts_with(prefix);
        if more {
            let _ = write!(text, "<NextContinuationToken>{last}</NextContinuationToken>");
        }
        let _ =
            write!(text, "<KeyCount>{entries}</KeyCount><MaxKeys>{most}</MaxKeys><IsTruncated>{more}</IsTruncated>");
        text.push_str("</ListBucketResult>");
        text
    }

    /// The first object whose key is greater than this.
    fn behind(self, text: &str) -> u64 {
        self.first(|key| key > text)
    }

    /// The first object whose key is not less than this.
    fn from(self, text: &str) -> u64 {
        self.first(|key| key >= text)
    }

    fn first(self, is: impl Fn(&str) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.objects);
        while low < high {
            let middle = low.midpoint(high);
            if is(&key(middle)) { high = middle } else { low = middle + 1 }
        }
        low
    }
}

fn key(number: u64) -> String {
    format!("folder-{:05}/object-{number:010}", number / IN_A_FOLDER)
}

/// The content of an object: its key, repeated.
fn bytes(number: u64, size: usize) -> String {
    key(number).chars().cycle().take(size).collect()
}

/// The MD5 of these bytes, in the form of an ETag.
fn hex(bytes: &[u8]) -> String {
    format!("{:032x}", u128::from_be_bytes(md5(bytes)))
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn refusal(status: &str, code: &str) -> String {
    let body = format!("<Error><Code>{code}</Code><Message>a synthetic server</Message></Error>");
    answer(status, XML, &body)
}

/// Decodes `%XX` and `+`.
fn plain(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next(), bytes.next()].map(|digit| char::from(digit.unwrap_or(b'0')).to_digit(16));
                plain.push(
                    digits.into_iter().flatten().fold(0, |value, digit| value * 16 + u8::try_from(digit).unwrap_or(0)),
                );
            }
            b'+' => plain.push(b' '),
            other => plain.push(other),
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}
