//! The declarations, imports and paths in a Rust source, module by module, without test-only
//! code.

use std::collections::BTreeSet;

use super::words::Words;

/// Keywords that are followed by the name of an item.
const ITEMS: [&str; 8] = ["const", "enum", "fn", "macro_rules", "static", "struct", "trait", "type"];

/// Other keywords that an item may begin with.
const BEFORE_ITEMS: [&str; 7] = ["async", "extern", "impl", "mod", "pub", "unsafe", "use"];

/// The segments of a path, such as `crate`, `list`, `Page`.
pub(super) type Path = Vec<String>;

/// A module: the source itself, or an inline module within it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// Empty for the source itself.
    pub(super) name: String,
    /// The index of the enclosing scope.
    pub(super) parent: usize,
    /// Modules in separate files.
    pub(super) files: Vec<File>,
    pub(super) items: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    /// Paths outside `use`, of two or more segments.
    pub(super) paths: Vec<Path>,
}

/// `mod name;`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    /// The value of `#[path = "…"]`.
    pub(super) path: Option<String>,
}

/// One name imported by a `use`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) path: Path,
    /// Its local name; `*` for a glob import.
    pub(super) name: String,
}

/// The scopes of a source: its own first, and each scope before those nested in it.
pub(super) fn read(source: &str) -> Vec<Scope> {
    let words = Words::of(source);
    let mut reader =
        Reader { words: &words, at: 0, depth: 0, open: vec![(0, 0)], path: None, scopes: vec![Scope::default()] };
    while reader.at < words.len() {
        reader.step();
    }
    reader.scopes
}

struct Reader<'a> {
    words: &'a Words,
    at: usize,
    depth: usize,
    /// The open scopes, with the bracket depth of their content.
    open: Vec<(usize, usize)>,
    /// From the last `#[path]` attribute.
    path: Option<String>,
    scopes: Vec<Scope>,
}

impl Reader<'_> {
    fn step(&mut self) {
        match self.ahead(0) {
            "#" => self.attribute(),
            "{" => self.depth += 1,
            "}" => self.close(),
            "use" if self.ahead(1) != "<" => return self.import(),
            "mod" if self.words.is_name(self.at + 1) => return self.module(),
            word if ITEMS.contains(&word) => return self.item(),
            _ if self.words.is_name(self.at) => return self.path(),
            _ => {}
        }
        self.at += 1;
    }

    fn ahead(&self, offset: usize) -> &str {
        self.words.text(self.at + offset)
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.words.text(self.at - 1).to_owned()
    }

    fn scope(&mut self) -> &mut Scope {
        let place = self.open.last().map_or(0, |(place, _)| *place);
        &mut self.scopes[place]
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.open.len() > 1 {
            self.open.pop_if(|(_, depth)| *depth > self.depth);
        }
    }

    /// Skips test-only code, and records the path given for a module.
    fn attribute(&mut self) {
        let open = usize::from(self.ahead(1) == "!") + 1;
        if self.ahead(open) != "[" {
            return;
        }
        match self.ahead(open + 1) {
            "path" => self.path = self.words.quoted(self.at + open + 1),
            "cfg" if for_tests(&self.condition(open + 1)) => {
                if open == 2 {
                    self.at = self.words.len(); // the whole source
                } else {
                    self.pass();
                    self.path = None;
                    self.at -= 1;
                }
            }
            _ => {}
        }
    }

    /// The words up to the bracket that ends an attribute.
    fn condition(&self, from: usize) -> Vec<&str> {
        (self.at + from..self.words.len()).map(|at| self.words.text(at)).take_while(|word| *word != "]").collect()
    }

    /// Skips the attribute at the current position and the item that it applies to.
    fn pass(&mut self) {
        while self.ahead(0) == "#" {
            self.at += 1;
            self.pass_to(&["]"]);
        }
        match self.ahead(0) {
            "use" => self.pass_to(&[";"]),
            word if ITEMS.contains(&word) || BEFORE_ITEMS.contains(&word) => self.pass_to(&[";", "}"]),
            _ => self.pass_to(&[";", "}", ","]),
        }
    }

    /// Skips past the first of these words outside brackets, or to the bracket that closes the
    /// enclosing group.
    fn pass_to(&mut self, ends: &[&str]) {
        let mut depth = 0_usize;
        while self.at < self.words.len() {
            match self.ahead(0) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" if depth == 0 => return,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 && ends.contains(&self.words.text(self.at - 1)) {
                return;
            }
        }
    }

    fn import(&mut self) {
        self.at += 1;
        let mut found = Vec::new();
        self.tree(Vec::new(), &mut found);
        self.scope().imports.append(&mut found);
    }

    /// Parses the tree after `use`, or one element of a group in it.
    fn tree(&mut self, mut path: Path, found: &mut Vec<Import>) {
        loop {
            match self.next().as_str() {
                "{" => return self.group(&path, found),
                "*" => return found.push(Import { path, name: "*".into() }),
                "self" if !path.is_empty() => {}
                // Also a leading `::`: no name of ours follows it.
                segment => path.push(segment.to_owned()),
            }
            match self.ahead(0) {
                "::" => self.at += 1,
                "as" => {
                    self.at += 1;
                    let name = self.next();
                    return found.push(Import { path, name });
                }
                "" | ";" | "," | "}" => {
                    let name = path.last().cloned().unwrap_or_default();
                    return found.push(Import { path, name });
                }
                _ => {}
            }
        }
    }

    fn group(&mut self, path: &Path, found: &mut Vec<Import>) {
        loop {
            match self.ahead(0) {
                "" => return,
                "}" => {
                    self.at += 1;
                    return;
                }
                "," => self.at += 1,
                _ => self.tree(path.clone(), found),
            }
        }
    }

    fn module(&mut self) {
        self.at += 1;
        let name = self.next();
        let path = self.path.take();
        match self.ahead(0) {
            ";" => self.scope().files.push(File { name, path }),
            "{" => {
                let parent = self.open.last().map_or(0, |(place, _)| *place);
                self.depth += 1;
                self.open.push((self.scopes.len(), self.depth));
                self.scopes.push(Scope { name, parent, ..Scope::default() });
            }
            _ => return,
        }
        self.at += 1;
    }

    fn item(&mut self) {
        let outside = self.open.last().is_none_or(|(_, depth)| *depth == self.depth);
        self.at += 1;
        if self.ahead(0) == "!" {
            self.at += 1;
        }
        if outside && self.words.is_name(self.at) && !ITEMS.contains(&self.ahead(0)) {
            let name = self.next();
            self.scope().items.insert(name);
        }
    }

    fn path(&mut self) {
        let before = self.at.checked_sub(1).map_or("", |before| self.words.text(before));
        let begins = before != "::" && before != ".";
        let mut path = vec![self.next()];
        while self.ahead(0) == "::" && self.words.is_name(self.at + 1) {
            self.at += 1;
            path.push(self.next());
        }
        if begins && path.len() > 1 {
            self.scope().paths.push(path);
        }
    }
}

/// Whether code under this condition is built only for tests, including documentation tests.
fn for_tests(condition: &[&str]) -> bool {
    let has = |word| condition.contains(&word);
    (has("test") || has("doctest")) && !has("not") && !has("any")
}
