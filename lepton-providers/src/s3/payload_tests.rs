use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::FutureExt as _;
use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::s3::credentials::Credentials;
use crate::s3::sign::{RequestSigner, SigningContext};
use crate::s3::time::AmzDate;

fn framings() -> Framings<'static> {
    Framings {
        anonymous: false,
        trailers: false,
        signed_chunks: false,
        verified: &[ChecksumAlgorithm::Sha256],
        buffer: 3 << 20,
    }
}

fn framed(len: usize, framings: Framings<'_>) -> Result<Framed> {
    let bytes: Vec<u8> = (0..len).map(|i| (i >> 10).to_le_bytes()[0]).collect();
    Framed::new(&Payload::Body(Body::from(bytes)), framings).now_or_never().unwrap()
}

fn signer() -> ChunkSigner {
    let credentials = Arc::new(Credentials::new("id", "secret"));
    let date = AmzDate::new(UNIX_EPOCH + Duration::from_secs(1_369_353_600));
    let context = SigningContext { credentials: &credentials, region: "r", service: "s3", date };
    RequestSigner::default().sign(&context, "PUT", "/", "", &mut HeaderMap::new(), "x")
}

fn sent(framed: &Framed) -> Vec<u8> {
    let (Framed::SignedChunks { body, .. } | Framed::Trailer { body, .. }) = framed else { panic!("not chunked") };
    let check = match framed {
        Framed::Trailer { .. } => Check::Trailer { crc: 0 },
        _ => Check::Signed(signer()),
    };
    let chunks = Chunks { leaves: body.open(), check, queue: VecDeque::new(), begun: false, ended: false };
    let pieces: Vec<Bytes> = chunks.try_collect().now_or_never().unwrap().unwrap();
    let wire = pieces.concat();
    assert_eq!(wire.len() as u64, framed.len());
    wire
}

#[test]
fn the_framing_follows_size_and_store() {
    let (small, large) = (LEAF_SIZE, LEAF_SIZE + 1);
    let with = |trailers, signed_chunks| Framings { trailers, signed_chunks, ..framings() };
    assert!(matches!(framed(small, with(true, true)).unwrap(), Framed::Whole { .. }));
    assert!(matches!(framed(large, with(true, true)).unwrap(), Framed::Trailer { .. }));
    assert!(matches!(framed(large, with(false, true)).unwrap(), Framed::SignedChunks { .. }));
    assert!(matches!(framed(large, with(false, false)).unwrap(), Framed::Whole { .. }));
    assert_eq!(framed((3 << 20) + 1, with(false, false)).err().unwrap().kind(), ErrorKind::TooLarge);
    let anonymous = Framings { anonymous: true, ..with(true, true) };
    assert!(matches!(framed(large, anonymous).unwrap(), Framed::Plain { .. }));
    assert_eq!(framed(small, framings()).unwrap().check(), ServerCheck::Checksum(ChecksumAlgorithm::Sha256));
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
    let body = Body::from_source(3, Arc::new(Source));
    let framed = Framed::new(&Payload::Body(body), framings()).now_or_never().unwrap().unwrap();
    assert_eq!(framed.hash(), "07".repeat(32));
    let short = Body::from_source(4, Arc::new(Source));
    let error = Framed::new(&Payload::Body(short), framings()).now_or_never().unwrap().err().unwrap();
    assert!(error.to_string().contains("gave 3 bytes"), "{error}");
}

#[test]
fn trailers_carry_the_checksum_of_the_whole() {
    let wire = sent(&framed(2 * LEAF_SIZE + 5, Framings { trailers: true, ..framings() }).unwrap());
    let bytes: Vec<u8> = (0..2 * LEAF_SIZE + 5).map(|i| (i >> 10).to_le_bytes()[0]).collect();
    let crc = BASE64_STANDARD.encode(crc(Crc::Crc64Nvme, &bytes).to_be_bytes());
    let end = format!("\r\n0\r\nx-amz-checksum-crc64nvme:{crc}\r\n\r\n");
    assert!(wire.ends_with(end.as_bytes()));
    assert!(wire.starts_with(b"100000\r\n"));
}

#[test]
fn the_users_encoding_is_kept_beside_the_framing() {
    let framed = framed(LEAF_SIZE + 1, Framings { signed_chunks: true, ..framings() }).unwrap();
    let mut headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
    framed.insert_headers(&mut headers);
    assert_eq!(headers[CONTENT_ENCODING], "aws-chunked,gzip");
    assert_eq!(headers[X_AMZ_DECODED_CONTENT_LENGTH], (LEAF_SIZE + 1).to_string());
}

/// Takes the frames off again.
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
    fn frames_announce_their_length_and_hold_the_bytes(len in LEAF_SIZE + 1..3 * LEAF_SIZE, signed: bool) {
        let framings = Framings { trailers: !signed, signed_chunks: signed, ..framings() };
        let wire = sent(&framed(len, framings).unwrap());
        let bytes: Vec<u8> = (0..len).map(|i| (i >> 10).to_le_bytes()[0]).collect();
        prop_assert!(unframed(&wire, signed) == bytes);
    }
}
