//! The REST API of Azure Blob Storage, one container of one account, addressed by path.

use std::fmt::Write as _;

use super::{Answer, Object, Request, Server, plain};

const XML: &str = "Content-Type: application/xml\r\n";
const WRITTEN: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
const PAGE: usize = 5000;

pub(super) fn answer(server: &Server, request: &Request) -> Answer {
    let mut segments = request.path.trim_start_matches('/').splitn(3, '/').skip(2);
    let key = plain(segments.next().unwrap_or_default());
    match (request.method.as_str(), request.get("restype"), request.get("comp")) {
        ("GET", Some("container"), Some("list")) => Answer::of("200 OK", XML, page(server, request)),
        ("GET" | "HEAD", Some("container"), None) => Answer::of("200 OK", &stamp("container"), String::new()),
        ("PUT", Some("container"), None) => Answer::of("201 Created", &stamp("container"), String::new()),
        ("PUT", None, None) if request.header("x-ms-blob-type") == Some("BlockBlob") => {
            let md5 = request.header("x-ms-blob-content-md5").or_else(|| request.header("content-md5"));
            let object = server.put(key, request.body.clone(), md5);
            Answer::of("201 Created", &stamp(&object.generation.to_string()), String::new())
        }
        ("GET" | "HEAD", None, None) => match server.get(&key) {
            Some(object) => {
                let headers = format!("{}x-ms-blob-type: BlockBlob\r\nAccept-Ranges: bytes\r\n", described(&object));
                request.media(object, headers)
            }
            None => refusal("404 The specified blob does not exist.", "BlobNotFound"),
        },
        ("DELETE", None, None) => match server.objects().remove(&key) {
            Some(_) => Answer::of("202 Accepted", "", String::new()),
            None => refusal("404 The specified blob does not exist.", "BlobNotFound"),
        },
        _ => refusal("501 Not Implemented", "NotImplemented"),
    }
}

fn stamp(tag: &str) -> String {
    format!("ETag: \"{tag}\"\r\nLast-Modified: {WRITTEN}\r\nx-ms-version: 2021-12-02\r\n")
}

fn described(object: &Object) -> String {
    format!("{}Content-MD5: {}\r\n", stamp(&object.generation.to_string()), object.md5())
}

fn page(server: &Server, request: &Request) -> String {
    let most = request.get("maxresults").and_then(|most| most.parse().ok()).unwrap_or(PAGE).min(PAGE);
    let page = server.page(request, request.get("marker").unwrap_or_default(), most);
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>");
    for (name, object) in page.objects {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "<Blob><Name>{name}</Name><Properties><Last-Modified>{WRITTEN}</Last-Modified><Etag>{}</Etag>\
             <Content-Length>{}</Content-Length><Content-Type>application/octet-stream</Content-Type>\
             <Content-MD5>{}</Content-MD5><BlobType>BlockBlob</BlobType></Properties></Blob>",
            object.generation,
            object.bytes.len(),
            object.md5()
        );
    }
    for folder in page.folders {
        let _ = write!(text, "<BlobPrefix><Name>{folder}</Name></BlobPrefix>");
    }
    let _ = write!(text, "</Blobs><NextMarker>{}</NextMarker></EnumerationResults>", page.next.unwrap_or_default());
    text
}

fn refusal(status: &'static str, code: &str) -> Answer {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>a synthetic server</Message></Error>");
    Answer::of(status, &format!("{XML}x-ms-error-code: {code}\r\n"), body)
}
