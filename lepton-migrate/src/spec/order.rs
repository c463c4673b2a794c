//! Which workload comes first.

use std::collections::{BTreeMap, BTreeSet};

use lepton_core::{Error, Result};

use super::migration::MigrationSpec;
use super::workload::WorkloadEntry;

impl MigrationSpec {
    /// The workloads, each after those that it names in `after`, otherwise in the order of the
    /// file. Data sets come before all workloads.
    ///
    /// # Errors
    /// `invalid_input` for a cycle, with the names in order, and for a name that refers to
    /// nothing.
    pub fn order(&self) -> Result<Vec<&WorkloadEntry>> {
        order(self)
    }
}

fn order(spec: &MigrationSpec) -> Result<Vec<&WorkloadEntry>> {
    let known: BTreeSet<&str> = spec
        .workloads
        .iter()
        .map(WorkloadEntry::name)
        .chain(spec.data_sets.iter().map(|set| set.name.as_str()))
        .collect();
    for workload in &spec.workloads {
        if let Some(name) = workload.after.iter().find(|name| !known.contains(name.as_str())) {
            let message = format!("`after` of the workload {} names {name:?}, which is not known", workload.name());
            return Err(Error::invalid_input(message));
        }
    }
    walk(&spec.workloads).map_err(|cycle| {
        Error::invalid_input(format!("each of these workloads comes after the next one: {}", cycle.join(" → ")))
    })
}

/// The workloads, each after those that it names, otherwise in their own order; or the names of a
/// cycle, whose first and last one are the same. Names of nothing are passed over.
pub(super) fn walk(workloads: &[WorkloadEntry]) -> Result<Vec<&WorkloadEntry>, Vec<&str>> {
    let mut by_name = BTreeMap::new();
    for (index, workload) in workloads.iter().enumerate() {
        by_name.entry(workload.name()).or_insert(index);
    }
    let mut ordered = Vec::new();
    let mut done = vec![false; workloads.len()];
    for first in 0..workloads.len() {
        // The workloads that wait for the one above them, each with how many of its names are done.
        let mut path: Vec<(usize, usize)> = if done[first] { Vec::new() } else { vec![(first, 0)] };
        while let Some((index, seen)) = path.last_mut() {
            let workload = &workloads[*index];
            let Some(name) = workload.after.get(*seen) else {
                done[*index] = true;
                ordered.push(workload);
                path.pop();
                continue;
            };
            *seen += 1;
            let Some(&before) = by_name.get(name.as_str()) else { continue };
            if let Some(begin) = path.iter().position(|(index, _)| *index == before) {
                let cycle = path[begin..].iter().map(|(index, _)| workloads[*index].name());
                return Err(cycle.chain([workloads[before].name()]).collect());
            }
            if !done[before] {
                path.push((before, 0));
            }
        }
    }
    Ok(ordered)
}
