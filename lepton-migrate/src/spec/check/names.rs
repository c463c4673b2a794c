//! Names, and what refers to them.

use std::collections::BTreeSet;

use lepton_core::deployment::WorkloadSpec;

use super::findings::Findings;
use crate::spec::migration::MigrationSpec;
use crate::spec::order;
use crate::spec::workload::{Binding, Start, Variable, WorkloadEntry};

const RULE: &str = "1 to 63 lower-case letters, digits and inner hyphens";

pub(super) fn check(spec: &MigrationSpec, found: &mut Findings) {
    if !is_name(&spec.name) {
        found.error("name", format!("{:?} is not a name", spec.name), format!("use {RULE}"));
    }
    if spec.traffic.url.is_empty() {
        found.error("traffic.url", "it is empty", "name the route");
    }
    if spec.data_sets.is_empty() {
        found.error("data_sets", "there is none", "a migration needs at least one");
    }
    let mut taken = BTreeSet::new();
    for (index, set) in spec.data_sets.iter().enumerate() {
        if !is_name(&set.name) {
            let message = format!("{:?} is not a name", set.name);
            found.error(format_args!("data_sets[{index}].name"), message, format!("use {RULE}"));
        }
        unique(&mut taken, &set.name, format!("data_sets[{index}].name"), found);
    }
    for (index, workload) in spec.workloads.iter().enumerate() {
        unique(&mut taken, workload.name(), format!("workloads[{index}].spec.name"), found);
        check_workload(spec, workload, found);
    }
    if let Err(cycle) = order::walk(&spec.workloads) {
        let message = format!("each of these workloads comes after the next one: {}", cycle.join(" → "));
        found.error("workloads", message, "remove one of the names from `after`");
    }
}

fn is_name(name: &str) -> bool {
    // The rule of a workload's name.
    WorkloadSpec::of_command(name, ["program"]).check().is_ok()
}

fn unique<'a>(taken: &mut BTreeSet<&'a str>, name: &'a str, subject: String, found: &mut Findings) {
    if !taken.insert(name) {
        let message = format!("another data set or workload is named {name:?} too");
        found.error(subject, message, "use a name of its own");
    }
}

fn check_workload(spec: &MigrationSpec, workload: &WorkloadEntry, found: &mut Findings) {
    let subject = |field: &str| format!("workloads[{}].{field}", workload.name());
    if let Err(error) = workload.spec.check() {
        found.error(subject("spec"), error.message(), "see the fields of a workload");
    }
    if workload.deployment.is_empty() {
        found.error(subject("deployment"), "it is empty", "name the deployment");
    }
    match &workload.route {
        Some(route) if !workload.spec.ports.iter().any(|port| port.name == *route) => {
            let ports = list(workload.spec.ports.iter().map(|port| port.name.as_str()));
            found.error(subject("route"), format!("there is no port {route:?}"), format!("the ports are: {ports}"));
        }
        Some(_) if workload.start == Start::AfterSwitch => found.error(
            subject("start"),
            "a workload with a route gets the requests at the switch, and must run before it",
            "use \"before_switch\", or no `route`",
        ),
        None if workload.start == Start::BeforeSwitch => found.warning(
            subject("start"),
            "a workload without a route runs before the switch; a job or a consumer would write to side B",
            "use \"after_switch\" if it writes by itself",
        ),
        _ => {}
    }
    for name in &workload.after {
        check_after(spec, workload, name, found);
    }
    for binding in &workload.bindings {
        check_binding(spec, workload, binding, found);
    }
}

fn check_after(spec: &MigrationSpec, workload: &WorkloadEntry, name: &str, found: &mut Findings) {
    let subject = format!("workloads[{}].after", workload.name());
    let before = spec.workloads.iter().find(|other| other.name() == name);
    if before.is_none() && !spec.data_sets.iter().any(|set| set.name == name) {
        let sets = spec.data_sets.iter().map(|set| set.name.as_str());
        let names = list(spec.workloads.iter().map(WorkloadEntry::name).chain(sets));
        found.error(subject, format!("{name:?} is not known"), format!("the workloads and data sets are: {names}"));
    } else if workload.start == Start::BeforeSwitch && before.is_some_and(|other| other.start == Start::AfterSwitch) {
        let message = format!("it starts before the switch, and {name:?} starts after it");
        found.error(subject, message, "change `start` of one of them");
    }
}

fn check_binding(spec: &MigrationSpec, workload: &WorkloadEntry, binding: &Binding, found: &mut Findings) {
    let WorkloadSpec { env, secrets, .. } = &workload.spec;
    let (field, name, known) = match &binding.variable {
        Variable::Env(name) => ("env", name, env.keys().collect::<Vec<_>>()),
        Variable::Secret(name) => ("secrets", name, secrets.keys().collect()),
    };
    let subject = format!("workloads[{}].bindings", workload.name());
    if !known.contains(&name) {
        let names = list(known.into_iter().map(String::as_str));
        let message = format!("{name:?} is not a variable in `spec.{field}`");
        found.error(&subject, message, format!("the variables there are: {names}"));
    }
    if !spec.data_sets.iter().any(|set| set.name == binding.data_set) {
        let names = list(spec.data_sets.iter().map(|set| set.name.as_str()));
        let message = format!("{name} is bound to the data set {:?}, which is not known", binding.data_set);
        found.error(&subject, message, format!("the data sets are: {names}"));
    }
}

/// Names for a message.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
