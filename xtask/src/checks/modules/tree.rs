//! The modules of a program or library, and which file of it imports which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::reader::{File, Scope, read};

/// For each file what it imports, with a name that it imports from there.
pub(super) type Graph = BTreeMap<PathBuf, BTreeMap<PathBuf, String>>;

/// The modules of a crate, its own first.
#[derive(Default)]
pub(super) struct Tree {
    modules: Vec<Module>,
}

struct Module {
    file: PathBuf,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    scope: Scope,
}

/// Where a path leads.
#[derive(Debug, Clone, Copy)]
struct Place {
    module: usize,
    /// To something in the module rather than to the module.
    inside: bool,
}

/// Names that are being looked up, each in its module, so that no search runs in a circle.
type Seen<'a> = BTreeSet<(usize, &'a str)>;

impl Tree {
    /// Reads a crate from the file of its root on.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.load(None, root.to_path_buf(), root.parent().unwrap_or(root))?;
        Ok(tree)
    }

    /// Adds what a file holds; `folder` is where its modules are.
    fn load(&mut self, parent: Option<usize>, file: PathBuf, folder: &Path) -> Result<usize> {
        let source = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let first = self.modules.len();
        let mut folders = vec![folder.to_path_buf()];
        let mut declared = Vec::new();
        for (place, mut scope) in read(&source).into_iter().enumerate() {
            let parent = if place == 0 { parent } else { Some(first + scope.parent) };
            if let Some(parent) = parent.filter(|_| place > 0) {
                folders.push(folders[scope.parent].join(&scope.name));
                self.modules[parent].children.insert(scope.name.clone(), first + place);
            }
            declared.extend(std::mem::take(&mut scope.files).into_iter().map(|file| (place, file)));
            self.modules.push(Module { file: file.clone(), parent, children: BTreeMap::new(), scope });
        }
        for (place, declared) in declared {
            self.declared(first + place, &declared, &file, &folders[place])?;
        }
        Ok(first)
    }

    fn declared(&mut self, parent: usize, declared: &File, file: &Path, folder: &Path) -> Result<()> {
        if declared.name == "tests" {
            return Ok(());
        }
        let own = folder.join(&declared.name);
        let (path, folder) = match &declared.path {
            Some(path) => {
                let path = normal(&file.parent().unwrap_or(file).join(path));
                let folder = path.parent().unwrap_or(&path).to_path_buf();
                (path, folder)
            }
            None if own.join("mod.rs").exists() => (own.join("mod.rs"), own),
            None => (own.with_extension("rs"), own),
        };
        let child = self.load(Some(parent), path, &folder)?;
        self.modules[parent].children.entry(declared.name.clone()).or_insert(child);
        Ok(())
    }

    /// Adds which file imports which to a graph.
    pub(super) fn imports(&self, graph: &mut Graph) {
        for (from, module) in self.modules.iter().enumerate() {
            let imports = graph.entry(module.file.clone()).or_default();
            let paths = module.scope.paths.iter().filter_map(|path| Some((path, self.found(from, path)?)));
            // One that ends in a module is that of a visibility.
            let paths = paths.filter(|(_, place)| place.inside);
            let uses = module.scope.imports.iter().filter_map(|import| {
                let place = self.found(from, &import.path)?;
                // A folder by its name is nothing yet: what is named in it is.
                let folder = !place.inside && !self.modules[place.module].children.is_empty();
                (!folder || import.name == "*").then_some((&import.path, place))
            });
            for (path, place) in uses.chain(paths) {
                let file = &self.modules[place.module].file;
                if *file != module.file {
                    let name = path.last().cloned().unwrap_or_default();
                    imports.entry(file.clone()).or_insert(name);
                }
            }
        }
    }

    fn found(&self, from: usize, path: &[String]) -> Option<Place> {
        self.walk(from, path, &mut Seen::new())
    }

    /// Follows a path, also through what is re-exported on the way. A name that nobody is
    /// seen to define, such as one of another crate, is one of the module that it is asked of.
    fn walk<'a>(&'a self, from: usize, path: &'a [String], seen: &mut Seen<'a>) -> Option<Place> {
        let (first, rest) = path.split_first()?;
        let mut place = match first.as_str() {
            "crate" => Place { module: 0, inside: false },
            "self" => Place { module: from, inside: false },
            "super" => Place { module: self.modules[from].parent?, inside: false },
            name => self.look_up(from, name, seen)?,
        };
        for name in rest {
            if place.inside {
                break; // a variant, or a function of a type
            }
            place = match name.as_str() {
                "super" => Place { module: self.modules[place.module].parent?, inside: false },
                name => self.look_up(place.module, name, seen).unwrap_or(Place { inside: true, ..place }),
            };
        }
        Some(place)
    }

    fn look_up<'a>(&'a self, module: usize, name: &'a str, seen: &mut Seen<'a>) -> Option<Place> {
        let Module { children, scope, .. } = &self.modules[module];
        if let Some(child) = children.get(name) {
            return Some(Place { module: *child, inside: false });
        }
        if scope.items.contains(name) {
            return Some(Place { module, inside: true });
        }
        if !seen.insert((module, name)) {
            return None;
        }
        let mut named = scope.imports.iter().filter(|import| import.name == name);
        let mut all = scope.imports.iter().filter(|import| import.name == "*");
        named.find_map(|import| self.walk(module, &import.path, seen)).or_else(|| {
            all.find_map(|import| {
                let place = self.walk(module, &import.path, seen).filter(|place| !place.inside)?;
                self.look_up(place.module, name, seen)
            })
        })
    }
}

/// The path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part.as_os_str() == ".." {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}
