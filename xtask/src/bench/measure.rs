//! The cost of one run of one program, measured with GNU time.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::place::Place;
use super::set::Set;
use crate::process::{output, program};
use crate::tools::debian;

const TIME: &str = "/usr/bin/time";

/// The measurements of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    /// Wall-clock seconds.
    pub(super) wall: f64,
    /// CPU seconds, user and system.
    pub(super) cpu: f64,
    /// Peak of resident memory in MiB.
    pub(super) memory: f64,
}

/// One line of the table: one program doing one task, several times.
pub(super) struct Row {
    pub(super) case: String,
    pub(super) tool: String,
    /// The command line, so that readers can judge the options.
    pub(super) command: String,
    pub(super) objects: u64,
    pub(super) bytes: u64,
    pub(super) samples: Vec<Sample>,
}

impl Row {
    pub(super) fn new(set: &Set, direction: &str, from: &Place, to: &Place, tool: &str) -> Self {
        let case = format!("{}, {direction} ({} → {})", set.title, from.name(), to.name());
        Self {
            case,
            tool: tool.to_owned(),
            command: String::new(),
            objects: set.objects,
            bytes: set.bytes(),
            samples: Vec::new(),
        }
    }

    pub(super) fn title(&self) -> String {
        format!("{}: {}", self.case, self.tool)
    }
}

/// Runs the command, which must succeed.
pub(super) fn run(command: &mut Command) -> Result<Sample> {
    if !Path::new(TIME).exists() {
        debian(&["time"])?;
    }
    let report = std::env::temp_dir().join(format!("lepton-bench-time-{}", std::process::id()));
    let mut timed = program::<&str>(TIME, &[]);
    timed.args(["--format", "%e %U %S %M", "--output"]).arg(&report);
    timed.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        timed.env(name, value.unwrap_or_default());
    }
    output(&mut timed)?;
    let text = fs::read_to_string(&report).context("GNU time left no report")?;
    fs::remove_file(&report)?;
    parse(&text).with_context(|| format!("cannot read the report of GNU time: {text}"))
}

/// Parses wall-clock seconds, user and system CPU seconds, and KiB.
fn parse(report: &str) -> Option<Sample> {
    let numbers: Vec<f64> = report.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let [wall, user, system, memory] = numbers[..] else { return None };
    Some(Sample { wall, cpu: user + system, memory: memory / 1024.0 })
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s, CPU {:.1} s, {:.0} MiB", self.wall, self.cpu, self.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_report_of_gnu_time() {
        assert_eq!(parse("1.50 1.00 0.25 2048\n"), Some(Sample { wall: 1.5, cpu: 1.25, memory: 2.0 }));
        assert_eq!(parse("Command exited with non-zero status 1\n1.50 1.00 0.25 2048\n"), None);
    }
}
