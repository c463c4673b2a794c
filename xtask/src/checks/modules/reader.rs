//! What a Rust source declares and what it names, module by module, without what only tests
//! are built with.

use std::collections::BTreeSet;

use super::words::Words;

/// Words that the name of an item follows.
const ITEMS: [&str; 8] = ["const", "enum", "fn", "macro_rules", "static", "struct", "trait", "type"];

/// Words that an item may begin with besides.
const BEFORE_ITEMS: [&str; 7] = ["async", "extern", "impl", "mod", "pub", "unsafe", "use"];

/// Segments, such as `crate`, `list`, `Page`.
pub(super) type Path = Vec<String>;

/// A module: the source itself, or one in braces within it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// Empty for the source itself.
    pub(super) name: String,
    /// The place of the scope around it.
    pub(super) parent: usize,
    /// Modules in files of their own.
    pub(super) files: Vec<File>,
    pub(super) items: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    /// Paths outside of `use`, of two segments or more.
    pub(super) paths: Vec<Path>,
}

/// `mod name;`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    /// What `#[path = "…"]` says.
    pub(super) path: Option<String>,
}

/// One name of a `use`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) path: Path,
    /// What it is called here; `*` for all.
    pub(super) name: String,
}

/// The scopes of a source, its own first, and those around others before them.
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
    /// The scopes that are open, with the depth of what stands in them.
    open: Vec<(usize, usize)>,
    /// Of an attribute that was passed.
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

    /// Passes what is for tests only, and keeps where a module is said to be.
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

    /// Goes behind the attribute here and what it stands before.
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

    /// Goes behind the first of these outside of brackets, or to the bracket that closes
    /// what is around.
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

    /// What stands behind `use`, or between the commas of a group of it.
    fn tree(&mut self, mut path: Path, found: &mut Vec<Import>) {
        loop {
            match self.next().as_str() {
                "{" => return self.group(&path, found),
                "*" => return found.push(Import { path, name: "*".into() }),
                "self" if !path.is_empty() => {}
                // `::` in front, too: no name of ours is behind it.
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

/// Whether only tests, also those of the documentation, are built under this condition.
fn for_tests(condition: &[&str]) -> bool {
    let has = |word| condition.contains(&word);
    (has("test") || has("doctest")) && !has("not") && !has("any")
}
