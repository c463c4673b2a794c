//! Links in HTML, to the extent that index pages need it.

use memchr::memchr;

use crate::wire::xml::reference;

/// The longest name of a reference that is recognized (`#x10FFFF`).
const LONGEST_REFERENCE: usize = 8;

/// The targets of the links on a page, with references replaced.
pub(super) fn links(page: &[u8]) -> Vec<Vec<u8>> {
    let mut links = Vec::new();
    let mut rest = page;
    while let Some(at) = memchr(b'<', rest) {
        rest = &rest[at + 1..];
        if let [b'a' | b'A', behind @ ..] = rest
            && behind.first().is_some_and(u8::is_ascii_whitespace)
        {
            let (link, after) = href(behind);
            links.extend(link.map(|link| unescaped(link.trim_ascii())));
            rest = after;
        }
    }
    links
}

/// The value of `href` among the attributes of a start tag, and what follows them.
fn href(mut rest: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut found = None;
    let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'>';
    loop {
        rest = rest.trim_ascii_start();
        let (name, more) = split(rest, |byte| ends(byte) || *byte == b'=');
        rest = more.trim_ascii_start();
        let Some(value) = rest.strip_prefix(b"=").map(<[u8]>::trim_ascii_start) else {
            if name.is_empty() {
                return (found, rest);
            }
            continue;
        };
        let (value, more) = match value {
            [quote @ (b'"' | b'\''), quoted @ ..] => {
                let (value, more) = split(quoted, |byte| byte == quote);
                (value, more.get(1..).unwrap_or_default())
            }
            _ => split(value, ends),
        };
        if found.is_none() && name.eq_ignore_ascii_case(b"href") {
            found = Some(value);
        }
        rest = more;
    }
}

fn split(bytes: &[u8], at: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(at).unwrap_or(bytes.len()))
}

/// Text with its references replaced; anything else stays unchanged.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, more)) = rest.split_first() {
        let end = memchr(b';', &more[..more.len().min(LONGEST_REFERENCE + 1)]).filter(|_| *first == b'&');
        let name = end.map(|end| &more[..end]);
        match name.and_then(|name| Some((name, reference(name)?))) {
            Some((name, character)) => {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &more[name.len() + 1..];
            }
            None => {
                out.push(*first);
                rest = more;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_every_form() {
        for (page, expected) in [
            ("<a href=\"x\">", "x"),
            ("<A\n class=c HREF = 'x y' >", "x y"),
            ("<a href=x>y</a>", "x"),
            ("<a title=\"a > href='no'\" data-href=no href=\"a>b\">", "a>b"),
            ("<a download href=\" x&amp;y&#34;&#x27;&apos;&lt;&#228;&nbsp;&;& \">", "x&y\"''<ä&nbsp;&;&"),
        ] {
            assert_eq!(links(page.as_bytes()), [expected.as_bytes()], "{page}");
        }
        for page in ["<address href=x>", "<a>x</a>", "<a name=x>", "< a href=x>", "<a hrefs=x>", "", "<", "<a"] {
            assert!(links(page.as_bytes()).is_empty(), "{page}");
        }
        assert_eq!(links(b"<a href=\"open"), [b"open"]);
        assert_eq!(links(b"<a href=1><a href=2"), [b"1", b"2"]);
    }
}
