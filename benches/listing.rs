//! A synthetic listing server for `cargo xtask bench sync`, which runs it. It is no
//! object store: it answers the listings of S3 for as many objects as it is told to
//! have, without keeping any, so that ten million of them need no disk.
//!
//! ```text
//! listing OBJECTS [MILLISECONDS]   prints its address, serves until standard input ends
//! ```
//!
//! Every bucket has the same objects, `folder-0000/object-0000000000` and so on, a
//! thousand to a folder, with MD5s for tags. Those of a bucket whose name begins with
//! `copy` were written a day after those of the others. Each answer is held back for
//! so many milliseconds.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Error, Read as _, Result, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const IN_A_FOLDER: u64 = 1000;
const PAGE: u64 = 1000;

#[derive(Clone, Copy)]
struct Server {
    objects: u64,
    delay: Duration,
}

fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).filter(|word| word != "--bench").map(|word| word.parse::<u64>());
    let Some(Ok(objects)) = numbers.next() else { return Err(Error::other("usage: listing OBJECTS [MILLISECONDS]")) };
    let delay = Duration::from_millis(numbers.next().transpose().map_err(Error::other)?.unwrap_or(0));
    let server = Server { objects, delay };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || server.serve(stream));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
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
            std::io::copy(&mut input.by_ref().take(length), &mut std::io::sink())?;
            std::thread::sleep(self.delay);
            output.write_all(self.answer(&line).as_bytes())?;
            line.clear();
        }
        Ok(())
    }

    fn answer(self, request: &str) -> String {
        let mut words = request.split_whitespace();
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: Vec<(&str, String)> = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(k, v)| (k, plain(v)))
            .collect();
        let get = |name: &str| query.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        if method == "HEAD" {
            return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into();
        }
        let body = match (method, get("list-type"), get("location")) {
            ("GET", Some("2"), _) => self.page(path, &get),
            ("GET", _, Some(_)) => "<LocationConstraint>us-east-1</LocationConstraint>".into(),
            _ => {
                let body = "<Error><Code>NotImplemented</Code><Message>it only lists</Message></Error>";
                return format!("HTTP/1.1 501 Not Implemented\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        };
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n\r\n{body}")
    }

    fn page<'a>(self, path: &str, get: &impl Fn(&str) -> Option<&'a str>) -> String {
        let day = if path.trim_start_matches('/').starts_with("copy") { 2 } else { 1 };
        let after = get("continuation-token").or_else(|| get("start-after")).unwrap_or_default();
        let prefix = get("prefix").unwrap_or_default();
        let most = get("max-keys").and_then(|most| most.parse().ok()).unwrap_or(PAGE).min(PAGE);
        let first = self.behind(after).max(self.from(prefix));
        let mut text = String::with_capacity(320 * 1024);
        text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>");
        let (mut at, mut entries, mut last) = (first, 0, String::new());
        while at < self.objects && entries < most && key(at).starts_with(prefix) {
            let name = key(at);
            let folder =
                get("delimiter").and_then(|mark| name[prefix.len()..].split_once(mark).filter(|_| !mark.is_empty()));
            if let Some((folder, _)) = folder {
                last = format!("{prefix}{folder}0");
                let _ = write!(text, "<CommonPrefixes><Prefix>{prefix}{folder}/</Prefix></CommonPrefixes>");
                at = self.behind(&last);
            } else {
                let _ = write!(
                    text,
                    "<Contents><Key>{name}</Key><LastModified>2026-01-0{day}T00:00:00.000Z</LastModified>\
                     <ETag>&quot;{at:032x}&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                    at % 100_000
                );
                at += 1;
                last = name;
            }
            entries += 1;
        }
        let more = at < self.objects && key(at).starts_with(prefix);
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

/// Text without `%XX` and `+`.
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
