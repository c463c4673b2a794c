//! Reads the documents of requests: elements and text, without attributes and declarations.

use super::error::{S3Result, s3_error};

/// No document of S3 is nested deeper.
const DEEPEST: usize = 8;

/// An element with its content.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Parses a document whose root has this name.
    pub(crate) fn parse(document: &[u8], root: &str) -> S3Result<Self> {
        let text = std::str::from_utf8(document).map_err(|_| s3_error!(MalformedXML, "the document is not UTF-8"))?;
        match parse(text) {
            Ok(element) if element.name == root => Ok(element),
            Ok(element) => Err(s3_error!(MalformedXML, "the document is a {:?}, not a {root}", element.name)),
            Err(why) => Err(s3_error!(MalformedXML, "the document is not well formed: {why}")),
        }
    }

    /// The children with this name.
    pub(crate) fn children(&self, name: &'static str) -> impl Iterator<Item = &Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the child with this name.
    pub(crate) fn child(&self, name: &'static str) -> Option<&str> {
        self.children(name).next().map(|child| child.text.as_str())
    }
}

fn parse(text: &str) -> Result<Element, &'static str> {
    let mut reader = Reader { rest: text.trim_start_matches('\u{feff}').trim_start() };
    if reader.rest.starts_with("<?xml") {
        reader.take_past("?>")?;
    }
    reader.skip()?;
    reader.expect("<")?;
    let root = reader.element(0)?;
    reader.skip()?;
    if reader.rest.is_empty() { Ok(root) } else { Err("something follows the root") }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Reads an element after its `<`.
    fn element(&mut self, depth: usize) -> Result<Element, &'static str> {
        if depth > DEEPEST {
            return Err("elements are nested too deep");
        }
        let tag = self.take_past(">")?;
        let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let full_name = tag.split(char::is_whitespace).next().unwrap_or_default();
        let name = full_name.rsplit(':').next().unwrap_or_default();
        if name.is_empty() || name.starts_with(['!', '?', '/']) || tag.contains('<') {
            return Err("there is no element where one should be");
        }
        let mut element = Element { name: name.to_owned(), ..Element::default() };
        if !empty {
            self.content(&mut element, full_name, depth)?;
        }
        Ok(element)
    }

    /// Reads what is between the tags of an element, and its end tag.
    fn content(&mut self, element: &mut Element, full_name: &str, depth: usize) -> Result<(), &'static str> {
        loop {
            let at = self.rest.find(['<', '&']).ok_or("an element has no end")?;
            let (text, rest) = self.rest.split_at(at);
            element.text.push_str(text);
            self.rest = rest;
            if self.eat("</") {
                let name = self.take_past(">")?;
                return if name.trim_end() == full_name { Ok(()) } else { Err("an element ends within another") };
            } else if self.eat("<!--") {
                self.take_past("-->")?;
            } else if self.eat("<![CDATA[") {
                element.text.push_str(self.take_past("]]>")?);
            } else if self.eat("&") {
                let name = self.take_past(";")?;
                element.text.push(character(name).ok_or("a reference is not known")?);
            } else {
                self.expect("<")?;
                let child = self.element(depth + 1)?;
                element.children.push(child);
            }
        }
    }

    /// Skips space and comments around the root.
    fn skip(&mut self) -> Result<(), &'static str> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.eat("<!--") {
                return Ok(());
            }
            self.take_past("-->")?;
        }
    }

    fn eat(&mut self, start: &str) -> bool {
        let rest = self.rest.strip_prefix(start);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, start: &str) -> Result<(), &'static str> {
        if self.eat(start) { Ok(()) } else { Err("there is no element") }
    }

    fn take_past(&mut self, end: &str) -> Result<&'a str, &'static str> {
        let (taken, rest) = self.rest.split_once(end).ok_or("something has no end")?;
        self.rest = rest;
        Ok(taken)
    }
}

/// The character that `amp` or `#x1F` stands for.
fn character(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = name.strip_prefix('#').filter(|digits| !digits.contains('+'))?;
            let code = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::xml::Xml;
    use super::*;

    #[test]
    fn text_references_cdata_and_prefixes_are_read() {
        let document = "\u{feff}<?xml version='1.0'?>\n<!-- x --><s3:R xmlns:s3='urn:x'><K>a&amp;&lt;&#x1;&#13;b</K>\
            <K/><K><![CDATA[<&>]]]]><![CDATA[>]]></K><!-- y --><D a='b'>1<E>2</E></D ></s3:R> ";
        let root = Element::parse(document.as_bytes(), "R").unwrap();
        let keys: Vec<&str> = root.children("K").map(|key| key.text.as_str()).collect();
        assert_eq!(keys, ["a&<\u{1}\rb", "", "<&>]]>"]);
        assert_eq!((root.child("D"), root.child("E")), (Some("1"), None));
    }

    #[test]
    fn broken_documents_are_malformed() {
        let deep = "<a>".repeat(40);
        for document in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a>&x;</a>",
            "<!DOCTYPE a><a/>",
            "<a>&#xd800;</a>",
            "<",
            "<>",
            "<a/><a/>",
            "<b/>",
            "<a><!DOCTYPE a></a>",
            "<a><?x?></a>",
            "<a>&#+5;</a>",
            &deep,
        ] {
            let error = Element::parse(document.as_bytes(), "a").unwrap_err();
            assert_eq!(error.code, "MalformedXML", "{document}");
        }
        assert!(Element::parse(b"<a>\xff</a>", "a").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([<>/&;!?#x:-]|\\[CDATA\\[|\\]\\]>|a|\\PC)*") {
            let _ = Element::parse(text.as_bytes(), "a");
        }

        #[test]
        fn written_documents_read_back(text: String) {
            let document = Xml::document("a", |xml| xml.text("b", &text)).into_text();
            let root = Element::parse(document.as_bytes(), "a").unwrap();
            prop_assert_eq!(root.child("b"), Some(text.as_str()));
        }
    }
}
