//! A server that answers each request as a test says, with all of it at hand.

use std::sync::Arc;

use lepton_core::{RuntimeExt as _, SystemRuntime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came, without its body.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) head: String,
}

impl Asked {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (header, value) = line.split_once(": ")?;
            header.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// The text of an answer.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

/// Starts one; gives its address, host and port.
pub(crate) async fn start(answers: impl Fn(&Asked) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (env, answers) = (SystemRuntime::shared(), Arc::new(answers));
    drop(env.clone().spawn_task(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answers = Arc::clone(&answers);
            drop(env.spawn_task(async move { serve(stream, &*answers).await }));
        }
    }));
    address
}

async fn serve(mut stream: TcpStream, answers: &(dyn Fn(&Asked) -> String + Send + Sync)) -> std::io::Result<()> {
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
        let asked = Asked { head };
        let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
        while buffer.len() < length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        buffer.drain(..length);
        stream.write_all(answers(&asked).as_bytes()).await?;
    }
}
