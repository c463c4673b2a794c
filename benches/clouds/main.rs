//! A synthetic server for `cargo xtask bench transfer`, which runs it: the subset of the
//! protocols of Azure Blob Storage and Google Cloud Storage that the compared programs use for
//! small objects, which it holds in memory. It checks no credentials, conditions or checksums,
//! so that it is not the limit, as the emulators of both are.
//!
//! ```text
//! clouds azure|google   prints its address, serves until standard input ends
//! ```

mod azure;
mod google;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Error, IoSlice, Read as _, Result, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use lepton::core::{Crc, crc, md5};

/// A stored object.
struct Object {
    bytes: Vec<u8>,
    /// As stated by the client, otherwise computed on request.
    md5: OnceLock<String>,
    /// The sequence number of the put among all puts.
    generation: usize,
}

impl Object {
    fn md5(&self) -> &str {
        self.md5.get_or_init(|| BASE64_STANDARD.encode(md5(&self.bytes)))
    }

    fn crc32c(&self) -> String {
        BASE64_STANDARD.encode(&crc(Crc::Crc32c, &self.bytes).to_be_bytes()[4..])
    }
}

/// One bucket or container, and its address.
struct Server {
    answer: fn(&Server, &Request) -> Answer,
    endpoint: String,
    objects: Mutex<BTreeMap<String, Arc<Object>>>,
}

struct Request {
    method: String,
    /// Still percent-encoded.
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

struct Answer {
    status: &'static str,
    headers: String,
    body: Body,
}

enum Body {
    Text(String),
    Object(Arc<Object>, Range<usize>),
    /// The answer to a HEAD request.
    Length(usize),
}

fn main() -> Result<()> {
    let answer = match std::env::args().skip(1).find(|word| word != "--bench").as_deref() {
        Some("azure") => azure::answer,
        Some("google") => google::answer,
        _ => return Err(Error::other("usage: clouds azure|google")),
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    println!("{endpoint}");
    let server = Arc::new(Server { answer, endpoint, objects: Mutex::default() });
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let server = Arc::clone(&server);
            std::thread::spawn(move || server.serve(stream));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

impl Server {
    fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut input = BufReader::with_capacity(128 << 10, stream.try_clone()?);
        let mut output = stream;
        while let Some(request) = Request::read(&mut input)? {
            (self.answer)(self, &request).write(&mut output)?;
        }
        Ok(())
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Object>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: String, bytes: Vec<u8>, md5: Option<&str>) -> Arc<Object> {
        static GENERATION: AtomicUsize = AtomicUsize::new(1);
        let md5 = md5.map_or_else(OnceLock::new, |md5| md5.to_owned().into());
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        let object = Arc::new(Object { bytes, md5, generation });
        self.objects().insert(key, Arc::clone(&object));
        object
    }

    fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.objects().get(key).cloned()
    }

    /// A page of objects and folders with this prefix, after `after`, with the start of the
    /// next page.
    fn page(&self, request: &Request, after: &str, most: usize) -> Page {
        let (prefix, delimiter) = (request.get("prefix").unwrap_or_default(), request.get("delimiter"));
        let mut page = Page::default();
        let objects = self.objects();
        let behind = (Bound::Excluded(after.to_owned()), Bound::Unbounded);
        for (key, object) in objects.range::<String, _>(behind) {
            let Some(rest) = key.strip_prefix(prefix) else { continue };
            if page.objects.len() + page.folders.len() == most {
                page.next = page.last.take();
                break;
            }
            let folder = delimiter.filter(|mark| !mark.is_empty()).and_then(|mark| rest.split_once(mark));
            match folder {
                Some((folder, _)) => {
                    let folder = format!("{prefix}{folder}/");
                    if page.folders.last() != Some(&folder) {
                        page.folders.push(folder);
                    }
                }
                None => page.objects.push((key.clone(), Arc::clone(object))),
            }
            page.last = Some(key.clone());
        }
        page
    }
}

#[derive(Default)]
struct Page {
    objects: Vec<(String, Arc<Object>)>,
    folders: Vec<String>,
    last: Option<String>,
    next: Option<String>,
}

impl Request {
    fn read(input: &mut BufReader<TcpStream>) -> Result<Option<Self>> {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let query = pairs.map(|(name, value)| (name.to_owned(), plain(value))).collect();
        let mut headers = Vec::new();
        let mut header = String::new();
        while input.read_line(&mut header)? > 2 {
            if let Some((name, value)) = header.split_once(':') {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            header.clear();
        }
        let mut request = Self { method, path: path.to_owned(), query, headers, body: Vec::new() };
        request.body = request.read_body(input)?;
        Ok(Some(request))
    }

    fn read_body(&self, input: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.header("transfer-encoding") != Some("chunked") {
            let length = self.header("content-length").unwrap_or("0").parse().map_err(Error::other)?;
            input.take(length).read_to_end(&mut body)?;
            return Ok(body);
        }
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            let length = u64::from_str_radix(line.trim(), 16).map_err(Error::other)?;
            input.take(length).read_to_end(&mut body)?;
            input.read_line(&mut line)?;
            if length == 0 {
                return Ok(body);
            }
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The requested range of an object of this size.
    fn range(&self, size: usize) -> Option<Range<usize>> {
        let header = self.header("x-ms-range").or_else(|| self.header("range"))?;
        let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
        let end = last.parse().map_or(size, |last: usize| size.min(last + 1));
        Some(first.parse().ok()?..end)
    }

    /// An object, or the requested range of it.
    fn media(&self, object: Arc<Object>, mut headers: String) -> Answer {
        let size = object.bytes.len();
        match self.range(size) {
            _ if self.method == "HEAD" => Answer { status: "200 OK", headers, body: Body::Length(size) },
            None => Answer { status: "200 OK", headers, body: Body::Object(object, 0..size) },
            Some(range) if range.start >= range.end => Answer::of("416 Range Not Satisfiable", "", String::new()),
            Some(range) => {
                headers.push_str(&format!("Content-Range: bytes {}-{}/{size}\r\n", range.start, range.end - 1));
                Answer { status: "206 Partial Content", headers, body: Body::Object(object, range) }
            }
        }
    }
}

impl Answer {
    fn of(status: &'static str, headers: &str, body: String) -> Self {
        Self { status, headers: headers.to_owned(), body: Body::Text(body) }
    }

    fn write(&self, output: &mut TcpStream) -> Result<()> {
        let (body, length): (&[u8], usize) = match &self.body {
            Body::Text(text) => (text.as_bytes(), text.len()),
            Body::Object(object, range) => (&object.bytes[range.clone()], range.len()),
            Body::Length(length) => (&[], *length),
        };
        let head = format!("HTTP/1.1 {}\r\n{}Content-Length: {length}\r\n\r\n", self.status, self.headers);
        let sent = output.write_vectored(&[IoSlice::new(head.as_bytes()), IoSlice::new(body)])?;
        match sent.checked_sub(head.len()) {
            Some(sent) => output.write_all(&body[sent..]),
            None => output.write_all(&head.as_bytes()[sent..]).and_then(|()| output.write_all(body)),
        }
    }
}

/// Decodes `%XX`.
fn plain(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
