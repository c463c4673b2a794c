//! The target of a redirect.

use http::Uri;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// Characters that a header may hold and a URL may not: some servers do not encode names.
const RAW: &AsciiSet = &CONTROLS.add(b' ');

/// Resolves the target of a redirect against the URL that was requested (RFC 3986, 5.2).
pub(super) fn resolve(from: &Uri, to: &[u8]) -> Option<Uri> {
    let (scheme, authority) = (from.scheme_str()?, from.authority()?.as_str());
    let to = percent_encode(to, RAW).to_string();
    let to = to.split('#').next()?;
    let (place, query) = to.split_at(to.find('?').unwrap_or(to.len()));
    let text = if has_scheme(place.as_bytes()) {
        to.to_owned()
    } else if let Some(rest) = to.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else {
        let path = match place.strip_prefix('/') {
            Some(_) => without_dots(place),
            None if place.is_empty() => from.path().to_owned(),
            None => without_dots(&format!("{}{place}", folder(from.path()))),
        };
        format!("{scheme}://{authority}{path}{query}")
    };
    let uri: Uri = text.parse().ok()?;
    // A user name in it would be a credential that another party chose.
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    (plain && matches!(uri.scheme_str(), Some("http" | "https"))).then_some(uri)
}

/// A path up to its last slash.
pub(super) fn folder(path: &str) -> &str {
    &path[..path.rfind('/').map_or(0, |at| at + 1)]
}

/// Whether a link begins with a scheme, such as `https:` or `mailto:`.
pub(super) fn has_scheme(link: &[u8]) -> bool {
    let name = link.split(|byte| *byte == b':').next().unwrap_or_default();
    name.len() < link.len()
        && name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

/// A path without the segments `.` and `..`.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            name => kept.push(name),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_of_every_form() {
        let from: Uri = "https://a/x/y?z".parse().unwrap();
        for (to, expected) in [
            ("https://b/c", Some("https://b/c")),
            ("HTTPS://b/c", Some("https://b/c")),
            ("//b/c#d", Some("https://b/c")),
            ("/c?e", Some("https://a/c?e")),
            ("c", Some("https://a/x/c")),
            ("?e=/..", Some("https://a/x/y?e=/..")),
            ("../c/./d", Some("https://a/c/d")),
            ("/c/../../d/..", Some("https://a/")),
            (".", Some("https://a/x/")),
            ("ü d", Some("https://a/x/%C3%BC%20d")),
            ("https://user:pass@b/c", None),
            ("//user@b/c", None),
            ("ftp://b/c", None),
            ("mailto:b", None),
        ] {
            assert_eq!(resolve(&from, to.as_bytes()).map(|uri| uri.to_string()).as_deref(), expected, "{to}");
        }
    }
}
