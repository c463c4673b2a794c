//! Bodies in frames and without, in pieces of any size, whole and broken.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http_body::Frame;
use http_body_util::StreamBody;
use lepton_core::{Crc, crc};
use proptest::prelude::*;

use super::*;

const UNSIGNED: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const CRC32: &str = "x-amz-checksum-crc32";

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
}

/// A body that arrives in these pieces.
fn arriving(pieces: &[&[u8]]) -> Payload {
    let pieces: Vec<_> = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
    let frames = stream::iter(pieces.into_iter().map(|piece| Ok::<_, std::io::Error>(Frame::data(piece))));
    Payload { body: Body::new(StreamBody::new(frames)), signer: None }
}

/// What a storage reads, or the code of the error.
fn read(payload: Payload, headers: &HeaderMap) -> Result<Vec<u8>, String> {
    let read = async {
        let mut content = Vec::new();
        let ingested = payload.ingest(headers).await.map_err(|error| error.code.into_owned())?;
        let mut leaves = ingested.body.open();
        while let Some(leaf) = leaves.next().await {
            let leaf = leaf.map_err(|error| error.code().unwrap_or_default().to_owned())?;
            leaf.pieces.iter().for_each(|piece| content.extend_from_slice(piece));
        }
        Ok(content)
    };
    futures_util::FutureExt::now_or_never(read).expect("everything has arrived")
}

fn framed(body: &str, len: usize, more: &[(&'static str, &str)]) -> Result<Vec<u8>, String> {
    let len = len.to_string();
    let stated = [("x-amz-content-sha256", UNSIGNED), ("x-amz-decoded-content-length", len.as_str())];
    read(arriving(&[body.as_bytes()]), &headers(&[&stated[..], more].concat()))
}

fn crc32(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(&crc(Crc::Crc32, bytes).to_be_bytes()[4..])
}

#[test]
fn frames_are_taken_apart() {
    for body in [
        "5\r\nhello\r\n0\r\n\r\n",
        "2\r\nhe\r\n003;chunk-signature=abc\r\nllo\r\n0\r\n",
        "5\r\nhello\r\n0\r\n\r\nx-other:1\n\r\n\r\n",
    ] {
        assert_eq!(framed(body, 5, &[]).as_deref(), Ok(&b"hello"[..]), "{body:?}");
    }
}

#[test]
fn broken_frames_are_incomplete() {
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(2000));
    for body in [
        "",
        "5",
        "5\r\n",
        "5\r\nhell",
        "5\r\nhello",
        "5\r\nhello\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "x\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "10000000000000000\r\nhello\r\n0\r\n\r\n",
        "6\r\nhello!\r\n0\r\n\r\n",
        "4\r\nhell\r\n0\r\n\r\n",
        &long,
    ] {
        assert_eq!(framed(body, 5, &[]), Err("IncompleteBody".to_owned()), "{body:?}");
    }
}

#[test]
fn trailers_are_compared() {
    let announced = [("x-amz-trailer", CRC32)];
    let with = |trailer: &str| format!("5\r\nhello\r\n0\r\n{trailer}\r\n");
    let right = with(&format!("X-Amz-Checksum-Crc32: {} \r\n", crc32(b"hello")));
    assert!(framed(&right, 5, &announced).is_ok());
    for (trailer, more, code) in [
        (format!("{CRC32}:{}\r\n", crc32(b"other")), &announced[..], "BadDigest"),
        (format!("{CRC32}:{}\r\n", crc32(b"hello")), &[], "MalformedTrailerError"),
        (format!("{CRC32}:?\r\n"), &announced, "MalformedTrailerError"),
        (String::new(), &announced, "MalformedTrailerError"),
        ("no colon\r\n".to_owned(), &[], "MalformedTrailerError"),
        ("x:".to_owned() + &"y".repeat(20_000), &[], "MalformedTrailerError"),
        (String::new(), &[("x-amz-trailer", "x-amz-checksum-crc16")], "InvalidRequest"),
    ] {
        assert_eq!(framed(&with(&trailer), 5, more), Err(code.to_owned()), "{trailer:.50} {more:?}");
    }
}

#[test]
fn the_headers_are_compared_with_the_body() {
    let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let check = |body: &[u8], stated: &[(&'static str, &str)]| {
        read(arriving(&[body]), &headers(stated)).err().unwrap_or_default()
    };
    let len = ("content-length", "5");
    assert_eq!(check(b"hello", &[len, ("x-amz-content-sha256", hello)]), "");
    assert_eq!(check(b"hello", &[len, ("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00=")]), "");
    assert_eq!(check(b"hullo", &[len, ("x-amz-content-sha256", hello)]), "XAmzContentSHA256Mismatch");
    assert_eq!(check(b"hullo", &[len, ("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00=")]), "BadDigest");
    assert_eq!(check(b"hello", &[len, ("x-amz-checksum-sha1", "sOO8/Q==")]), "InvalidDigest");
    assert_eq!(check(b"hello", &[len, ("x-amz-content-sha256", "abc")]), "InvalidDigest");
    assert_eq!(
        check(b"hello", &[len, ("x-amz-content-sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")]),
        "NotImplemented"
    );
    assert_eq!(
        check(b"hello", &[len, ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")]),
        "InvalidRequest"
    );
    assert_eq!(check(b"hello", &[]), "MissingContentLength");
    assert_eq!(check(b"hello", &[len, ("x-amz-content-sha256", UNSIGNED)]), "MissingContentLength");
    assert_eq!(check(b"hello", &[("content-length", "-5")]), "InvalidArgument");
    assert_eq!(check(b"hell", &[len]), "IncompleteBody");
    assert_eq!(check(b"hello!", &[len]), "IncompleteBody");
}

#[tokio::test]
async fn documents_are_limited_and_checked() {
    let document = |len: &str, stated: &[(&'static str, &str)]| {
        let headers = headers(&[&[("content-length", len)], stated].concat());
        async move { arriving(&[b"hello"]).document(&headers).await.map_err(|error| error.code.into_owned()) }
    };
    let crc = crc32(b"other");
    assert_eq!(document("5", &[]).await.as_deref(), Ok(&b"hello"[..]));
    assert_eq!(document("4194305", &[]).await, Err("MaxMessageLengthExceeded".to_owned()));
    assert_eq!(document("5", &[(CRC32, &crc)]).await, Err("BadDigest".to_owned()));
    let of_object = headers(&[("content-length", "5"), (CRC32, &crc)]);
    assert!(arriving(&[b"hello"]).document_about_object(&of_object).await.is_ok());
}

proptest! {
    #[test]
    fn no_frames_panic_and_pieces_make_no_difference(
        body in "([0-9a-f]{1,2}|\r\n|;chunk-signature=|:|x-amz-checksum-crc32|hello|\\PC){0,40}",
        cuts in proptest::collection::vec(1usize..8, 0..20),
        len in 0usize..20,
    ) {
        let whole = framed(&body, len, &[]);
        let mut rest = body.as_bytes();
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, more) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        pieces.push(rest);
        let len = len.to_string();
        let headers = headers(&[("x-amz-content-sha256", UNSIGNED), ("x-amz-decoded-content-length", &len)]);
        prop_assert_eq!(read(arriving(&pieces), &headers), whole);
    }

    #[test]
    fn content_survives_its_frames(chunks: Vec<Vec<u8>>) {
        let mut body = Vec::new();
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            body.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            body.extend(chunk);
            body.extend(b"\r\n");
        }
        let content = chunks.concat();
        body.extend(format!("0\r\n{CRC32}:{}\r\n\r\n", crc32(&content)).into_bytes());
        let len = content.len().to_string();
        let headers = headers(&[
            ("x-amz-content-sha256", UNSIGNED),
            ("x-amz-decoded-content-length", &len),
            ("x-amz-trailer", CRC32),
        ]);
        prop_assert_eq!(read(arriving(&[&body]), &headers), Ok(content));
    }
}
