//! Where functions begin and end, read from source text: macros that rewrite functions hide
//! their length from lints, but not from this scan.

use std::ops::RangeInclusive;

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// From the line of `fn` to the line of the closing brace, counted from 1.
    pub(super) lines: RangeInclusive<usize>,
}

impl Function {
    pub(super) fn length(&self) -> usize {
        self.lines.end() + 1 - self.lines.start()
    }
}

/// Every function of a Rust source, including nested ones.
pub(super) fn functions(source: &str) -> Vec<Function> {
    let code = blank(source);
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = find_word(&code, from, "fn") {
        from = at + 2;
        let name: String = code[from..].iter().skip(1).take_while(|c| is_word(**c)).collect();
        if name.is_empty() {
            continue; // a pointer to a function
        }
        if let Some(end) = end_of_body(&code, from) {
            found.push(Function { name, lines: line_of(&code, at)..=line_of(&code, end) });
        }
    }
    found
}

/// The closing brace of the body after a function's name, if it has a body.
fn end_of_body(code: &[char], from: usize) -> Option<usize> {
    let mut brackets = 0_usize;
    let mut braces = 0_usize;
    for (at, character) in code.iter().enumerate().skip(from) {
        match character {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.checked_sub(1)?,
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' if braces == 1 => return Some(at),
            '}' => braces = braces.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

/// The source with comments, strings and character literals replaced by blanks.
pub(super) fn blank(source: &str) -> Vec<char> {
    let source: Vec<char> = source.chars().collect();
    let mut code = source.clone();
    let mut at = 0;
    while at < source.len() {
        let end = end_of_text(&source, at);
        for character in code.iter_mut().take(end).skip(at).filter(|character| **character != '\n') {
            *character = ' ';
        }
        at = end.max(at + 1);
    }
    code
}

/// The end of the comment or literal that begins here, or `at` itself if none begins.
fn end_of_text(source: &[char], at: usize) -> usize {
    let next = |offset: usize| source.get(at + offset).copied().unwrap_or('\0');
    let word_before = at > 0 && is_word(source[at - 1]);
    match (source[at], next(1)) {
        ('/', '/') => source.iter().skip(at).position(|c| *c == '\n').map_or(source.len(), |length| at + length),
        ('/', '*') => end_of_block_comment(source, at),
        ('"', _) => end_of_quoted(source, at, '"'),
        ('\'', '\\') => end_of_quoted(source, at, '\''),
        ('\'', _) if next(2) == '\'' => at + 3,
        ('r', '"' | '#') if !word_before => end_of_raw_string(source, at + 1).unwrap_or(at),
        ('b' | 'c', 'r') if !word_before => end_of_raw_string(source, at + 2).unwrap_or(at),
        _ => at,
    }
}

fn end_of_block_comment(source: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut position = at;
    while position < source.len() {
        match (source[position], source.get(position + 1)) {
            ('/', Some('*')) => (depth, position) = (depth + 1, position + 2),
            ('*', Some('/')) => (depth, position) = (depth.saturating_sub(1), position + 2),
            _ => position += 1,
        }
        if depth == 0 {
            return position;
        }
    }
    source.len()
}

fn end_of_quoted(source: &[char], at: usize, quote: char) -> usize {
    let mut position = at + 1;
    while position < source.len() {
        match source[position] {
            '\\' => position += 2,
            character if character == quote => return position + 1,
            _ => position += 1,
        }
    }
    source.len()
}

/// `at` is just after the `r`; a raw identifier such as `r#type` is not a string.
fn end_of_raw_string(source: &[char], at: usize) -> Option<usize> {
    let hashes = source.iter().skip(at).take_while(|c| **c == '#').count();
    if source.get(at + hashes) != Some(&'"') {
        return None;
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let from = at + hashes + 1;
    let length = source.get(from..)?.windows(closing.len()).position(|window| window == closing)?;
    Some(from + length + closing.len())
}

fn find_word(code: &[char], from: usize, word: &str) -> Option<usize> {
    let word: Vec<char> = word.chars().collect();
    let bounded = |at: usize| {
        let before = at.checked_sub(1).is_some_and(|before| is_word(code[before]));
        !before && !code.get(at + word.len()).copied().is_some_and(is_word)
    };
    (from..code.len()).find(|&at| code[at..].starts_with(&word) && bounded(at))
}

pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn line_of(code: &[char], at: usize) -> usize {
    1 + code.iter().take(at).filter(|character| **character == '\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(source: &str) -> Vec<(String, usize)> {
        functions(source).into_iter().map(|function| (function.name.clone(), function.length())).collect()
    }

    #[test]
    fn counts_from_fn_to_the_closing_brace() {
        let source = "impl A {\n    fn one() {}\n\n    pub async fn three<T>(a: [u8; 2]) -> T\n    {\n    }\n}\n";
        assert_eq!(lengths(source), [("one".into(), 1), ("three".into(), 3)]);
    }

    #[test]
    fn sees_nested_functions_and_no_pointers_or_declarations() {
        let source = "fn outer(f: fn(u8)) {\n  fn inner() {\n  }\n}\ntrait T { fn declared(&self); }\n";
        assert_eq!(lengths(source), [("outer".into(), 4), ("inner".into(), 2)]);
    }

    #[test]
    fn braces_in_text_do_not_count() {
        for text in [
            "\"}\"",
            "'}'",
            "'\\''",
            "b'{'",
            "r\"\\\"",
            "r#\"}\"{\"#",
            "br##\"\"#{\"##",
            "\"\\\"}\"",
            "// }",
            "/* } /* } */ } */",
            "&'static str",
        ] {
            let source = format!("fn f() {{\n{text}\n}}\nfn g() {{}}\n");
            assert_eq!(lengths(&source), [("f".into(), 3), ("g".into(), 1)], "{text}");
        }
    }
}
