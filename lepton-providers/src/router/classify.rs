//! What a request does: whether it may write, and whether it may be sent again.

use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use super::config::{Access, RouteRule};

/// Headers by which some servers take a request for one of another method.
const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) writes: bool,
    pub(super) again: bool,
}

/// Classifies a request. A write is every method but GET, HEAD and OPTIONS, and every WebSocket,
/// unless a rule decides otherwise.
///
/// A server may read a path other than as written: `/a/%62` and `/a/./b` as `/a/b`. A
/// path is therefore looked up as written and in its plain form, and the request may write
/// if the rules for either form decide so.
pub(super) fn classify(
    rules: &[RouteRule],
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    websocket: bool,
) -> Class {
    let class = |path: &str| {
        let matches =
            |rule: &&RouteRule| rule.method.as_ref().is_none_or(|of| of == method.as_str()) && below(&rule.path, path);
        match rules.iter().find(matches).map(|rule| rule.access) {
            Some(Access::Writes) => Class { writes: true, again: false },
            Some(Access::Reads) => Class { writes: false, again: true },
            Some(Access::Idempotent) => Class { writes: true, again: true },
            None => {
                let safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) && !websocket;
                Class { writes: !safe, again: safe }
            }
        }
    };
    if OVERRIDES.iter().any(|name| headers.contains_key(*name)) {
        return Class { writes: true, again: false };
    }
    let written = class(path);
    match plain(path) {
        Some(plain) if plain != path => {
            let other = class(&plain);
            Class { writes: written.writes || other.writes, again: written.again && other.again }
        }
        Some(_) => written,
        None => Class { writes: true, again: false },
    }
}

/// Whether a path is that of a rule or below it.
fn below(rule: &str, path: &str) -> bool {
    let rule = rule.trim_end_matches('/');
    path.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ';']))
}

/// The path as the most lenient server reads it; `None` if that cannot be determined.
fn plain(path: &str) -> Option<String> {
    let mut path = path.to_owned();
    // Some servers decode more than once.
    for _ in 0..4 {
        let decoded = percent_decode_str(&path).decode_utf8().ok()?.into_owned();
        if decoded == path {
            return Some(segments(&path.replace('\\', "/")));
        }
        path = decoded;
    }
    None
}

fn segments(path: &str) -> String {
    let mut kept = Vec::new();
    for part in path.split('/') {
        // What follows a semicolon is a parameter for some servers, and not part of the name.
        match part.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_rules_and_disguised_paths() {
        let rules = [
            RouteRule::new("/search", Some("POST"), Access::Reads),
            RouteRule::new("/cron", None, Access::Writes),
            RouteRule::new("/put", Some("PUT"), Access::Idempotent),
        ];
        let class = |method: &str, path| {
            let class = classify(&rules, &method.parse().unwrap(), path, &HeaderMap::new(), false);
            (class.writes, class.again)
        };
        let (write, read, idempotent) = ((true, false), (false, true), (true, true));
        for (method, path, expected) in [
            ("GET", "/", read),
            ("HEAD", "/x", read),
            ("OPTIONS", "*", read),
            ("POST", "/", write),
            ("DELETE", "/x", write),
            ("TRACE", "/x", write),
            ("get", "/x", write),
            ("POST", "/search", read),
            ("POST", "/search/more", read),
            ("POST", "/searching", write),
            ("PUT", "/search", write),
            ("PUT", "/put/1", idempotent),
            ("GET", "/cron/run", write),
            ("GET", "/cro%6E/run", write),
            ("GET", "/cro%256E/run", write),
            ("GET", "/x/../cron", write),
            ("GET", "//cron", write),
            ("GET", "/x\\..\\cron", write),
            ("GET", "/cron;v=1/run", write),
            ("GET", "/x;/../cron;x", write),
            ("POST", "/search/../pay", write),
            ("POST", "/search/%2e%2e/pay", write),
            ("POST", "/search/..%2fpay", write),
            ("GET", "/%ff", write),
            ("GET", "/caf%C3%A9", read),
        ] {
            assert_eq!(class(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_websocket_and_another_method_in_a_header_may_write() {
        let headers: HeaderMap =
            [("x-http-method-override".parse().unwrap(), "DELETE".parse().unwrap())].into_iter().collect();
        assert!(classify(&[], &Method::GET, "/", &headers, false).writes);
        assert!(classify(&[], &Method::GET, "/", &HeaderMap::new(), true).writes);
        let reads = [RouteRule::new("/feed", None, Access::Reads)];
        assert!(!classify(&reads, &Method::GET, "/feed", &HeaderMap::new(), true).writes);
    }
}
