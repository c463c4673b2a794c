//! The modules of a program or library, and the imports between its files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::reader::{File, Scope, read};

/// The files that each file imports, each with a name that it imports from there.
pub(super) type Graph = BTreeMap<PathBuf, BTreeMap<PathBuf, String>>;

/// The modules of a crate, the root first.
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

/// The target of a path.
#[derive(Debug, Clone, Copy)]
struct Place {
    module: usize,
    /// Whether the target is an item in the module rather than the module itself.
    inside: bool,
}

/// Names whose lookup is in progress, each in its module, so that no search loops forever.
type Seen<'a> = BTreeSet<(usize, &'a str)>;

impl Tree {
    /// Reads a crate, starting at its root file.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.load(None, root, root.parent().unwrap_or(root))?;
        Ok(tree)
    }

    /// Adds the modules of a file; `folder` is where its child modules are.
    fn load(&mut self, parent: Option<usize>, file: &Path, folder: &Path) -> Result<usize> {
        let source = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
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
            self.modules.push(Module { file: file.to_path_buf(), parent, children: BTreeMap::new(), scope });
        }
        for (place, declared) in declared {
            self.declared(first + place, &declared, file, &folders[place])?;
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
        let child = self.load(Some(parent), &path, &folder)?;
        self.modules[parent].children.entry(declared.name.clone()).or_insert(child);
        Ok(())
    }

    /// Adds the imports between the files to a graph.
    pub(super) fn imports(&self, graph: &mut Graph) {
        for (from, module) in self.modules.iter().enumerate() {
            let imports = graph.entry(module.file.clone()).or_default();
            let mut note = |path: &[String], place: Place| {
                let file = &self.modules[place.module].file;
                if *file != module.file {
                    let name = path.last().cloned().unwrap_or_default();
                    imports.entry(file.clone()).or_insert(name);
                }
            };
            for import in &module.scope.imports {
                // The name of a folder module alone does not count as an import: the items used
                // from it do.
                let folder = |place: &Place| !place.inside && !self.modules[place.module].children.is_empty();
                let counts = |place: &Place| import.name == "*" || !folder(place);
                self.found(from, &import.path).into_iter().filter(counts).for_each(|place| note(&import.path, place));
            }
            for path in &module.scope.paths {
                // A path that ends in a module belongs to a visibility such as `pub(in …)`.
                self.found(from, path).into_iter().filter(|place| place.inside).for_each(|place| note(path, place));
            }
        }
    }

    /// The targets of a path in a module.
    fn found(&self, from: usize, path: &[String]) -> Vec<Place> {
        self.walk(from, path, &mut Seen::new())
    }

    /// Follows a path, including through re-exports.
    fn walk<'a>(&'a self, from: usize, path: &'a [String], seen: &mut Seen<'a>) -> Vec<Place> {
        let Some((first, rest)) = path.split_first() else { return Vec::new() };
        let mut places = match first.as_str() {
            "crate" => vec![Place { module: 0, inside: false }],
            "self" => vec![Place { module: from, inside: false }],
            "super" => self.above(from),
            name => self.look_up(from, name, seen),
        };
        for name in rest {
            places = places.into_iter().flat_map(|place| self.step(place, name, seen)).collect();
        }
        places
    }

    /// Follows one segment. A name without a visible definition, such as one from another
    /// crate, counts as an item of the module in which it is looked up.
    fn step<'a>(&'a self, place: Place, name: &'a str, seen: &mut Seen<'a>) -> Vec<Place> {
        if place.inside {
            return vec![place]; // a variant, or a function of a type
        }
        if name == "super" {
            return self.above(place.module);
        }
        let found = self.look_up(place.module, name, seen);
        if found.is_empty() { vec![Place { inside: true, ..place }] } else { found }
    }

    fn above(&self, module: usize) -> Vec<Place> {
        self.modules[module].parent.map(|module| Place { module, inside: false }).into_iter().collect()
    }

    /// The targets of a name in a module: several where features choose between them.
    fn look_up<'a>(&'a self, module: usize, name: &'a str, seen: &mut Seen<'a>) -> Vec<Place> {
        let Module { children, scope, .. } = &self.modules[module];
        if let Some(child) = children.get(name) {
            return vec![Place { module: *child, inside: false }];
        }
        if scope.items.contains(name) {
            return vec![Place { module, inside: true }];
        }
        if !seen.insert((module, name)) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for import in scope.imports.iter().filter(|import| import.name == name) {
            found.extend(self.walk(module, &import.path, seen));
        }
        if found.is_empty() {
            for import in scope.imports.iter().filter(|import| import.name == "*") {
                for place in self.walk(module, &import.path, seen).into_iter().filter(|place| !place.inside) {
                    found.extend(self.look_up(place.module, name, seen));
                }
            }
        }
        seen.remove(&(module, name));
        found
    }
}

/// The path with `..` resolved.
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
