//! The JSON API of Google Cloud Storage, one bucket.

use serde_json::{Value, json};

use super::{Answer, Object, Request, Server, plain};

const JSON: &str = "Content-Type: application/json\r\n";
const PAGE: usize = 1000;

pub(super) fn answer(server: &Server, request: &Request) -> Answer {
    let segments: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("POST", ["storage", "v1", "b"]) | ("GET", ["storage", "v1", "b", _]) => said(&json!({ "name": "bench" })),
        ("GET", ["storage", "v1", "b", _, "o"]) => said(&page(server, request)),
        ("POST", ["upload", "storage", "v1", "b", _, "o"]) => match parts(request) {
            Some((name, bytes)) => said(&resource(server, &name, &server.put(name.clone(), bytes, None))),
            None => refusal("400 Bad Request"),
        },
        (method, ["storage", "v1", "b", _, "o", name]) => {
            let name = plain(name);
            match (method, server.get(&name)) {
                (_, None) => refusal("404 Not Found"),
                ("DELETE", Some(_)) => {
                    server.objects().remove(&name);
                    Answer::of("204 No Content", "", String::new())
                }
                (_, Some(object)) if request.get("alt") == Some("media") => {
                    let headers = described(&object);
                    request.media(object, headers)
                }
                (_, Some(object)) => said(&resource(server, &name, &object)),
            }
        }
        _ => refusal("501 Not Implemented"),
    }
}

/// The name and the bytes in a two-part body: the object's metadata, and its content.
fn parts(request: &Request) -> Option<(String, Vec<u8>)> {
    let boundary = request.header("content-type")?.split_once("boundary=")?.1.trim_matches('"');
    let (body, boundary) = (request.body.as_slice(), format!("--{boundary}"));
    let find =
        |from: usize, what: &[u8]| body[from..].windows(what.len()).position(|at| at == what).map(|at| from + at);
    let first = find(0, b"\r\n\r\n")? + 4;
    let end = find(first, boundary.as_bytes())?;
    let described: Value = serde_json::from_slice(&body[first..end]).ok()?;
    let begin = find(end, b"\r\n\r\n")? + 4;
    // The closing boundary, and the line break before it.
    let tail = body.len().checked_sub(boundary.len() + 8)?;
    let last = tail + body[tail..].windows(boundary.len() + 2).position(|at| at[2..] == *boundary.as_bytes())?;
    Some((described.get("name")?.as_str()?.to_owned(), body.get(begin..last)?.to_vec()))
}

fn described(object: &Object) -> String {
    format!(
        "x-goog-generation: {}\r\nx-goog-hash: crc32c={},md5={}\r\nContent-Type: application/octet-stream\r\n\
         Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n",
        object.generation,
        object.crc32c(),
        object.md5()
    )
}

fn resource(server: &Server, name: &str, object: &Object) -> Value {
    let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    json!({
        "kind": "storage#object", "bucket": "bench", "name": name, "contentType": "application/octet-stream",
        "generation": object.generation.to_string(), "metageneration": "1", "storageClass": "STANDARD",
        "size": object.bytes.len().to_string(), "md5Hash": object.md5(), "crc32c": object.crc32c(),
        "updated": "2026-01-01T00:00:00Z", "timeCreated": "2026-01-01T00:00:00Z",
        "mediaLink": format!("{}/storage/v1/b/bench/o/{encoded}?alt=media", server.endpoint),
    })
}

fn page(server: &Server, request: &Request) -> Value {
    let most = request.get("maxResults").and_then(|most| most.parse().ok()).unwrap_or(PAGE).min(PAGE);
    let page = server.page(request, request.get("pageToken").unwrap_or_default(), most);
    let items: Vec<Value> = page.objects.iter().map(|(name, object)| resource(server, name, object)).collect();
    let mut listed = json!({ "kind": "storage#objects", "items": items, "prefixes": page.folders });
    if let Some(next) = page.next {
        listed["nextPageToken"] = json!(next);
    }
    listed
}

fn said(body: &Value) -> Answer {
    Answer::of("200 OK", JSON, body.to_string())
}

fn refusal(status: &'static str) -> Answer {
    let body = json!({ "error": { "message": "a synthetic server", "errors": [] } });
    Answer::of(status, JSON, body.to_string())
}
