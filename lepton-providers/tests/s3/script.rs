//! A server that answers as it is told, for faults that real ones do not show.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lepton_core::{RuntimeExt as _, SystemRuntime};
use lepton_providers::s3::{Preset, S3Config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What to do with one request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Read all of it, then answer.
    Answer(String),
    /// Answer as soon as the head is there and close, without reading the body.
    AnswerEarly(String),
    /// Read all of it, then close.
    Close,
    /// Read all of it, answer this, and then nothing more.
    Stall(String),
    /// Read all of it, answer this, and then a space now and then.
    Drip(String),
}

/// A request as it came: its head as text, and how many bytes followed.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// The text of an answer.
pub(crate) fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text + "\r\n" + body
}

impl Script {
    /// Starts a server that does these things, one for each request, and goes
    /// on with the last.
    pub(crate) async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let script = Self { endpoint, seen: Arc::default() };
        let (seen, env) = (Arc::clone(&script.seen), SystemRuntime::shared());
        drop(env.clone().spawn_task(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                drop(env.spawn_task(serve(stream, acts.clone(), Arc::clone(&seen))));
            }
        }));
        script
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn config(&self) -> S3Config {
        S3Config::new("bucket")
            .endpoint(self.endpoint.clone())
            .region("us-east-1")
            .preset(Preset::Aws)
            .access_key_id("id")
            .secret_access_key("secret")
            .proxy("none")
    }
}

async fn serve(mut stream: TcpStream, acts: Vec<Act>, seen: Arc<Mutex<Vec<Seen>>>) -> std::io::Result<()> {
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
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let body: usize = length.unwrap_or(0);
        let act = {
            let mut seen = seen.lock().unwrap();
            seen.push(Seen { head, body });
            acts[(seen.len() - 1).min(acts.len() - 1)].clone()
        };
        if !matches!(act, Act::AnswerEarly(_)) {
            while buffer.len() < body {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
            buffer.drain(..body);
        }
        match act {
            Act::Answer(text) => stream.write_all(text.as_bytes()).await?,
            Act::AnswerEarly(text) => return stream.write_all(text.as_bytes()).await,
            Act::Close => return Ok(()),
            Act::Stall(text) => {
                stream.write_all(text.as_bytes()).await?;
                std::future::pending::<()>().await;
            }
            Act::Drip(text) => {
                stream.write_all(text.as_bytes()).await?;
                loop {
                    SystemRuntime::shared().sleep(Duration::from_millis(20)).await;
                    stream.write_all(b" ").await?;
                }
            }
        }
    }
}
