//! A server that answers as a test tells it. It is a fake: the emulator issues no tokens,
//! asks nobody to pay, copies in one request and never refuses in the ways that the service
//! does.

use std::sync::{Arc, Mutex};

use lepton_core::{RuntimeExt as _, SystemRuntime};
use lepton_providers::gcs::{GcsConfig, Preset};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The request line.
    pub line: String,
    pub head: String,
    pub body: String,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (header, value) = line.split_once(": ")?;
            header.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn is(&self, method: &str, part_of_path: &str) -> bool {
        self.line.starts_with(&format!("{method} ")) && self.line.contains(part_of_path)
    }
}

type Answer = dyn Fn(&Seen, usize) -> String + Send + Sync;

#[derive(Clone)]
pub struct Script {
    pub endpoint: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// The text of an answer.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

/// An answer in JSON, told in Rust's way.
pub fn json(status: u16, body: &serde_json::Value) -> String {
    answer(status, &[("Content-Type", "application/json")], &body.to_string())
}

/// A refusal in the service's form.
pub fn refusal(status: u16, reason: &str, message: &str) -> String {
    let errors = serde_json::json!([{ "reason": reason, "message": message }]);
    json(status, &serde_json::json!({ "error": { "code": status, "message": message, "errors": errors } }))
}

/// An object of five bytes ("hello").
pub fn resource(name: &str, generation: &str) -> serde_json::Value {
    serde_json::json!({ "name": name, "size": "5", "generation": generation, "crc32c": "mnG7TA==" })
}

impl Script {
    /// Starts a server; `answers` gets a request and how many came before it.
    pub async fn start(answers: impl Fn(&Seen, usize) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Self { endpoint: format!("http://{}", listener.local_addr().unwrap()), seen: Arc::default() };
        let (seen, env, answers) = (Arc::clone(&script.seen), SystemRuntime::shared(), Arc::new(answers));
        drop(env.clone().spawn_task(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answers: Arc<Answer> = answers.clone();
                drop(env.spawn_task(serve(stream, answers, Arc::clone(&seen))));
            }
        }));
        script
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Settings that say where, and not who.
    pub fn config(&self) -> GcsConfig {
        GcsConfig::new("photos").endpoint(self.endpoint.clone()).preset(Preset::Gcs).proxy("none")
    }
}

async fn serve(mut stream: TcpStream, answers: Arc<Answer>, seen: Arc<Mutex<Vec<Seen>>>) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
        let mut request = Seen { line: head.lines().next().unwrap().to_owned(), head, body: String::new() };
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        while buffer.len() < length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        request.body = String::from_utf8_lossy(&buffer.drain(..length).collect::<Vec<_>>()).into_owned();
        let before = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let answer = answers(&request, before);
        stream.write_all(answer.as_bytes()).await?;
        // An answer that promises more than it gives breaks off.
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        if !head.contains(&format!("Content-Length: {}", body.len())) {
            return Ok(());
        }
    }
}
