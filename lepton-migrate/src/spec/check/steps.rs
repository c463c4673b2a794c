//! The programs that make changes.

use std::collections::BTreeSet;

use super::findings::Findings;
use crate::spec::migration::MigrationSpec;

pub(super) fn check(spec: &MigrationSpec, found: &mut Findings) {
    let mut names = BTreeSet::new();
    for (index, step) in spec.steps.iter().enumerate() {
        let subject = |field: &str| format!("steps[{index}].{field}");
        if step.name.is_empty() || !names.insert(&step.name) {
            let message = format!("{:?} is empty or the name of another step", step.name);
            found.error(subject("name"), message, "use a name of its own");
        }
        // `observe` may be left out.
        let observe = (!step.observe.is_empty()).then_some(("observe", &step.observe));
        for (field, command) in [("apply", &step.apply), ("undo", &step.undo)].into_iter().chain(observe) {
            if command.first().is_none_or(String::is_empty) {
                found.error(subject(field), "it is empty", "name a program and its arguments");
            }
        }
        if step.timeout.is_zero() {
            found.error(subject("timeout"), "it is 0", "use a larger value");
        }
    }
}
