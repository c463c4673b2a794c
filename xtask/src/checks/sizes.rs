//! Limits on file and function sizes: a file must be easy to remember, and a function must fit
//! on a screen.

use std::fs;

use anyhow::{Context as _, Result, bail};

use super::files::files;
use super::scan::functions;
use crate::process::root;

/// The number of lines above which a size is reported, and above which it is an error.
struct Limit {
    what: &'static str,
    mention: usize,
    refuse: usize,
}

const FILE: Limit = Limit { what: "file", mention: 400, refuse: 600 };
const FUNCTION: Limit = Limit { what: "function", mention: 70, refuse: 80 };

/// Measures every Rust file of the workspace.
pub(crate) fn check() -> Result<()> {
    let files = files(&root(), "rs")?;
    let mut refused = 0;
    for file in &files {
        let source = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        for finding in findings(&source) {
            println!("{}:{}", file.strip_prefix(root()).unwrap_or(file).display(), finding.text);
            refused += usize::from(finding.refused);
        }
    }
    if refused > 0 {
        bail!("{refused} files or functions are too long");
    }
    println!("{} files within the limits", files.len());
    Ok(())
}

struct Finding {
    /// Begins with the line.
    text: String,
    refused: bool,
}

fn findings(source: &str) -> Vec<Finding> {
    let file = FILE.judge(1, "this", source.lines().count());
    let functions = functions(source);
    let functions = functions.iter().filter_map(|f| FUNCTION.judge(*f.lines.start(), &f.name, f.length()));
    file.into_iter().chain(functions).collect()
}

impl Limit {
    fn judge(&self, line: usize, name: &str, length: usize) -> Option<Finding> {
        let refused = length > self.refuse;
        let word = if refused { "error" } else { "note" };
        let Self { what, mention, refuse } = self;
        let text =
            format!("{line}: {word}: {what} `{name}` has {length} lines; {mention} are plenty, {refuse} the limit");
        (length > *mention).then_some(Finding { text, refused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(source: &str) -> Vec<bool> {
        findings(source).iter().map(|finding| finding.refused).collect()
    }

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    step();\n".repeat(lines - 2))
    }

    #[test]
    fn long_functions_are_mentioned_then_refused() {
        assert_eq!(refused(&function(70)), []);
        assert_eq!(refused(&function(71)), [false]);
        assert_eq!(refused(&function(80)), [false]);
        assert_eq!(refused(&function(81)), [true]);
    }

    #[test]
    fn long_files_are_mentioned_then_refused() {
        assert_eq!(refused(&"\n".repeat(400)), []);
        assert_eq!(refused(&"\n".repeat(600)), [false]);
        assert_eq!(refused(&"\n".repeat(601)), [true]);
    }
}
