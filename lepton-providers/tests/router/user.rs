//! A user, who speaks HTTP/1.1 on a socket of his own.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything takes, also on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn has(&self, line: &str) -> bool {
        self.head.to_ascii_lowercase().lines().any(|found| found.starts_with(&line.to_ascii_lowercase()))
    }
}

/// Sends a request on a connection of its own, and returns the answer.
pub(crate) async fn ask(router: SocketAddr, method: &str, target: &str) -> Answer {
    ask_with(router, method, target, "", "").await
}

/// The same, with these header lines, each with its end, and with a body.
pub(crate) async fn ask_with(router: SocketAddr, method: &str, target: &str, headers: &str, body: &str) -> Answer {
    let length = if method == "GET" { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n{length}{headers}\r\n{body}");
    raw(router, request.as_bytes()).await
}

/// Sends bytes, and returns the answer up to the end of the connection.
pub(crate) async fn raw(router: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(router).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    rest(&mut stream).await
}

/// Reads an answer up to the end of the connection.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Answer {
    let mut bytes = Vec::new();
    // A connection that is reset has still brought what was read.
    let _ = timeout(LONG, stream.read_to_end(&mut bytes)).await.expect("the connection does not end");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        unchunked(body)
    } else {
        body.to_owned()
    };
    Answer { status, head: head.to_owned(), body }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
    whole
}

/// Reads until this text has come, and returns what came.
pub(crate) async fn read_until(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reading = async {
        while !bytes.windows(text.len()).any(|window| window == text) {
            let byte = stream.read_u8().await.expect("the connection has ended");
            bytes.push(byte);
        }
    };
    timeout(LONG, reading).await.expect("the text does not come");
    bytes
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is: impl AsyncFnMut() -> bool) {
    for _ in 0..3000 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within 30 s");
}
