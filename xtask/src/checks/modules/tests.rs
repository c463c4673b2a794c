//! Small sources and crates, each for one case.

use std::path::{Path, PathBuf};

use super::check::{in_cycles, within};
use super::layers::upward;
use super::reader::{Scope, read};
use super::tree::{Graph, Tree};

fn names(scope: &Scope) -> Vec<String> {
    scope.imports.iter().map(|import| format!("{} as {}", import.path.join("::"), import.name)).collect()
}

/// The imports between the files of a crate; the first file is its root.
fn graph(name: &str, files: &[(&str, &str)]) -> Graph {
    let folder = std::env::temp_dir().join(format!("lepton-modules-{name}-{}", std::process::id()));
    for (file, source) in files {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, source).unwrap();
    }
    let mut graph = Graph::new();
    let read = Tree::read(&folder.join(files[0].0)).map(|tree| tree.imports(&mut graph));
    std::fs::remove_dir_all(&folder).unwrap();
    read.unwrap();
    within(&folder, graph)
}

fn imports(graph: &Graph, file: &str) -> Vec<String> {
    graph[Path::new(file)].keys().map(|to| to.display().to_string()).collect()
}

#[test]
fn groups_of_use_are_resolved_name_by_name() {
    let source = "pub(super) use a::{self, b::{C as D, *}, E};\nuse crate::f as _;\nuse ::g::H;\n";
    let scopes = read(source);
    let expected = ["a as a", "a::b::C as D", "a::b as *", "a::E as E", "crate::f as _", "::::g::H as H"];
    assert_eq!(names(&scopes[0]), expected);
}

#[test]
fn paths_and_items_are_read_and_what_is_said_about_them_is_not() {
    let source = "// use a::b;\nconst T: &str = \"use c::d;\";\npub(in crate::e) struct S<'a>(&'a u8);\n\
        fn f(x: crate::g::H) -> impl Sized + use<'_> { x.map(super::i::j::<u8>); <u8>::k::l() }\n";
    let scopes = read(source);
    let items: Vec<_> = scopes[0].items.iter().map(String::as_str).collect();
    assert_eq!(items, ["S", "T", "f"]);
    let paths: Vec<_> = scopes[0].paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["crate::e", "crate::g::H", "super::i::j"]);
    assert_eq!(names(&scopes[0]), Vec::<String>::new());
}

#[test]
fn what_only_tests_are_built_with_does_not_count() {
    let source = "#[cfg(test)]\nuse a::{b, c};\n#[cfg(all(test, unix))]\n#[path = \"x.rs\"]\nmod x;\n\
        #[cfg(test)]\nmod y { use super::d; }\nenum E { #[cfg(test)] F(g::H), I }\n\
        #[cfg(not(test))]\nuse j::K;\n#[cfg(any(test, unix))]\nfn l() { m::n() }\n";
    let scopes = read(source);
    assert_eq!((names(&scopes[0]), scopes.len()), (vec!["j::K as K".to_owned()], 1));
    assert_eq!(scopes[0].files, []);
    assert_eq!(scopes[0].paths, [["m", "n"].map(str::to_owned)]);
    assert_eq!(read("#![cfg(test)]\nuse a::b;\n")[0].imports, []);
}

#[test]
fn a_module_in_braces_has_names_of_its_own() {
    let scopes = read("mod a { use super::B; mod c; fn d() {} } fn e() {}");
    let [outer, inner] = &scopes[..] else { panic!("{}", scopes.len()) };
    assert_eq!((outer.items.len(), inner.name.as_str(), inner.parent), (1, "a", 0));
    assert_eq!((names(inner), inner.files[0].name.as_str()), (vec!["super::B as B".to_owned()], "c"));
}

#[test]
fn an_import_of_a_re_exported_name_is_one_of_the_file_that_defines_it() {
    let graph = graph(
        "re-exported",
        &[
            ("lib.rs", "mod a; mod b; pub use a::*; pub use bytes::Bytes;"),
            ("a/mod.rs", "mod c; mod d; pub use c::{C, C as Other}; pub(crate) const HERE: u8 = 1;"),
            ("a/c.rs", "pub struct C;"),
            ("a/d.rs", "use super::Other; fn d() { super::HERE; }"),
            ("b.rs", "use crate::a; fn b() { a::C; a::missing!(); crate::C::new(); crate::Bytes::new(); std::a::C; }"),
        ],
    );
    assert_eq!(imports(&graph, "a/d.rs"), ["a/c.rs", "a/mod.rs"]);
    assert_eq!(imports(&graph, "b.rs"), ["a/c.rs", "a/mod.rs", "lib.rs"]);
    assert_eq!(imports(&graph, "a/mod.rs"), ["a/c.rs"]);
    assert_eq!(imports(&graph, "a/c.rs"), Vec::<String>::new());
}

#[test]
fn what_features_choose_between_is_imported_either_way() {
    let graph = graph(
        "features",
        &[
            ("lib.rs", "mod a; mod b;"),
            (
                "a/mod.rs",
                "#[cfg(unix)] mod c; #[cfg(not(unix))] mod d;\n\
                 #[cfg(unix)] pub use c::Same; #[cfg(not(unix))] pub use d::Same;",
            ),
            ("a/c.rs", "pub struct Same;"),
            ("a/d.rs", "pub struct Same;"),
            ("b.rs", "use crate::a::Same;"),
        ],
    );
    assert_eq!(imports(&graph, "b.rs"), ["a/c.rs", "a/d.rs"]);
}

#[test]
fn a_declaration_is_no_import_and_files_of_tests_are_not_read() {
    let graph = graph(
        "declared",
        &[
            ("main.rs", "mod a; #[path = \"elsewhere/b.rs\"] mod b; fn main() { b::run(); }"),
            ("a.rs", "mod tests; mod below; use std::a; pub fn run() {}"),
            ("a/tests.rs", "use crate::b;"),
            ("a/below.rs", "fn f() { super::super::a::run() }"),
            ("elsewhere/b.rs", "mod c; pub fn run() {}"),
            ("elsewhere/c.rs", ""),
        ],
    );
    assert_eq!(imports(&graph, "main.rs"), ["elsewhere/b.rs"]);
    assert_eq!(imports(&graph, "a.rs"), Vec::<String>::new());
    assert_eq!(imports(&graph, "a/below.rs"), ["a.rs"]);
    assert!(!graph.contains_key(Path::new("a/tests.rs")) && graph.contains_key(Path::new("elsewhere/c.rs")));
}

#[test]
fn a_cycle_is_reported_as_a_chain_of_files() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d; pub use d::D;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::{D, c}; pub struct B; fn b() { c::c() }"),
        ("c.rs", "pub fn c() { super::a::A; }"),
        ("d.rs", "pub struct D;"),
    ];
    let told = in_cycles(&graph("cycle", &files));
    assert_eq!(told, ["files import each other in a cycle: a.rs → b.rs (B) → c.rs (c) → a.rs (A)"]);
    let mut cut = files;
    cut[3].1 = "pub fn c() { \"super::a::A\"; }";
    assert_eq!(in_cycles(&graph("cut", &cut)), Vec::<String>::new());
}

#[test]
fn code_in_a_folders_map_that_its_files_use_is_a_cycle() {
    let files = [
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; pub use b::B; pub(crate) const SIZE: u8 = 1;"),
        ("a/b.rs", "use super::SIZE; pub struct B;"),
    ];
    let told = in_cycles(&graph("map", &files));
    assert_eq!(told, ["files import each other in a cycle: a/b.rs → a/mod.rs (SIZE) → a/b.rs (B)"]);
}

#[test]
fn folders_import_downwards_only() {
    let rows: [&[&str]; 3] = [&["lib"], &["one", "other"], &["below"]];
    let import = |from: &str, to: &str| {
        let file = |path: &str| PathBuf::from("src").join(path);
        let graph = Graph::from([(file(from), [(file(to), "X".to_owned())].into()), (file(to), [].into())]);
        upward(&rows, Path::new("src"), &graph)
    };
    assert_eq!(import("lib.rs", "one/a.rs"), Vec::<String>::new());
    assert_eq!(import("one/a.rs", "one/b.rs"), Vec::<String>::new());
    assert_eq!(import("below.rs", "one/a.rs"), ["src/below.rs imports X of src/one/a.rs: below may not import one"]);
    assert_eq!(import("one/a.rs", "other.rs").len(), 1);
    assert!(import("one/a.rs", "new/b.rs")[0].starts_with("src/new/b.rs has no row"));
}
