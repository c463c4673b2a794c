//! Workloads in two roles that exclude each other.

use super::findings::Findings;
use crate::spec::data_set::{ScaleSpec, WritersSpec};
use crate::spec::migration::{MigrationSpec, OwnedWorkload};
use crate::spec::workload::{Start, is_same};

pub(super) fn check(spec: &MigrationSpec, found: &mut Findings) {
    for (index, owned) in spec.decommission.iter().enumerate() {
        check_decommission(spec, owned, &format!("decommission[{index}]"), found);
    }
    for (set, b) in writers_at_b(spec) {
        let created = spec.workloads.iter().find(|entry| entry.is(&b.deployment, &b.workload));
        if created.is_some_and(|entry| entry.start == Start::BeforeSwitch) {
            found.error(
                format_args!("data_sets[{set}].writers.scale.b"),
                "the workload starts before the switch, when side B must not write yet",
                "start the workload with \"after_switch\"",
            );
        }
    }
}

/// A decommission would delete what serves the users at side B.
fn check_decommission(spec: &MigrationSpec, owned: &OwnedWorkload, subject: &str, found: &mut Findings) {
    let OwnedWorkload { deployment, workload } = owned;
    if deployment.is_empty() || workload.is_empty() {
        found.error(subject, "`deployment` or `workload` is empty", "name the workload of side A");
        return;
    }
    let created = spec.workloads.iter().any(|entry| entry.is(deployment, workload));
    let writes = writers_at_b(spec).any(|(_, b)| is_same((&b.deployment, &b.workload), (deployment, workload)));
    if created || writes {
        let message = format!("{workload} at {deployment} is a workload of side B");
        found.error(subject, message, "name a workload of side A");
    }
}

/// The workloads that write at side B, with their data sets.
fn writers_at_b(spec: &MigrationSpec) -> impl Iterator<Item = (&str, &ScaleSpec)> {
    spec.data_sets.iter().filter_map(|set| match &set.writers {
        WritersSpec::Scale { b, .. } => Some((set.name.as_str(), b)),
        _ => None,
    })
}
