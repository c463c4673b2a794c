//! The public suite.

use std::time::Duration;

use lepton_core::{SystemRuntime, conformance};

use crate::place::{LONG, Place, program, serve};

pub(crate) async fn the_suite_passes() {
    let place = Place::with(|builder| builder.restart_delay(Duration::from_millis(5))).await;
    let mut fails = program("crash");
    // It never counts as ready, however slow the machine is.
    fails.readiness_probe.clone_from(&serve().readiness_probe);
    fails.ports.clone_from(&serve().ports);
    let options = conformance::deployment::Options::new(SystemRuntime::shared(), serve(), fails).deadline(LONG);
    let report = conformance::deployment::run(&place.deployment, options).await;
    println!("{report}");
    report.check().unwrap();
    assert_eq!(place.processes(), []);
}
