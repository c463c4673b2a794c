//! Writes the documents of replies.

use std::fmt::{self, Display, Write};
use std::time::SystemTime;

const DECLARATION: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A document, written from its root inwards.
#[derive(Debug)]
pub(crate) struct Xml(String);

impl Xml {
    /// A document in the namespace of S3.
    pub(crate) fn document(root: &str, content: impl FnOnce(&mut Self)) -> Self {
        Self::with_root(root, &format!(r#" xmlns="{NAMESPACE}""#), content)
    }

    /// A document without a namespace, as S3 writes its errors.
    pub(crate) fn plain(root: &str, content: impl FnOnce(&mut Self)) -> Self {
        Self::with_root(root, "", content)
    }

    fn with_root(root: &str, attributes: &str, content: impl FnOnce(&mut Self)) -> Self {
        let mut xml = Self(format!("{DECLARATION}\n<{root}{attributes}>"));
        content(&mut xml);
        xml.close(root);
        xml
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    /// An element with elements.
    pub(crate) fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.open(name);
        content(self);
        self.close(name);
    }

    /// An element with text.
    pub(crate) fn text(&mut self, name: &str, value: impl Display) {
        self.open(name);
        self.write(value);
        self.close(name);
    }

    /// An element with text, if there is any.
    pub(crate) fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// An element with a time.
    pub(crate) fn time(&mut self, name: &str, time: SystemTime) {
        self.text(name, humantime::format_rfc3339_millis(time));
    }

    /// Text in the element that was opened last.
    pub(crate) fn write(&mut self, value: impl Display) {
        // Writing to a string cannot fail; a value that fails to format itself is cut.
        let _ = write!(Escaped(&mut self.0), "{value}");
    }

    fn open(&mut self, name: &str) {
        self.0.extend(["<", name, ">"]);
    }

    fn close(&mut self, name: &str) {
        self.0.extend(["</", name, ">"]);
    }
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                // XML 1.0 cannot represent most of these; Amazon S3 writes them so all the same.
                '\0'..='\u{1f}' => write!(self.0, "&#x{:X};", u32::from(character))?,
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}
