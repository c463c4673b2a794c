//! Import cycles between files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use super::tree::Graph;

/// A shortest cycle for each group of files that import each other; the last file of a chain
/// imports the first.
pub(super) fn cycles(graph: &Graph) -> Vec<Vec<&Path>> {
    let mut cycles = Vec::new();
    let mut known = BTreeSet::new();
    for file in graph.keys() {
        if known.contains(file.as_path()) {
            continue;
        }
        if let Some(cycle) = cycle(graph, file) {
            let around = |other: &&PathBuf| chain(graph, file, other).is_some() && chain(graph, other, file).is_some();
            known.extend(graph.keys().filter(around).map(PathBuf::as_path));
            cycles.push(cycle);
        }
    }
    cycles
}

/// The shortest path from a file back to itself, if there is one.
fn cycle<'a>(graph: &'a Graph, file: &'a Path) -> Option<Vec<&'a Path>> {
    let ways = graph.get(file)?.keys().filter_map(|next| chain(graph, next, file));
    let mut shortest = ways.min_by_key(Vec::len)?;
    shortest.rotate_right(1);
    Some(shortest)
}

/// The files on the shortest path from one file to another, including both.
fn chain<'a>(graph: &'a Graph, from: &'a Path, to: &Path) -> Option<Vec<&'a Path>> {
    let mut before: BTreeMap<&Path, Option<&Path>> = BTreeMap::from([(from, None)]);
    let mut queue = VecDeque::from([from]);
    while let Some(file) = queue.pop_front() {
        if file == to {
            let mut chain: Vec<_> =
                std::iter::successors(Some(file), |file| before.get(file).copied().flatten()).collect();
            chain.reverse();
            return Some(chain);
        }
        for next in graph.get(file).into_iter().flat_map(BTreeMap::keys) {
            if !before.contains_key(next.as_path()) {
                before.insert(next, Some(file));
                queue.push_back(next);
            }
        }
    }
    None
}
