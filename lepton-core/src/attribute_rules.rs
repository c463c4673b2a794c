//! Rules for the names and values of attributes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::object::{Attribute, Attributes};

/// The names that user metadata may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MetadataNames {
    /// Any name.
    #[default]
    Any,
    /// Names that can be part of a header: lower-case letters, digits and ``!#$%&'*+-.^_`|~``.
    Headers,
    /// Lower-case letters, digits and `_`, not starting with a digit.
    Identifiers,
}

impl MetadataNames {
    /// Whether every name that `other` allows is allowed here too.
    pub fn include(self, other: Self) -> bool {
        self == Self::Any || other == self || (self, other) == (Self::Headers, Self::Identifiers)
    }

    /// Whether this name is allowed.
    pub fn allow(self, name: &str) -> bool {
        let of_identifier = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let of_header = |byte: u8| of_identifier(byte) || b"!#$%&'*+-.^`|~".contains(&byte);
        match self {
            Self::Any => true,
            Self::Headers => !name.is_empty() && name.bytes().all(of_header),
            Self::Identifiers => {
                name.bytes().all(of_identifier) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
            }
        }
    }
}

/// The characters that names and values of tags may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TagCharacters {
    /// Any characters.
    #[default]
    Any,
    /// Letters and digits of any script, spaces, and `+ - = . _ : / @` (Amazon S3).
    Words,
    /// ASCII letters and digits, spaces, and `+ - = . _ : /` (Azure).
    AsciiWords,
}

impl TagCharacters {
    /// Whether everything that `other` allows is allowed here too.
    pub fn include(self, other: Self) -> bool {
        self == Self::Any || other == self || (self, other) == (Self::Words, Self::AsciiWords)
    }

    /// Whether this text is allowed as the name or the value of a tag.
    pub fn allow(self, text: &str) -> bool {
        let sign = |character: char| " +-=._:/".contains(character);
        match self {
            Self::Any => true,
            Self::Words => text.chars().all(|c| c.is_alphanumeric() || sign(c) || c == '@'),
            Self::AsciiWords => text.chars().all(|c| c.is_ascii_alphanumeric() || sign(c)),
        }
    }
}

/// Which attributes of objects a store keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttributeRules<'a> {
    pub(crate) kept: &'a [Attribute],
    pub(crate) names: MetadataNames,
    pub(crate) reserved: &'a [String],
    pub(crate) tags: TagCharacters,
    /// Whether `mtime` and `mode` are kept as facts about a file, whatever is kept otherwise.
    pub(crate) file_facts: bool,
}

impl AttributeRules<'_> {
    fn allow_name(self, name: &String) -> bool {
        self.names.allow(name) && !self.reserved.contains(name)
    }

    /// Removes what the store does not keep and returns the attributes that this changed.
    pub(crate) fn keep(self, attributes: &mut Attributes) -> Vec<Attribute> {
        let mut lost: Vec<Attribute> = attributes.present();
        lost.retain(|attribute| !self.kept.contains(attribute));
        let facts = if self.file_facts { attributes.file_facts() } else { BTreeMap::new() };
        if facts.len() == attributes.user_metadata.len() {
            lost.retain(|attribute| *attribute != Attribute::UserMetadata);
        }
        lost.iter().for_each(|attribute| attributes.remove(*attribute));
        attributes.user_metadata.extend(facts);
        let (names, tags) = (attributes.user_metadata.len(), attributes.tags.len());
        attributes.user_metadata.retain(|name, _| self.allow_name(name));
        attributes.tags.retain(|name, value| self.tags.allow(name) && self.tags.allow(value));
        lost.extend((attributes.user_metadata.len() < names).then_some(Attribute::UserMetadata));
        lost.extend((attributes.tags.len() < tags).then_some(Attribute::Tags));
        lost
    }

    /// Refuses attributes that the store does not keep, and names them.
    pub(crate) fn check(self, attributes: &Attributes, preset: &str) -> Result<()> {
        if let Some(lost) = attributes.present().into_iter().find(|one| !self.kept.contains(one)) {
            return Err(Error::unsupported(format!("the {preset} store keeps no {lost:?}")));
        }
        if let Some(name) = attributes.user_metadata.keys().find(|name| !self.allow_name(name)) {
            let message = if self.reserved.contains(name) {
                format!("the {preset} store reserves the metadata name {name:?} for itself")
            } else {
                format!("the {preset} store allows no metadata of the name {name:?}; the names are {:?}", self.names)
            };
            return Err(Error::invalid_input(message));
        }
        let allowed = |text: &String| self.tags.allow(text);
        match attributes.tags.iter().find(|(name, value)| !(allowed(name) && allowed(value))) {
            Some((name, value)) => {
                let message = format!("the {preset} store allows no tag of these characters: {name:?}={value:?}");
                Err(Error::invalid_input(message))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags_are_allowed_by_their_rules() {
        for (name, header, identifier) in [
            ("a", true, true),
            ("_a1", true, true),
            ("a-b", true, false),
            ("1a", true, false),
            ("", false, false),
            ("A", false, false),
            ("a b", false, false),
            ("a:b", false, false),
            ("ü", false, false),
        ] {
            assert!(MetadataNames::Any.allow(name));
            assert_eq!(MetadataNames::Headers.allow(name), header, "{name:?}");
            assert_eq!(MetadataNames::Identifiers.allow(name), identifier, "{name:?}");
        }
        for (text, words, ascii) in [
            ("", true, true),
            ("a B:1/x+y=z_.-", true, true),
            ("a@b", true, false),
            ("ü", true, false),
            ("a;", false, false),
        ] {
            assert!(TagCharacters::Any.allow(text));
            assert_eq!(TagCharacters::Words.allow(text), words, "{text:?}");
            assert_eq!(TagCharacters::AsciiWords.allow(text), ascii, "{text:?}");
        }
        let names = [MetadataNames::Any, MetadataNames::Headers, MetadataNames::Identifiers];
        let tags = [TagCharacters::Any, TagCharacters::Words, TagCharacters::AsciiWords];
        for wide in 0..3 {
            for narrow in 0..3 {
                assert_eq!(tags[wide].include(tags[narrow]), wide <= narrow, "{wide} {narrow}");
                assert_eq!(names[wide].include(names[narrow]), wide <= narrow, "{wide} {narrow}");
            }
        }
    }
}
