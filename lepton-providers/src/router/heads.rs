//! Finds heads with both `Content-Length` and `Transfer-Encoding`.
//!
//! The HTTP server follows `Transfer-Encoding` and hides the other header, which is safe for
//! what is forwarded. But the sender of such a head may have meant another end of its body, so that
//! the router refuses it. This reader only follows where heads begin; where it cannot, it gives
//! up, and the server refuses or is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::hooks::Hook;

/// Bytes of a line that are kept: enough for the names and the lengths that matter.
const KEPT: usize = 128;

/// What was found on a connection.
#[derive(Debug, Default)]
pub(super) struct Found {
    both: AtomicBool,
    off: AtomicBool,
}

impl Found {
    /// Whether a head had both headers. It is known before the server has the head.
    pub(super) fn both(&self) -> bool {
        self.both.load(Ordering::Relaxed)
    }

    /// The connection speaks another protocol from now on.
    pub(super) fn stop(&self) {
        self.off.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Heads {
    state: State,
    line: Vec<u8>,
    /// The request line has come.
    begun: bool,
    length: Option<u64>,
    coded: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// Bytes of a body.
    Body(u64),
    ChunkSize,
    /// Bytes of a chunk.
    Chunk(u64),
    Trailers,
    /// The position is lost.
    Lost,
}

impl Heads {
    /// Follows these bytes; whether a head among them has both headers.
    fn follow(&mut self, mut bytes: &[u8]) -> bool {
        let mut both = false;
        while !bytes.is_empty() {
            match &mut self.state {
                State::Lost => return both,
                State::Body(left) | State::Chunk(left) => {
                    let step = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= step as u64;
                    bytes = &bytes[step..];
                    match self.state {
                        State::Body(0) => self.state = State::Head,
                        State::Chunk(0) => self.state = State::ChunkSize,
                        _ => {}
                    }
                }
                State::Head | State::ChunkSize | State::Trailers => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let part = &bytes[..end.unwrap_or(bytes.len())];
                    self.line.extend(part.iter().take(KEPT - self.line.len().min(KEPT)));
                    bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
                    if end.is_some() {
                        let line = std::mem::take(&mut self.line);
                        both |= self.line(line.trim_ascii());
                    }
                }
            }
        }
        both
    }

    fn line(&mut self, line: &[u8]) -> bool {
        match self.state {
            State::Head if line.is_empty() && self.begun => return self.end_of_head(),
            State::Head => {
                let colon = line.iter().position(|byte| *byte == b':').filter(|_| self.begun);
                self.begun |= !line.is_empty();
                if let Some((name, value)) = colon.map(|colon| (&line[..colon], &line[colon + 1..])) {
                    self.coded |= name.eq_ignore_ascii_case(b"transfer-encoding");
                    if name.eq_ignore_ascii_case(b"content-length") {
                        self.length = Some(number(value.trim_ascii(), 10).unwrap_or(u64::MAX));
                    }
                }
            }
            // The end of the line behind a chunk.
            State::ChunkSize if line.is_empty() => {}
            State::ChunkSize => {
                let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
                self.state = match number(size.trim_ascii(), 16) {
                    Some(0) => State::Trailers,
                    Some(size) => State::Chunk(size),
                    None => State::Lost,
                };
            }
            State::Trailers if line.is_empty() => self.state = State::Head,
            _ => {}
        }
        false
    }

    fn end_of_head(&mut self) -> bool {
        let (length, coded) = (self.length.take(), std::mem::take(&mut self.coded));
        self.begun = false;
        self.state = match length {
            _ if coded => State::ChunkSize,
            Some(length) if length > 0 => State::Body(length),
            _ => State::Head,
        };
        coded && length.is_some()
    }
}

fn number(text: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text).ok()?, radix).ok()
}

/// Follows the heads in what is read from a client.
#[derive(Debug)]
pub(super) struct Watch {
    heads: Heads,
    found: Arc<Found>,
}

impl Watch {
    pub(super) fn new(found: Arc<Found>) -> Self {
        Self { heads: Heads::default(), found }
    }
}

impl Hook for Watch {
    fn read(&mut self, bytes: &[u8]) {
        if !self.found.off.load(Ordering::Relaxed) && self.heads.follow(bytes) {
            self.found.both.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is found, however the bytes are cut.
    fn found(text: &str) -> bool {
        let whole = Heads::default().follow(text.as_bytes());
        for step in [1, 2, 3, 7, 64] {
            let mut heads = Heads::default();
            let found = text.as_bytes().chunks(step).fold(false, |found, part| heads.follow(part) | found);
            assert_eq!(found, whole, "in steps of {step}: {text:?}");
        }
        whole
    }

    #[test]
    fn heads_with_both_are_found_and_bodies_are_not_taken_for_heads() {
        let both = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-LENGTH: 5\r\n\r\n";
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let length = both.len();
        assert!(found(both));
        assert!(found(&format!("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n{both}")));
        assert!(found(&format!("PUT / HTTP/1.1\nContent-Length: 3\n\nabc{both}")));
        assert!(found(&format!("{chunked}3;x=y\r\nabc\r\n0\r\nTrailer: x\r\n\r\n{both}")));
        assert!(!found(&format!("PUT / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{both}")));
        assert!(!found(&format!("{chunked}{length:x}\r\n{both}\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n")));
        assert!(!found("GET /Content-Length:5 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(!found(&format!("{chunked}nonsense\r\n{both}")), "the server ends such a connection");
        let long = "x".repeat(1000);
        assert!(found(&format!(
            "GET /{long} HTTP/1.1\r\nX: {long}\r\nContent-Length: 1\r\nTransfer-Encoding: x\r\n\r\n"
        )));
    }
}
