//! What happens in which order.

use lepton_core::Result;
use lepton_core::traffic::InFlightPolicy;

use crate::spec::{CutOver, MigrationSpec, Start, WritersSpec, command_line};

/// The steps of the migration, in order.
pub(super) fn steps(spec: &MigrationSpec) -> Result<Vec<String>> {
    let order = spec.order()?;
    let sets: Vec<_> = spec.data_sets.iter().map(|set| set.name.as_str()).collect();
    let sets = sets.join(", ");
    let named = |start: Start| -> Vec<&str> {
        order.iter().filter(|entry| entry.start == start).map(|entry| entry.name()).collect()
    };
    let mut steps = vec![
        "make side B refuse its application's writes".to_owned(),
        format!("copy {sets} to side B, while users write at side A"),
        format!("follow the changes until side B is at most {:?} behind", spec.policy.lag),
    ];
    let programs = |start: Start| {
        let of_start = spec.steps.iter().filter(move |step| step.start == start);
        of_start.map(|step| {
            format!("{}: run {}; a rollback runs {}", step.name, command_line(&step.apply), command_line(&step.undo))
        })
    };
    steps.extend(programs(Start::BeforeSwitch));
    let before = named(Start::BeforeSwitch);
    if !before.is_empty() {
        steps.push(format!("create at side B and wait until ready: {}", before.join(", ")));
    }
    steps.extend(spec.tests.iter().map(|test| format!("test side B: {}", test.name)));
    if spec.policy.cut_over == CutOver::Command {
        steps.push("wait for the command to cut over".to_owned());
    }
    let limits = &spec.traffic.hold;
    steps.push(format!(
        "hold new writes, for at most {:?}, {} requests and {} MiB; past a limit they go to the owner",
        limits.time,
        limits.requests,
        limits.bytes >> 20
    ));
    steps.push(match spec.traffic.in_flight {
        InFlightPolicy::Cut(after) => format!("wait for writes in flight, and cut them after {after:?}"),
        _ => "wait for writes in flight".to_owned(),
    });
    for set in &spec.data_sets {
        steps.push(match &set.writers {
            WritersSpec::RouterOnly => format!("assume that nothing but the route writes to {}", set.name),
            WritersSpec::Command { command, .. } => {
                format!(
                    "make side A refuse writes to {} ({}), and prove it by a write",
                    set.name,
                    command_line(command)
                )
            }
            WritersSpec::Scale { a, .. } => {
                format!("scale {} at side A to 0, so that nothing writes to {}", a.workload, set.name)
            }
        });
    }
    steps.push(format!("copy the last changes of {sets} and compare both sides wholly"));
    steps.push("move the ownership to side B, make it accept writes, and send it the held requests".to_owned());
    steps.extend(programs(Start::AfterSwitch));
    let after = named(Start::AfterSwitch);
    if !after.is_empty() {
        steps.push(format!("create at side B: {}", after.join(", ")));
    }
    steps.push("let side A follow side B, so that a rollback loses nothing, until the command to finalize".to_owned());
    steps.extend(spec.decommission.iter().map(|owned| format!("on command, delete at side A: {}", owned.workload)));
    Ok(steps)
}

/// What the specification asks to take for granted.
pub(super) fn assumptions(spec: &MigrationSpec) -> Vec<String> {
    let assumed = spec.data_sets.iter().filter(|set| set.writers == WritersSpec::RouterOnly);
    assumed.map(|set| format!("nothing but the route writes to {} at side A", set.name)).collect()
}
