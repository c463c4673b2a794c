//! A fake service that answers as it is told: for what the emulator does not do, such as
//! copies that take a while, and for answers that a real account gives only when something
//! is wrong with it. It checks no signature.

use std::sync::{Arc, Mutex};

use lepton_core::{RuntimeExt as _, SystemRuntime};
use lepton_providers::azure::{AzureConfig, AzureStorage, Preset};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its first line and headers, in lower case.
    pub head: String,
    pub body: String,
}

impl Seen {
    /// Method and target.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap().trim_end_matches(" http/1.1")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

#[derive(Debug, Clone)]
pub struct Script {
    pub endpoint: String,
    /// What the question for the kind of account is answered with.
    account: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// The text of an answer; its length is that of the body unless a header says otherwise.
pub fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    if !headers.iter().any(|header| header.starts_with("Content-Length")) {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text + "\r\n" + body
}

/// A refusal with this code, as it answers any method.
pub fn refusal(status: &str, code: &str) -> String {
    answer(status, &[&format!("x-ms-error-code: {code}")], "")
}

/// What describes a block blob of five bytes.
pub fn described(headers: &[&str]) -> String {
    let usual = ["Content-Length: 5", "ETag: \"s\"", "x-ms-blob-type: BlockBlob"];
    let named = |header: &str| header.split(':').next().unwrap_or_default().to_owned();
    let other = |usual: &&&str| !headers.iter().any(|header| named(header) == named(usual));
    let all: Vec<&str> = usual.iter().filter(other).chain(headers).copied().collect();
    answer("200 OK", &all, "")
}

impl Script {
    /// Starts a server that answers with these, one for each request, and goes on with the
    /// last. It does not say of what kind the account is.
    pub async fn start(answers: Vec<String>) -> Self {
        Self::of_account("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", answers).await
    }

    /// The same for an account that answers what kind it is of.
    pub async fn of_account(account: &'static str, answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let script = Self { endpoint, account, seen: Arc::default() };
        let (serving, env) = (script.clone(), SystemRuntime::shared());
        drop(env.clone().spawn_task(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                drop(env.spawn_task(serving.clone().serve(stream, answers.clone())));
            }
        }));
        script
    }

    /// The requests so far, but for those that ask for the kind of account.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| !asks_for_kind(seen)).cloned().collect()
    }

    /// How often the kind of account was asked for.
    pub fn asked(&self) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| asks_for_kind(seen)).count()
    }

    pub fn config(&self) -> AzureConfig {
        let config = AzureConfig::new("photos").account("lepton").endpoint(&self.endpoint).proxy("none");
        config.preset(Preset::Azure).account_key("c2VjcmV0")
    }

    pub fn store(&self) -> AzureStorage {
        AzureStorage::new(self.config()).unwrap()
    }

    async fn serve(self, mut stream: TcpStream, answers: Vec<String>) -> std::io::Result<()> {
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
            let head = String::from_utf8(buffer.drain(..end).collect()).unwrap().to_lowercase();
            let mut seen = Seen { head, body: String::new() };
            let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
            while buffer.len() < length {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
            seen.body = String::from_utf8_lossy(&buffer[..length]).into_owned();
            buffer.drain(..length);
            let kind = asks_for_kind(&seen);
            self.seen.lock().unwrap().push(seen);
            let answer = match (kind, self.seen().len()) {
                (true, _) => self.account,
                (false, number) => &answers[(number - 1).min(answers.len() - 1)],
            };
            stream.write_all(answer.as_bytes()).await?;
        }
    }
}

fn asks_for_kind(seen: &Seen) -> bool {
    seen.line().contains("restype=account")
}
