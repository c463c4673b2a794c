//! A plan as text.

use std::fmt;
use std::time::Duration;

use lepton_core::deployment::{Change, Severity};

use super::Plan;
use crate::spec::Start;

/// The rates between which a copy usually is, in bytes per second: a slow line, and one machine
/// with a fast one.
const RATES: (u64, u64) = (10 << 20, 500 << 20);

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan of the migration {}, {}", self.name, self.hash)?;
        for data in &self.data_sets {
            writeln!(f, "\n  {}: {} objects, {}", data.name, data.objects, size(data.bytes))?;
            writeln!(f, "    {} → {}", data.from, data.to)?;
            let [fast, slow] = [RATES.1, RATES.0].map(|rate| Duration::from_secs(data.bytes / rate + 1));
            writeln!(f, "    between {fast:?} and {slow:?} for the first copy; the rate is not known yet")?;
        }
        for workload in &self.workloads {
            let when = if workload.start == Start::AfterSwitch { ", after the switch" } else { "" };
            writeln!(f, "\n  workload {} at {}{when}", workload.name, workload.place)?;
            if let Some(plan) = &workload.change {
                // Every field of a workload that does not exist yet is new.
                let lines = if plan.change == Change::Create { 1 } else { usize::MAX };
                for line in plan.to_string().lines().take(lines) {
                    writeln!(f, "    {line}")?;
                }
            }
        }
        writeln!(f)?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {:2}. {step}", number + 1)?;
        }
        for assumption in &self.assumptions {
            writeln!(f, "\n  assumed, not proven: {assumption}")?;
        }
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                _ => "info",
            };
            writeln!(f, "\n  {severity}: {finding}")?;
        }
        Ok(())
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}
