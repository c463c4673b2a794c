//! The frames of `aws-chunked`: each chunk has a line with its length and perhaps its
//! signature; after the last one, which is empty, comes the trailer.
//!
//! The decoder does no input and output: it takes bytes as they arrive, in pieces of any size,
//! and returns the content in slices of them. A chunk is not collected, however long it is, so
//! its signature is checked after its last byte was returned.

use bytes::{Buf as _, Bytes};
use lepton_core::{ErrorKind, Result, Sha256, from_hex};
use ring::digest::{Context, SHA256};

use super::refusal::refused;
use crate::auth::ChunkSigner;

/// The longest line before a chunk. A length and a signature have about 100 bytes.
const LONGEST_LINE: usize = 1 << 10;
const LONGEST_TRAILER: usize = 16 << 10;

/// The names, in lower case, and values after the last chunk.
pub(super) type Trailer = Vec<(String, String)>;

pub(super) struct Chunks {
    /// `None` if the chunks have no signatures.
    signer: Option<ChunkSigner>,
    /// Whether there may be a trailer.
    trailed: bool,
    state: State,
    /// The beginning of a line, or of the trailer.
    line: Vec<u8>,
    signature: Vec<u8>,
    hasher: Context,
}

enum State {
    Line,
    Content { left: u64 },
    End,
    Trailer,
}

impl Chunks {
    pub(super) fn unsigned() -> Self {
        Self::new(None, true)
    }

    pub(super) fn signed(signer: ChunkSigner, trailed: bool) -> Self {
        Self::new(Some(signer), trailed)
    }

    fn new(signer: Option<ChunkSigner>, trailed: bool) -> Self {
        let (line, signature) = (Vec::new(), Vec::new());
        Self { signer, trailed, state: State::Line, line, signature, hasher: Context::new(&SHA256) }
    }

    /// The next bytes of the content. `None` if `input`, which is consumed, has no more of it.
    pub(super) fn decode(&mut self, input: &mut Bytes) -> Result<Option<Bytes>> {
        while !input.is_empty() {
            match self.state {
                State::Line => {
                    if let Some(line) = self.take_line(input)? {
                        let left = self.begin(&line)?;
                        self.state = if left > 0 { State::Content { left } } else { State::Trailer };
                    }
                }
                State::Content { left } => {
                    let len = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                    let piece = input.split_to(len);
                    if self.signer.is_some() {
                        self.hasher.update(&piece);
                    }
                    let left = left - len as u64;
                    self.state = if left > 0 { State::Content { left } } else { State::End };
                    return Ok(Some(piece));
                }
                State::End => match self.take_line(input)? {
                    Some(line) if !line.is_empty() => return Err(malformed("a chunk is longer than it says")),
                    Some(_) => {
                        self.check_signature()?;
                        self.state = State::Line;
                    }
                    None => {}
                },
                State::Trailer => {
                    self.line.extend_from_slice(input);
                    input.clear();
                    if self.line.len() > LONGEST_TRAILER {
                        return Err(malformed_trailer("the trailer is too long"));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Checks the end, when there is no more input.
    pub(super) fn finish(&mut self) -> Result<Trailer> {
        if !matches!(self.state, State::Trailer) {
            return Err(malformed("the last chunk did not come"));
        }
        let (trailer, signature) = parse_trailer(&self.line)?;
        if !self.trailed && !self.line.trim_ascii().is_empty() {
            return Err(malformed_trailer("there is a trailer, which x-amz-content-sha256 does not announce"));
        }
        if let Some(signer) = self.signer.as_mut().filter(|_| !trailer.is_empty()) {
            let lines: String = trailer.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
            if !signature.is_some_and(|signature| signer.signed_trailer(&lines, &signature)) {
                return Err(forged("the trailer is not what its signature says"));
            }
        }
        Ok(trailer)
    }

    /// A line without its end; `None` if more input is needed.
    fn take_line(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(input.len(), |end| end + 1);
        if self.line.len() + taken > LONGEST_LINE {
            return Err(malformed("the line before a chunk is too long"));
        }
        self.line.extend_from_slice(&input[..taken]);
        input.advance(taken);
        if end.is_none() {
            return Ok(None);
        }
        match std::mem::take(&mut self.line).strip_suffix(b"\r\n") {
            Some(line) => Ok(Some(line.to_vec())),
            None => Err(malformed("a line ends without a carriage return")),
        }
    }

    /// Reads the line before a chunk, and returns the length of the chunk.
    fn begin(&mut self, line: &[u8]) -> Result<u64> {
        let line = std::str::from_utf8(line).map_err(|_| malformed("the line before a chunk is not text"))?;
        let (len, extension) = line.split_once(';').unwrap_or((line, ""));
        let digits = len.bytes().all(|digit| digit.is_ascii_hexdigit());
        let len = u64::from_str_radix(len, 16).ok().filter(|_| digits);
        let len = len.ok_or_else(|| malformed("a chunk does not say how long it is"))?;
        if self.signer.is_some() {
            let signature = extension.strip_prefix("chunk-signature=").and_then(from_hex);
            self.signature = signature.ok_or_else(|| malformed("a chunk has no signature"))?;
        }
        if len == 0 {
            self.check_signature()?;
        }
        Ok(len)
    }

    fn check_signature(&mut self) -> Result<()> {
        let Some(signer) = &mut self.signer else { return Ok(()) };
        let hasher = std::mem::replace(&mut self.hasher, Context::new(&SHA256));
        let digest = hasher.finish().as_ref().try_into().map(Sha256);
        if digest.is_ok_and(|digest| signer.signed_chunk(digest, &self.signature)) {
            return Ok(());
        }
        Err(forged("a chunk is not what its signature says"))
    }
}

/// The trailer, sorted as it is signed, and its signature. Empty lines may be anywhere, as some
/// clients send one before the signature.
fn parse_trailer(bytes: &[u8]) -> Result<(Trailer, Option<Vec<u8>>)> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed_trailer("the trailer is not text"))?;
    let (mut trailer, mut signature) = (Trailer::new(), None);
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| malformed_trailer("a trailer has no value"))?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        if name == "x-amz-trailer-signature" {
            signature = from_hex(value);
        } else {
            trailer.push((name, value.to_owned()));
        }
    }
    trailer.sort();
    Ok((trailer, signature))
}

fn malformed(message: &'static str) -> lepton_core::Error {
    refused("IncompleteBody", ErrorKind::InvalidInput, message)
}

fn malformed_trailer(message: &'static str) -> lepton_core::Error {
    refused("MalformedTrailerError", ErrorKind::InvalidInput, message)
}

fn forged(message: &'static str) -> lepton_core::Error {
    refused("SignatureDoesNotMatch", ErrorKind::ChecksumMismatch, message)
}
