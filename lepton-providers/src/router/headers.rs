//! The headers on their way through the router.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Headers of one connection only, besides those that `Connection` names.
const OF_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Headers that stay although `Connection` names them: without them a request would be another.
const KEPT: [HeaderName; 4] = [header::HOST, header::CONTENT_LENGTH, header::AUTHORIZATION, header::COOKIE];

/// Marks the copy of a read for the application. What a client sends under this name is removed.
pub(super) const SHADOW: HeaderName = HeaderName::from_static("x-lepton-shadow");

/// Removes what concerns only the connection on which the headers came.
pub(super) fn strip(headers: &mut HeaderMap) {
    let trailers = names(headers, &header::TE).iter().any(|word| word == "trailers");
    for name in names(headers, &header::CONNECTION) {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes())
            && !KEPT.contains(&name)
        {
            headers.remove(name);
        }
    }
    for name in &OF_CONNECTION {
        headers.remove(name);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// The words of a header that is a list, in lower case.
fn names(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|word| word.trim().to_ascii_lowercase()).collect()
}

/// Whether a request is the handshake of a WebSocket.
pub(super) fn wants_websocket(headers: &HeaderMap) -> bool {
    names(headers, &header::CONNECTION).iter().any(|word| word == "upgrade")
        && names(headers, &header::UPGRADE).iter().any(|word| word == "websocket")
}

/// Asks for a WebSocket, or agrees to one.
pub(super) fn upgrade(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Sets the headers with the origin of a request. Unless the clients are trusted, the headers that
/// they have sent are removed.
pub(super) fn forwarded(headers: &mut HeaderMap, client: IpAddr, https: bool, trusted: bool) {
    const FOR: &str = "x-forwarded-for";
    const PROTO: &str = "x-forwarded-proto";
    const HOST: &str = "x-forwarded-host";
    let mut before = Vec::new();
    if trusted {
        before = headers.get_all(FOR).iter().map(|line| line.as_bytes().to_vec()).collect();
    } else {
        let theirs: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with("x-forwarded")).cloned().collect();
        for name in theirs.into_iter().chain([header::FORWARDED]) {
            headers.remove(name);
        }
    }
    before.push(client.to_canonical().to_string().into_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&before.join(&b", "[..])) {
        headers.insert(FOR, value);
    }
    if !headers.contains_key(PROTO) {
        headers.insert(PROTO, HeaderValue::from_static(if https { "https" } else { "http" }));
    }
    if !headers.contains_key(HOST)
        && let Some(host) = headers.get(header::HOST).cloned()
    {
        headers.insert(HOST, host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(header).collect()
    }

    #[test]
    fn only_headers_of_the_connection_go() {
        let mut headers = map(&[
            ("connection", "close, X-Mine"),
            ("connection", "host, content-length"),
            ("x-mine", "1"),
            ("host", "h"),
            ("content-length", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("accept", "*/*"),
        ]);
        strip(&mut headers);
        let mut left: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        left.sort_unstable();
        assert_eq!(left, [("accept", "*/*"), ("content-length", "3"), ("host", "h"), ("te", "trailers")]);
    }

    #[test]
    fn clients_are_believed_only_if_they_are_proxies() {
        let sent = || {
            map(&[
                ("host", "shop"),
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-proto", "gopher"),
                ("x-forwarded-port", "1"),
                ("forwarded", "for=1.1.1.1"),
            ])
        };
        let client = "::ffff:10.0.0.9".parse().unwrap();
        let mut headers = sent();
        forwarded(&mut headers, client, true, false);
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
        assert_eq!(
            (&headers["x-forwarded-proto"], &headers["x-forwarded-host"]),
            (&"https".parse().unwrap(), &"shop".parse().unwrap())
        );
        assert!(!headers.contains_key("x-forwarded-port") && !headers.contains_key("forwarded"));
        let mut headers = sent();
        forwarded(&mut headers, client, true, true);
        assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 10.0.0.9");
        assert_eq!(headers["x-forwarded-proto"], "gopher");
    }
}
