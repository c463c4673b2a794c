use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures_util::FutureExt as _;
use lepton_core::{Capabilities, Crc, LeafStream, Support, crc};
use proptest::prelude::*;

use super::*;
use crate::auth::aws::credentials::Credentials;
use crate::auth::aws::sign::key::SigningContext;
use crate::auth::aws::sign::request::RequestSigner;
use crate::wire::time::BasicDate;

const SHA256: ServerCheck = ServerCheck::Checksum(ChecksumAlgorithm::Sha256);
const CRC64: ServerCheck = ServerCheck::Checksum(ChecksumAlgorithm::Crc64Nvme);
const NAME: &str = "x-amz-checksum-crc64nvme";

/// A store of unknown capabilities, over a plain connection.
fn unknown() -> Framings<'static> {
    Framings {
        anonymous: false,
        tls: false,
        trailers: false,
        signed_chunks: false,
        sum: None,
        verified: &[ChecksumAlgorithm::Sha256],
        buffer: 3 << 20,
    }
}

/// A store that accepts and verifies everything, over a plain connection.
fn known() -> Framings<'static> {
    let mut capabilities = Capabilities::everything("x");
    capabilities.trailers = Support::Native;
    Framings {
        trailers: true,
        signed_chunks: true,
        sum: Sum::of(&capabilities),
        verified: &[ChecksumAlgorithm::Sha256, ChecksumAlgorithm::Crc64Nvme],
        ..unknown()
    }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i >> 10).to_le_bytes()[0]).collect()
}

fn framed(payload: &Payload, framings: Framings<'_>) -> Result<Framed> {
    Framed::new(payload, framings).now_or_never().unwrap()
}

fn put(len: usize, framings: Framings<'_>) -> Result<Framed> {
    framed(&Payload::Body(Body::from(bytes(len))), framings)
}

fn part(len: usize, framings: Framings<'_>) -> Result<Framed> {
    framed(&Payload::Part(Body::from(bytes(len))), framings)
}

fn signer() -> ChunkSigner {
    let credentials = Arc::new(Credentials::new("id", "secret"));
    let date = BasicDate::new(UNIX_EPOCH + Duration::from_secs(1_369_353_600));
    let context = SigningContext { credentials: &credentials, region: "r", service: "s3", date };
    ChunkSigner::new(RequestSigner::default().sign(&context, "PUT", "/", "", &mut HeaderMap::new(), "x"))
}

fn sent(framed: &Framed) -> Vec<u8> {
    let chunks = match framed {
        Framed::SignedChunks { body, trailer, .. } => Chunks::new(body, Some(signer()), *trailer),
        Framed::Trailer { body, sum, .. } => Chunks::new(body, None, Some(sum)),
        _ => panic!("not in chunks"),
    };
    let pieces: Vec<Bytes> = chunks.try_collect().now_or_never().unwrap().unwrap();
    let wire = pieces.concat();
    assert_eq!(wire.len() as u64, framed.len());
    wire
}

/// How a body is sent: its framing, what carries its checksum, and what the server
/// checks.
fn way(framed: &Framed) -> (&'static str, &'static str, ServerCheck) {
    let mut headers = HeaderMap::new();
    framed.insert_headers(&mut headers);
    let carried = match (headers.get(NAME), headers.get(X_AMZ_TRAILER)) {
        (Some(_), None) => "header",
        (None, Some(name)) if name == NAME => "trailer",
        (None, None) => "none",
        other => panic!("{other:?}"),
    };
    let framing = match framed {
        Framed::Whole { hash, .. } if hash == UNSIGNED_PAYLOAD => "unsigned",
        Framed::Whole { .. } => "whole",
        Framed::SignedChunks { .. } => "signed chunks",
        Framed::Trailer { .. } => "chunks",
        Framed::Plain { .. } => "plain",
    };
    (framing, carried, framed.check())
}

#[test]
fn bodies_carry_their_checksum_in_every_framing_that_can() {
    let with =
        |anonymous, tls, trailers, signed_chunks| Framings { anonymous, tls, trailers, signed_chunks, ..known() };
    let (small, large) = (LEAF_SIZE, LEAF_SIZE + 1);
    for (framings, small_one, large_one) in [
        (with(false, false, true, true), ("whole", "header", SHA256), ("signed chunks", "trailer", SHA256)),
        (with(false, true, true, true), ("whole", "header", SHA256), ("chunks", "trailer", CRC64)),
        (with(false, true, true, false), ("whole", "header", SHA256), ("chunks", "trailer", CRC64)),
        (with(false, false, true, false), ("whole", "header", SHA256), ("whole", "header", SHA256)),
        (with(false, true, false, true), ("whole", "header", SHA256), ("signed chunks", "none", SHA256)),
        (with(false, true, false, false), ("whole", "header", SHA256), ("whole", "header", SHA256)),
        (with(true, false, true, true), ("unsigned", "header", CRC64), ("chunks", "trailer", CRC64)),
        (with(true, true, true, true), ("unsigned", "header", CRC64), ("chunks", "trailer", CRC64)),
        (with(true, true, false, true), ("unsigned", "header", CRC64), ("unsigned", "header", CRC64)),
    ] {
        assert_eq!(way(&put(0, framings).unwrap()), small_one, "{framings:?}");
        assert_eq!(way(&put(small, framings).unwrap()), small_one, "{framings:?}");
        assert_eq!(way(&put(large, framings).unwrap()), large_one, "{framings:?}");
        // Either every part of an upload carries the announced checksum, or none does.
        let carried: Vec<bool> =
            [0, 1, small, large].map(|len| way(&part(len, framings).unwrap()).1 != "none").to_vec();
        assert_eq!(carried, [framings.announced().is_some(); 4], "{framings:?}");
    }
}

#[test]
fn stores_that_are_not_known_to_take_checksums_get_none() {
    let with = |anonymous, signed_chunks| Framings { anonymous, signed_chunks, ..unknown() };
    for (framings, small, large) in [
        (with(false, false), ("whole", "none", SHA256), ("whole", "none", SHA256)),
        (with(false, true), ("whole", "none", SHA256), ("signed chunks", "none", SHA256)),
        (with(true, true), ("plain", "none", ServerCheck::None), ("plain", "none", ServerCheck::None)),
    ] {
        assert_eq!(way(&put(LEAF_SIZE, framings).unwrap()), small);
        assert_eq!(way(&put(LEAF_SIZE + 1, framings).unwrap()), large);
        assert_eq!(framings.announced(), None);
    }
    assert_eq!(put((3 << 20) + 1, unknown()).err().unwrap().kind(), ErrorKind::TooLarge);
}

#[test]
fn only_checksums_that_the_store_compares_are_reported_as_checked() {
    let with = |verified| Framings { verified, ..known() };
    for (verified, check) in [(&[][..], ServerCheck::None), (&[ChecksumAlgorithm::Crc64Nvme][..], CRC64)] {
        assert_eq!(put(3, with(verified)).unwrap().check(), check);
        assert_eq!(put(2 * LEAF_SIZE, with(verified)).unwrap().check(), check);
    }
}

#[test]
fn documents_and_requests_without_a_body_carry_no_checksum() {
    for payload in [Payload::Empty, Payload::Document(Bytes::from_static(b"<x/>"))] {
        assert_eq!(way(&framed(&payload, known()).unwrap()).1, "none");
    }
}

#[test]
fn a_header_states_the_checksum_of_the_whole() {
    for len in [0, 1, LEAF_SIZE - 1, LEAF_SIZE] {
        let mut headers = HeaderMap::new();
        part(len, known()).unwrap().insert_headers(&mut headers);
        let crc = BASE64_STANDARD.encode(crc(Crc::Crc64Nvme, &bytes(len)).to_be_bytes());
        assert_eq!(headers[NAME], crc, "{len}");
    }
}

#[test]
fn a_leaf_that_knows_its_hash_is_not_hashed_again() {
    struct Source;
    impl lepton_core::BodySource for Source {
        fn open(&self) -> LeafStream {
            let leaf = Leaf { pieces: vec![Bytes::from_static(b"abc")], sha256: Some(Sha256([7; 32])) };
            Box::pin(futures_util::stream::iter([Ok(leaf)]))
        }
    }
    let body = |len| Payload::Body(Body::from_source(len, Arc::new(Source)));
    assert_eq!(framed(&body(3), known()).unwrap().hash(), "07".repeat(32));
    let error = framed(&body(4), known()).err().unwrap();
    assert!(error.to_string().contains("gave 3 bytes"), "{error}");
}

#[test]
fn trailers_carry_the_checksum_of_the_whole() {
    let len = 2 * LEAF_SIZE + 5;
    let crc = BASE64_STANDARD.encode(crc(Crc::Crc64Nvme, &bytes(len)).to_be_bytes());
    let wire = sent(&put(len, Framings { tls: true, ..known() }).unwrap());
    assert!(wire.ends_with(format!("\r\n0\r\n{NAME}:{crc}\r\n\r\n").as_bytes()));
    assert!(wire.starts_with(b"100000\r\n"));
    let wire = sent(&put(len, known()).unwrap());
    let end = format!("\r\n{NAME}:{crc}\r\nx-amz-trailer-signature:");
    let at = wire.len() - end.len() - 64 - 4;
    assert!(wire[at..].starts_with(end.as_bytes()) && wire.ends_with(b"\r\n\r\n"));
}

#[test]
fn the_users_encoding_is_preserved_with_the_framing() {
    let framed = put(LEAF_SIZE + 1, Framings { signed_chunks: true, ..unknown() }).unwrap();
    let mut headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
    framed.insert_headers(&mut headers);
    assert_eq!(headers[CONTENT_ENCODING], "aws-chunked,gzip");
    assert_eq!(headers[X_AMZ_DECODED_CONTENT_LENGTH], (LEAF_SIZE + 1).to_string());
}

/// Removes the frames again.
fn unframed(mut wire: &[u8], signed: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let line = wire.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let header = std::str::from_utf8(&wire[..line]).unwrap();
        let (size, signature) = header.split_once(';').unwrap_or((header, ""));
        assert_eq!(signature.len(), if signed { 80 } else { 0 });
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return bytes;
        }
        bytes.extend_from_slice(&wire[line + 2..line + 2 + size]);
        wire = &wire[line + 2 + size + 2..];
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn frames_announce_their_length_and_hold_the_bytes(
        len in LEAF_SIZE + 1..3 * LEAF_SIZE, signed: bool, trailers: bool
    ) {
        let framings = Framings { tls: !signed, trailers: trailers || !signed, ..known() };
        let wire = sent(&put(len, framings).unwrap());
        prop_assert!(unframed(&wire, signed) == bytes(len));
    }
}
