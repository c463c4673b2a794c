//! Index pages of folders: links in HTML (nginx, Apache and most others), or nginx's list
//! in JSON (`autoindex_format json`).

use std::fmt;

use http::Uri;
use lepton_core::{Error, ErrorKind, Result};
use memchr::memmem;
use percent_encoding::percent_decode;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

use super::links::links;
use super::redirect::{folder, has_scheme};
use crate::wire::xml::Element;

/// How far into a document its type is searched for.
const BEGINNING: usize = 512;

/// The names on a page, in order, without a trailing slash except for folders. `at` is
/// the URL of the page. Links that do not lead to an entry directly below it are ignored.
///
/// # Errors
/// `unexpected` for a document that is not an index page: if it counted as an empty
/// folder, everything in the folder would silently be missed.
pub(super) fn names(page: &[u8], at: &Uri) -> Result<Vec<Vec<u8>>> {
    let mut names = match page.trim_ascii_start().first() {
        Some(b'[') => in_json(page)?,
        _ => in_html(page, at)?,
    };
    names.sort();
    names.dedup();
    Ok(names)
}

fn in_json(page: &[u8]) -> Result<Vec<Vec<u8>>> {
    #[derive(Deserialize)]
    struct Listed {
        name: Name,
        #[serde(rename = "type")]
        kind: String,
    }
    let listed: Vec<Listed> = serde_json::from_slice(page).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "the page is not the JSON that nginx makes of a folder").with_source(source)
    })?;
    let named = |Listed { name: Name(mut name), kind }: Listed| {
        let is_folder = kind == "directory";
        let taken = is_name(&name) && (is_folder || kind == "file");
        name.extend(is_folder.then_some(b'/'));
        taken.then_some(name)
    };
    Ok(listed.into_iter().filter_map(named).collect())
}

/// A name, which nginx writes as raw bytes.
struct Name(Vec<u8>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Name, E> {
                match bytes {
                    [] => Err(E::custom("a name is empty")),
                    bytes => Ok(Name(bytes.to_vec())),
                }
            }
        }
        deserializer.deserialize_bytes(Bytes).map_err(D::Error::custom)
    }
}

fn in_html(page: &[u8], at: &Uri) -> Result<Vec<Vec<u8>>> {
    let links = links(page);
    let mut folder = segments(folder(at.path()).as_bytes());
    folder.pop();
    let mut names = Vec::new();
    let mut leads_up = false;
    for link in &links {
        // A link to the same page in another order.
        leads_up |= link.starts_with(b"?");
        match target(link, at, &folder) {
            Some(Target::Below(name)) => names.push(name),
            Some(Target::Parent) => leads_up = true,
            None => {}
        }
    }
    if names.is_empty() && links.iter().any(|link| is_entry_elsewhere(link, &folder)) {
        let message = "each entry on this index page leads to another host, of which nothing is read; name that host \
                       as the source";
        return Err(Error::new(ErrorKind::Unexpected, message));
    }
    if names.is_empty() && !leads_up && !has_title(page) {
        return Err(no_index(page, at));
    }
    Ok(names)
}

/// Whether the title of a page marks it as an index, which is needed for a page without
/// links.
fn has_title(page: &[u8]) -> bool {
    let lower = page.to_ascii_lowercase();
    [&b"index of /"[..], b"directory listing for"].iter().any(|title| memmem::find(&lower, title).is_some())
}

fn no_index(page: &[u8], at: &Uri) -> Error {
    let beginning = page.get(..page.len().min(BEGINNING)).unwrap_or_default();
    if memmem::find(beginning, b"<ListBucketResult").is_some() {
        let place = bucket(page, at).unwrap_or_else(|| "s3://BUCKET?anonymous=true".to_owned());
        let message = format!("this is the listing of a bucket, no index page; read {place}, or set listing=bucket");
        return Error::new(ErrorKind::Unexpected, message);
    }
    let message = "this is no index page: no link on it leads into the folder or up from it; say what there is with \
                   listing=paths, listing=urls or listing=manifest, and list_file";
    Error::new(ErrorKind::Unexpected, message)
}

/// The URL under which the listed bucket can be read by its own protocol.
fn bucket(page: &[u8], at: &Uri) -> Option<String> {
    let root = Element::parse(page).ok()?;
    let (name, scheme, host) = (root.text("Name")?, at.scheme_str()?, at.authority()?.as_str());
    let host = host.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')).unwrap_or(host);
    Some(format!("s3://{name}?endpoint={scheme}://{host}&anonymous=true"))
}

/// The meaning of a link on a page.
enum Target {
    /// An entry directly below the folder of the page.
    Below(Vec<u8>),
    Parent,
}

/// Names are compared decoded: `%7E` equals `~`.
fn target(link: &[u8], at: &Uri, folder: &[Vec<u8>]) -> Option<Target> {
    let link = link.split(|byte| *byte == b'#').next()?;
    if link.contains(&b'?') {
        return None;
    }
    let path = path_here(link, at)?;
    let segments = segments(path);
    if path.starts_with(b"/") {
        let (_, above) = folder.split_last()?;
        return match segments.strip_prefix(folder) {
            Some(below) => name(below).map(Target::Below),
            None => (segments.split_last()? == (&Vec::new(), above)).then_some(Target::Parent),
        };
    }
    match segments.as_slice() {
        [up] | [up, _] if up == b".." => Some(Target::Parent),
        [here, below @ ..] if here == b"." => name(below).map(Target::Below),
        below => name(below).map(Target::Below),
    }
}

/// The path of a link, if it leads to the same server.
fn path_here<'link>(link: &'link [u8], at: &Uri) -> Option<&'link [u8]> {
    let scheme = at.scheme_str()?;
    let link = match link.split_at_checked(scheme.len()) {
        Some((name, rest)) if name.eq_ignore_ascii_case(scheme.as_bytes()) && rest.starts_with(b"://") => &rest[1..],
        _ if has_scheme(link) => return None,
        _ => link,
    };
    let Some(rest) = link.strip_prefix(b"//") else { return Some(link) };
    let authority = at.authority()?.as_str().as_bytes();
    let (host, path) = rest.split_at_checked(authority.len())?;
    (host.eq_ignore_ascii_case(authority) && path.starts_with(b"/")).then_some(path)
}

/// Whether a link leads to an entry of the same folder by its path, under an address of its own.
fn is_entry_elsewhere(link: &[u8], folder: &[Vec<u8>]) -> bool {
    let rest = memmem::find(link, b"//").filter(|at| link[..*at].is_empty() || link[..*at].ends_with(b":"));
    let path = rest.and_then(|at| link[at + 2..].splitn(2, |byte| *byte == b'/').nth(1));
    let segments = path.map(|path| segments(&[b"/", path].concat())).unwrap_or_default();
    segments.strip_prefix(folder).and_then(name).is_some()
}

fn segments(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').map(|segment| percent_decode(segment).collect()).collect()
}

/// The name that segments form, with a slash if they are those of a folder.
fn name(segments: &[Vec<u8>]) -> Option<Vec<u8>> {
    match segments {
        [file] if is_name(file) => Some(file.clone()),
        [folder, end] if end.is_empty() && is_name(folder) => Some([folder, &b"/"[..]].concat()),
        _ => None,
    }
}

fn is_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && !bytes.contains(&b'/') && bytes != b"." && bytes != b".."
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page() -> Uri {
        "https://h:8/my%20data/".parse().unwrap()
    }

    fn read(text: &str) -> Vec<String> {
        let names = names(text.as_bytes(), &page()).unwrap();
        names.into_iter().map(|name| String::from_utf8(name).unwrap()).collect()
    }

    #[test]
    fn pages_of_nginx_and_apache() {
        let nginx = "<html><head><title>Index of /my data/</title></head><body><h1>Index of /my data/</h1><hr><pre>\
            <a href=\"../\">../</a>\n<a href=\"b/\">b/</a>  20-Nov-2026 10:00  -\n\
            <a href=\"a%20%26%20%C3%BC.txt\">a &amp; ü.txt</a>  20-Nov-2026 10:00  5\n</pre><hr></body></html>";
        assert_eq!(read(nginx), ["a & ü.txt", "b/"]);
        let apache = "<table><tr><th><a href=\"?C=N;O=D\">Name</a></th></tr>\
            <tr><td><a href=\"/\">Parent Directory</a></td></tr>\
            <tr><td><a href=\"/my%20data/x&amp;y.txt\">x&amp;y.txt</a></td></tr>\
            <tr><td><A HREF='z/'>z/</A></td></tr>\
            <tr><td><a href=\"https://elsewhere/my%20data/w\">w</a><a href=\"mailto:x@y\">m</a>\
            <a href=\"/my%20data/b/c\">c</a></td></tr>";
        assert_eq!(read(apache), ["x&y.txt", "z/"]);
    }

    /// As a server behind a proxy makes it, which knows only its own name.
    #[test]
    fn a_page_whose_entries_are_on_another_host_is_no_empty_folder() {
        let page_of = |links: &str| format!("<title>Index of /my data/</title><a href=\"../\">up</a>{links}");
        for link in ["http://inner:8080/my%20data/x", "//inner/my%20data/x/", "https://h:80/my data/x"] {
            let page_text = page_of(&format!("<a href=\"{link}\">x</a>"));
            let error = names(page_text.as_bytes(), &page()).unwrap_err();
            assert!(error.message().contains("another host"), "{link}: {error}");
        }
        for link in ["http://inner/other/x", "https://nginx.org/", "mailto:x@y", "x//y"] {
            assert!(read(&page_of(&format!("<a href=\"{link}\">x</a>"))).is_empty(), "{link}");
        }
    }

    #[test]
    fn links_are_compared_by_their_resolved_address() {
        for (link, expected) in [
            ("/my%20data/x", Some("x")),
            ("/my data/x", Some("x")),
            ("/m%79%20data/%7Ex!$'()*,;=:@", Some("~x!$'()*,;=:@")),
            ("https://h:8/my%20data/x/", Some("x/")),
            ("HTTPS://H:8/my%20data/x", Some("x")),
            ("//h:8/my%20data/x", Some("x")),
            ("./a:b", Some("a:b")),
            ("x#top", Some("x")),
            ("http://h:8/my%20data/x", None),
            ("https://h:80/my%20data/x", None),
            ("https://h/my%20data/x", None),
            ("https://h:8@evil/my%20data/x", None),
            ("/my%20data/", None),
            ("/my%2Fdata/x", None),
            ("/other/x", None),
            ("x%2Fy", None),
            ("%2E%2E", None),
            ("./", None),
            ("a:b", None),
            ("x?y", None),
        ] {
            let expected: Vec<&str> = ["0"].into_iter().chain(expected).collect();
            assert_eq!(read(&format!("<a href=\"0\">0</a><a href=\"{link}\">x</a>")), expected, "{link}");
        }
    }

    #[test]
    fn nginx_in_json() {
        let page_of = |text: &[u8]| names(text, &page());
        let text =
            br#"[ { "name":"b", "type":"directory", "mtime":"x" }, { "name":"a\"\u00e4", "type":"file", "size":5 },
            { "name":"../up", "type":"file", "size":1 }, { "name":"pipe", "type":"other" } ]"#;
        assert_eq!(page_of(text).unwrap(), ["a\"ä".as_bytes(), b"b/"]);
        assert_eq!(page_of(b"[{\"name\":\"\xff\xe4\",\"type\":\"file\"}]").unwrap(), [b"\xff\xe4"]);
        assert!(page_of(b"[\r\n]").unwrap().is_empty());
        for wrong in [&b"[{\"name\":\"a\",\"type\":\"file\"}"[..], b"[1]", b"[{\"name\":\"a\"}]", b"[<a href=x>"] {
            assert_eq!(page_of(wrong).unwrap_err().kind(), ErrorKind::Unexpected, "{wrong:?}");
        }
    }

    #[test]
    fn a_page_that_is_no_index_is_no_empty_folder() {
        for text in [
            "",
            "<h1>Welcome</h1>",
            "<a name=top>",
            "{}",
            "<a href=\"https://login/\">Log in</a>",
            "<a href=\"/imprint/x\">",
        ] {
            let error = names(text.as_bytes(), &page()).unwrap_err();
            assert!(error.to_string().contains("no index page"), "{text}: {error}");
        }
        for text in [
            "<title>Directory listing for /my data/</title><ul></ul>",
            "<h1>Index of /my data</h1>",
            "<a href=\"..\">Up</a>",
            "<a href=\"?C=N\">",
            "<a href=\"/\">",
        ] {
            assert!(read(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn the_listing_of_a_bucket_names_the_way_to_it() {
        let document = b"<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\"><Name>photos</Name></ListBucketResult>";
        for (at, place) in [
            ("http://127.0.0.1:9000/photos/", "s3://photos?endpoint=http://127.0.0.1:9000&anonymous=true"),
            ("https://photos.s3.example.org/", "s3://photos?endpoint=https://s3.example.org&anonymous=true"),
        ] {
            let error = names(document, &at.parse().unwrap()).unwrap_err().to_string();
            assert!(error.contains(place) && error.contains("listing=bucket"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_leads_out_of_the_folder(text in "(<a href=\"[./%a-c0-9&;#?:]{0,12}\">|[ a-z<>])*") {
            for name in names(text.as_bytes(), &page()).unwrap_or_default() {
                prop_assert!(is_name(name.strip_suffix(b"/").unwrap_or(&name)));
            }
        }
    }
}
