//! The resources used by the process, from `/proc`.

use std::fs::read_to_string;

/// CPU time and memory of a process; zero if the system does not report them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_rss: u64,
}

/// Ticks per second in `/proc`: fixed on Linux.
const TICKS: f64 = 100.0;

/// The fewest bytes of which CPU time per GiB means something: below, the start of the process
/// takes most of it.
const ENOUGH: u64 = 64 << 20;

impl Usage {
    pub(crate) fn of_this_process() -> Self {
        Self { cpu_seconds: cpu_seconds().unwrap_or_default(), peak_rss: peak_rss().unwrap_or_default() }
    }

    /// Both as text: the CPU time per GiB of `bytes`, if these are enough for that.
    pub(crate) fn words(&self, bytes: u64) -> String {
        let memory = format!("{} MiB peak memory", self.peak_rss >> 20);
        if bytes < ENOUGH {
            return memory;
        }
        let gib = bytes as f64 / f64::from(1 << 30);
        format!("{:.2} CPU-s/GiB, {memory}", self.cpu_seconds / gib)
    }
}

/// User and system time: fields 14 and 15 of `/proc/self/stat`.
fn cpu_seconds() -> Option<f64> {
    let stat = read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

fn peak_rss() -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}
