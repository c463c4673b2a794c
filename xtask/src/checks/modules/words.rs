//! A Rust source as words and symbols, without its comments and literals.

use crate::checks::scan::{blank, is_word};

/// A word, `::`, or any other symbol by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Offset in characters.
    at: usize,
}

/// A source, split into words.
pub(super) struct Words {
    source: Vec<char>,
    words: Vec<Word>,
}

impl Words {
    pub(super) fn of(source: &str) -> Self {
        let code = blank(source);
        let mut words = Vec::new();
        let mut at = 0;
        while at < code.len() {
            let length = length(&code[at..]);
            if !code[at].is_whitespace() && code[at] != '\'' {
                words.push(Word { text: code[at..at + length].iter().collect(), at });
            }
            at += length;
        }
        Self { source: source.chars().collect(), words }
    }

    /// The word at this index; an empty one past the end.
    pub(super) fn text(&self, place: usize) -> &str {
        self.words.get(place).map_or("", |word| &word.text)
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    pub(super) fn is_name(&self, place: usize) -> bool {
        self.text(place).starts_with(|first: char| is_word(first) && !first.is_numeric())
    }

    /// The quoted text that follows this word.
    pub(super) fn quoted(&self, place: usize) -> Option<String> {
        let behind = self.source.get(self.words.get(place)?.at..)?;
        let text = behind.iter().skip_while(|character| **character != '"').skip(1);
        Some(text.take_while(|character| **character != '"').collect())
    }
}

/// The length in characters of the word at the beginning. The quote of a lifetime includes its
/// name, and `r#` its identifier.
fn length(code: &[char]) -> usize {
    let word = |from: usize| from + code.iter().skip(from).take_while(|character| is_word(**character)).count();
    match code {
        ['\'', ..] => word(1),
        ['r', '#', ..] => word(2),
        [':', ':', ..] => 2,
        [first, ..] if is_word(*first) => word(0),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        Words::of(source).words.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn comments_texts_and_lifetimes_are_no_words() {
        assert_eq!(
            words("use a::b; // use c;\nfn f<'a>(x: &'static str) { \"use d;\"; r#type }"),
            ["use", "a", "::", "b", ";", "fn", "f", "<", ">", "(", "x", ":", "&", "str", ")", "{", ";", "r#type", "}"]
        );
    }

    #[test]
    fn a_text_is_found_behind_its_word() {
        let words = Words::of("#[path = \"../a.rs\"] mod a;");
        assert_eq!(words.quoted(2).as_deref(), Some("../a.rs"));
    }
}
