//! The examples of the Amazon S3 API reference, and requests that differ from them.

use std::time::{Duration, SystemTime};

use http::Request;
use http::request::Parts;
use lepton_core::{Sha256, from_hex};
use proptest::prelude::*;

use super::*;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const CREDENTIAL: &str = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");

/// The time at which the examples were signed, and seconds after it.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600 + seconds)
}

fn authenticator() -> Authenticator {
    let pair = ("AKIAIOSFODNN7EXAMPLE".to_owned(), "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned());
    Authenticator { keys: BTreeMap::from([pair]), anonymous: false }
}

fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let request = Request::builder().method(method).uri(uri);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap().into_parts().0
}

/// A request of the examples, which sign all headers that they have.
fn signed(method: &str, uri: &str, headers: &[(&str, &str)], payload: &str, signature: &str) -> Parts {
    let mut headers = headers.to_vec();
    headers.extend([("x-amz-content-sha256", payload), ("x-amz-date", "20130524T000000Z")]);
    headers.sort_unstable();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={CREDENTIAL},SignedHeaders={},Signature={signature}", names.join(";"));
    headers.push(("authorization", &authorization));
    parts(method, uri, &headers)
}

fn code(checked: S3Result<Option<ChunkSigner>>) -> String {
    checked.err().map(|error| error.code.into_owned()).unwrap_or_default()
}

fn get(signature: &str) -> Parts {
    signed("GET", "/test.txt", &[HOST, ("range", "bytes=0-9")], EMPTY, signature)
}

const GET: &str = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";

#[test]
fn the_published_requests_are_accepted() {
    let put = [HOST, ("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")];
    let welcome = Sha256::of(b"Welcome to Amazon S3.").to_string();
    for request in [
        get(GET),
        signed(
            "PUT",
            "/test%24file.text",
            &put,
            &welcome,
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        // What should be escaped and is not, is signed as if it were.
        signed(
            "PUT",
            "/test$file.text",
            &put,
            &welcome,
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        signed(
            "GET",
            "/?lifecycle",
            &[HOST],
            EMPTY,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        signed(
            "GET",
            "/?prefix=J&max-keys=2",
            &[HOST],
            EMPTY,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let checked = authenticator().check(&request, at(0));
        assert!(checked.unwrap().is_some(), "{request:?}");
    }
}

#[test]
fn requests_that_differ_from_the_signed_one_are_refused() {
    let check = |parts: Parts| code(authenticator().check(&parts, at(0)));
    assert_eq!(check(get(GET)), "");
    assert_eq!(check(get(&GET.replace('f', "0"))), "SignatureDoesNotMatch");
    assert_eq!(check(get("f0e8")), "AuthorizationHeaderMalformed");
    let with = |change: &dyn Fn(&mut Parts)| {
        let mut parts = get(GET);
        change(&mut parts);
        check(parts)
    };
    assert_eq!(with(&|parts| parts.method = http::Method::HEAD), "SignatureDoesNotMatch");
    assert_eq!(with(&|parts| parts.uri = "/other.txt".parse().unwrap()), "SignatureDoesNotMatch");
    assert_eq!(with(&|parts| parts.uri = "/test.txt?acl".parse().unwrap()), "SignatureDoesNotMatch");
    let header = |name: &'static str, value: &'static str| {
        with(&|parts| drop(parts.headers.insert(name, value.parse().unwrap())))
    };
    assert_eq!(header("range", "bytes=0-8"), "SignatureDoesNotMatch");
    assert_eq!(header("range", "  bytes=0-9 "), "");
    assert_eq!(header("x-amz-date", "20130524T000001Z"), "SignatureDoesNotMatch");
    assert_eq!(header("x-amz-date", "20130525T000000Z"), "SignatureDoesNotMatch");
    assert_eq!(header("x-amz-date", "2013-05-24"), "AuthorizationHeaderMalformed");
    assert_eq!(header("x-amz-security-token", "any"), "AccessDenied");
    assert_eq!(header("x-amz-copy-source", "/other/key"), "AccessDenied");
    assert_eq!(header("x-other", "any"), "");
    assert_eq!(header("authorization", "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo"), "InvalidRequest");
    assert_eq!(with(&|parts| drop(parts.headers.remove("range"))), "AccessDenied");
    assert_eq!(with(&|parts| drop(parts.headers.remove("x-amz-date"))), "InvalidRequest");
    assert_eq!(with(&|parts| drop(parts.headers.remove("authorization"))), "AccessDenied");
    let unknown = |text: &str| text.replace("AKIA", "OTHER");
    assert_eq!(
        with(&|parts| {
            let changed = unknown(parts.headers["authorization"].to_str().unwrap());
            parts.headers.insert("authorization", changed.parse().unwrap());
        }),
        "InvalidAccessKeyId"
    );
}

#[test]
fn the_clocks_may_differ_by_a_quarter_of_an_hour() {
    for (now, expected) in [
        (at(15 * 60), ""),
        (at(15 * 60 + 1), "RequestTimeTooSkewed"),
        (at(0) - Duration::from_secs(15 * 60), ""),
        (at(0) - Duration::from_secs(15 * 60 + 1), "RequestTimeTooSkewed"),
    ] {
        assert_eq!(code(authenticator().check(&get(GET), now)), expected);
    }
}

#[test]
fn a_presigned_request_is_valid_until_it_expires() {
    let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400\
         &X-Amz-SignedHeaders=host&X-Amz-Signature={signature}",
        CREDENTIAL.replace('/', "%2F")
    );
    let check = |query: &str, now| {
        let request = parts("GET", &format!("/test.txt?{query}"), &[HOST]);
        code(authenticator().check(&request, now))
    };
    assert_eq!(check(&query, at(86_400)), "");
    let of_body = format!("{query}&X-Amz-Content-Sha256={EMPTY}");
    assert_eq!(check(&of_body, at(0)), "InvalidRequest");
    let checked = parts("GET", &format!("/test.txt?{of_body}"), &[HOST, ("x-amz-content-sha256", EMPTY)]);
    assert_eq!(code(authenticator().check(&checked, at(0))), "SignatureDoesNotMatch");
    let copy = parts("PUT", &format!("/test.txt?{query}"), &[HOST, ("x-amz-copy-source", "/other/key")]);
    assert_eq!(code(authenticator().check(&copy, at(0))), "AccessDenied");
    assert_eq!(check(&query, at(86_401)), "AccessDenied");
    assert_eq!(check(&query, at(0) - Duration::from_secs(1000)), "RequestTimeTooSkewed");
    assert_eq!(check(&query.replace("86400", "86401"), at(0)), "SignatureDoesNotMatch");
    assert_eq!(check(&format!("{query}&versionId=1"), at(0)), "SignatureDoesNotMatch");
    for (from, to) in [
        ("86400", "604801"),
        ("86400", "-1"),
        ("HMAC-SHA256", "ECDSA-P256-SHA256"),
        ("X-Amz-Date=", "Date="),
        (signature, "xyz"),
        ("%2Fs3%2F", "%2Fsts%2F"),
    ] {
        assert_eq!(check(&query.replace(from, to), at(0)), "AuthorizationQueryParametersError", "{to}");
    }
}

#[test]
fn the_published_chunks_are_accepted() {
    let headers = [
        ("host", "s3.amazonaws.com"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
    ];
    let with = |header, payload, seed| {
        let request =
            signed("PUT", "/examplebucket/chunkObject.txt", &[&headers[..], &[header]].concat(), payload, seed);
        authenticator().check(&request, at(0)).unwrap().unwrap()
    };
    let mut plain = with(
        ("content-length", "66824"),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    );
    let mut trailed = with(
        ("x-amz-trailer", "x-amz-checksum-crc32c"),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    );
    for (bytes, of_plain, of_trailed) in [
        (
            65_536,
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        ),
        (
            1_024,
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        ),
        (
            0,
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ),
    ] {
        let chunk = Sha256::of(&vec![b'a'; bytes]);
        assert!(plain.signed_chunk(chunk, &from_hex(of_plain).unwrap()), "{bytes}");
        assert!(trailed.signed_chunk(chunk, &from_hex(of_trailed).unwrap()), "{bytes}");
    }
    let trailer = from_hex("d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435").unwrap();
    assert!(!plain.signed_trailer("x-amz-checksum-crc32c:sOO8/Q==\n", &trailer));
    assert!(trailed.signed_trailer("x-amz-checksum-crc32c:sOO8/Q==\n", &trailer));
}

proptest! {
    #[test]
    fn no_authorization_panics(text in "(AWS4-HMAC-SHA256 )?(Credential=|SignedHeaders=|Signature=|[a-f0-9]{64}|/|s3|aws4_request|[,;= ]|host|\\PC){0,20}", date in "[0-9TZ]{0,17}|\\PC*") {
        let request = Request::builder().uri("/").header("host", "h").header("x-amz-content-sha256", EMPTY);
        if let Ok(request) = request.header("authorization", &text).header("x-amz-date", &date).body(()) {
            let _ = authenticator().check(&request.into_parts().0, at(0));
        }
    }

    #[test]
    fn no_query_panics(text in "(X-Amz-Signature|X-Amz-Date|X-Amz-Credential|X-Amz-Expires|=|&|%2F|%|[0-9A-Za-z]){0,20}") {
        if let Ok(request) = Request::builder().uri(format!("/?X-Amz-Signature={text}")).body(()) {
            let _ = authenticator().check(&request.into_parts().0, at(0));
        }
    }
}
