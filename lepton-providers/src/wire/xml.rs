//! The subset of XML that object stores use, parsed byte for byte.
//!
//! Listings hold keys, and keys may hold what XML parsers refuse: characters that XML 1.0
//! forbids, even as references, and bytes that are not UTF-8. This parser accepts them
//! all, checks that elements nest, and knows only the five entities that XML defines, so
//! entities cannot expand without bound.

use std::borrow::Cow;

use lepton_core::{Error, ErrorKind, Result};
use memchr::{memchr, memchr2, memmem};

/// The maximum nesting depth, more than any store needs.
const DEEPEST: usize = 16;

/// An element with its content.
#[derive(Debug, Default)]
pub(crate) struct Element<'a> {
    name: &'a [u8],
    /// The text after the name in the start tag.
    attributes: &'a [u8],
    text: Cow<'a, [u8]>,
    children: Vec<Element<'a>>,
}

/// How data that gzip compressed begins.
const GZIP: &[u8] = b"\x1f\x8b";

impl<'a> Element<'a> {
    /// Parses a document and returns its root.
    pub(crate) fn parse(document: &'a [u8]) -> Result<Self> {
        if document.starts_with(GZIP) {
            let message = "the answer is compressed with gzip, which was not asked for; a proxy or a server in between \
                           must pass answers on as they are";
            return Err(Error::new(ErrorKind::Unexpected, message));
        }
        Reader { rest: document, total: document.len() }.document()
    }

    /// The local name of the element.
    pub(crate) fn name(&self) -> &'a [u8] {
        self.name
    }

    /// Whether the start tag has `name="value"`.
    pub(crate) fn has_attribute(&self, name: &str, value: &str) -> bool {
        let wanted = [format!("{name}=\"{value}\""), format!("{name}='{value}'")];
        let words = self.attributes.split(u8::is_ascii_whitespace);
        words.into_iter().any(|word| wanted.iter().any(|wanted| wanted.as_bytes() == word))
    }

    /// The text of the element itself.
    pub(crate) fn content(&self) -> &[u8] {
        &self.text
    }

    /// The child elements, in order.
    pub(crate) fn elements(&self) -> impl Iterator<Item = &Element<'a>> {
        self.children.iter()
    }

    pub(crate) fn children(&self, name: &'static str) -> impl Iterator<Item = &Element<'a>> {
        self.children.iter().filter(move |child| child.name == name.as_bytes())
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Element<'a>> {
        self.children.iter().find(|child| child.name == name.as_bytes())
    }

    /// The bytes of the child with this name.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.child(name).map(|child| &*child.text)
    }

    /// The text of the child with this name, if it is UTF-8 and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.bytes(name)?).ok().filter(|text| !text.is_empty())
    }

    /// The same, parsed.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.trim().parse().ok()
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self, why: &str) -> Error {
        let at = self.total - self.rest.len();
        Error::new(ErrorKind::Unexpected, format!("the answer is not the XML it should be: {why} at byte {at}"))
    }

    fn document(mut self) -> Result<Element<'a>> {
        loop {
            self.rest = self.rest.trim_ascii_start();
            if self.rest.starts_with(b"<?") {
                self.skip_past(b"?>")?;
            } else if self.rest.starts_with(b"<!--") {
                self.skip_past(b"-->")?;
            } else if self.rest.starts_with(b"<!") {
                return Err(self.wrong("a declaration, which has no place here,"));
            } else {
                return self.element(0);
            }
        }
    }

    /// Parses an element that starts here.
    fn element(&mut self, depth: usize) -> Result<Element<'a>> {
        if depth > DEEPEST {
            return Err(self.wrong("elements nested too deep"));
        }
        let Some(rest) = self.rest.strip_prefix(b"<") else { return Err(self.wrong("no element")) };
        self.rest = rest;
        let tag = self.take_past(b">")?;
        let (tag, empty) = match tag.strip_suffix(b"/") {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let full_name = tag.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let name = full_name.rsplit(|byte| *byte == b':').next().unwrap_or_default();
        if name.is_empty() {
            return Err(self.wrong("an element without a name"));
        }
        let attributes = tag.get(full_name.len()..).unwrap_or_default();
        let mut element = Element { name, attributes, ..Element::default() };
        if !empty {
            self.content(&mut element, full_name, depth)?;
        }
        Ok(element)
    }

    fn content(&mut self, element: &mut Element<'a>, full_name: &[u8], depth: usize) -> Result<()> {
        loop {
            let Some(at) = memchr2(b'<', b'&', self.rest) else {
                return Err(self.wrong("no end of an element"));
            };
            let (text, rest) = self.rest.split_at(at);
            append(&mut element.text, text);
            self.rest = rest;
            if rest.starts_with(b"</") {
                let end = self.take_past(b">")?;
                let closes = end.get(2..).is_some_and(|name| name.trim_ascii_end() == full_name);
                return if closes { Ok(()) } else { Err(self.wrong("the end of another element")) };
            } else if rest.starts_with(b"<!--") {
                self.skip_past(b"-->")?;
            } else if let Some(rest) = rest.strip_prefix(b"<![CDATA[") {
                self.rest = rest;
                let text = self.take_past(b"]]>")?;
                append(&mut element.text, text);
            } else if let Some(rest) = rest.strip_prefix(b"&") {
                self.rest = rest;
                let name = self.take_past(b";")?;
                let Some(character) = reference(name) else { return Err(self.wrong("an unknown reference")) };
                let mut buffer = [0; 4];
                element.text.to_mut().extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            } else {
                let child = self.element(depth + 1)?;
                element.children.push(child);
            }
        }
    }

    /// The text before `end`, which is skipped.
    fn take_past(&mut self, end: &[u8]) -> Result<&'a [u8]> {
        let found = match end {
            [byte] => memchr(*byte, self.rest),
            _ => memmem::find(self.rest, end),
        };
        let Some(at) = found else { return Err(self.wrong("something without an end")) };
        let (taken, rest) = self.rest.split_at(at);
        self.rest = rest.get(end.len()..).unwrap_or_default();
        Ok(taken)
    }

    fn skip_past(&mut self, end: &[u8]) -> Result<()> {
        self.take_past(end).map(drop)
    }
}

fn append<'a>(text: &mut Cow<'a, [u8]>, more: &'a [u8]) {
    if text.is_empty() {
        *text = Cow::Borrowed(more);
    } else if !more.is_empty() {
        text.to_mut().extend_from_slice(more);
    }
}

/// The character that a reference such as `amp` or `#x1F` stands for.
pub(crate) fn reference(name: &[u8]) -> Option<char> {
    match name {
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"amp" => Some('&'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        _ => {
            let digits = std::str::from_utf8(name.strip_prefix(b"#")?).ok()?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Appends text to a document, escaped for XML; `false` if XML 1.0 cannot represent it.
pub(crate) fn push_text(document: &mut String, text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    for character in text.chars() {
        match character {
            '&' => document.push_str("&amp;"),
            '<' => document.push_str("&lt;"),
            '>' => document.push_str("&gt;"),
            '"' => document.push_str("&quot;"),
            '\t' => document.push_str("&#9;"),
            '\n' => document.push_str("&#10;"),
            '\r' => document.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => return false,
            other => document.push(other),
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_cdata_controls_and_raw_bytes_are_preserved() {
        let document = b"<?xml version='1.0'?>\n<!-- x --><s3:R xmlns:s3='urn:x'><K>a&amp;&lt;&#x1;&#13;b</K><K/>\
            <K><![CDATA[<&>]]]]><![CDATA[>]]></K><K>\x01\xff\r\n</K><D><Size>12</Size></D></s3:R>";
        let root = Element::parse(document).unwrap();
        assert_eq!(root.name(), b"R");
        let keys: Vec<&[u8]> = root.children("K").map(|key| &*key.text).collect();
        assert_eq!(keys, [&b"a&<\x01\rb"[..], b"", b"<&>]]>", b"\x01\xff\r\n"]);
        assert_eq!(root.child("D").unwrap().parsed::<u64>("Size"), Some(12));
        assert_eq!(root.text("None"), None);
    }

    #[test]
    fn malformed_documents_are_refused() {
        let deep = "<a>".repeat(40);
        for document in
            ["", "text", "<a>", "<a></b>", "<a>&x;</a>", "<!DOCTYPE a><a/>", "<a>&#xd800;</a>", "<", "<>", &deep]
        {
            assert!(Element::parse(document.as_bytes()).is_err(), "{document}");
        }
        let error = Element::parse(b"\x1f\x8b\x08\x00").err().unwrap();
        assert!(error.message().contains("gzip"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(prop_oneof![Just(b'<'), Just(b'>'), Just(b'/'), Just(b'&'), Just(b';'), Just(b'!'), any::<u8>()], 0..64)) {
            let _ = Element::parse(&bytes);
        }

        #[test]
        fn text_that_can_be_written_reads_back(text in "\\PC*|[\r\n\t<>&\"']*") {
            let mut document = String::from("<a><b>");
            prop_assume!(push_text(&mut document, text.as_bytes()));
            document.push_str("</b></a>");
            let root = Element::parse(document.as_bytes()).unwrap();
            prop_assert_eq!(root.bytes("b").unwrap(), text.as_bytes());
        }
    }
}
