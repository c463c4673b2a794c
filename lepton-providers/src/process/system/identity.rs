//! A process that cannot be mistaken for another one.
//!
//! The number of a process is given to another one after its end. A process is therefore named
//! by its number, the time of its start and the boot of the machine, and a signal goes through
//! a pidfd: the descriptor is opened first and the start time is compared afterwards, so that
//! the descriptor is known to mean the process of the record.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A process of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::process) struct Identity {
    /// Its number.
    pub(in crate::process) pid: i32,
    /// Its start, in clock ticks since the boot.
    pub(in crate::process) start: u64,
    /// The boot of the machine.
    pub(in crate::process) boot: String,
}

/// The fields of `/proc/<pid>/stat` that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::process) struct Stat {
    /// `R`, `S`, `Z`, …
    pub(in crate::process) state: char,
    /// The number of its session.
    pub(in crate::process) session: i32,
    /// Its start, in clock ticks since the boot.
    pub(in crate::process) start: u64,
}

impl Stat {
    /// Whether it has ended and only waits to be reaped.
    pub(in crate::process) fn is_dead(self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

impl Identity {
    /// The calling process.
    pub(in crate::process) fn own() -> io::Result<Self> {
        let pid = std::process::id().cast_signed();
        let stat = stat(pid).ok_or_else(|| io::Error::other("/proc does not show this process"))?;
        Ok(Self { pid, start: stat.start, boot: boot_id()? })
    }

    /// Whether it still runs.
    pub(in crate::process) fn is_alive(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot)
            && stat(self.pid).is_some_and(|stat| stat.start == self.start && !stat.is_dead())
    }

    /// A descriptor of it, if it still runs.
    fn open(&self) -> Option<OwnedFd> {
        let descriptor = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // After the descriptor is open: if the number had been reused before, the start time would
        // differ.
        self.is_alive().then_some(descriptor)
    }

    /// Whether this system has pidfds and `/proc`, without which no process can be signalled.
    pub(in crate::process) fn is_supported() -> bool {
        Self::own().is_ok_and(|own| own.open().is_some())
    }

    /// Sends a signal, if it still runs; returns whether it did.
    pub(in crate::process) fn signal(&self, signal: Signal) -> bool {
        self.open().is_some_and(|descriptor| pidfd_send_signal(descriptor, signal).is_ok())
    }
}

/// Reads `/proc/<pid>/stat`.
pub(in crate::process) fn stat(pid: i32) -> Option<Stat> {
    // The name of the program is not always UTF-8.
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&String::from_utf8_lossy(&bytes))
}

/// Parses the text of `/proc/<pid>/stat`. The name of the program, in parentheses, may hold
/// spaces and parentheses.
pub(in crate::process) fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let session = fields.nth(2)?.parse().ok()?;
    let start = fields.nth(15)?.parse().ok()?;
    Some(Stat { state, session, start })
}

/// The id of this boot of the machine.
pub(in crate::process) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The time since the boot, which is the same for every process.
pub(in crate::process) fn uptime() -> Duration {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split_ascii_whitespace().next().and_then(|seconds| seconds.parse().ok());
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_default()
}

/// The monotonic clock of the machine: like [`uptime`], without the time in which it slept.
pub(in crate::process) fn monotonic() -> Duration {
    // It is never negative.
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_named_like_the_fields() {
        let rest = "1 4 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5512 0 0";
        let expected = Stat { state: 'S', session: 3, start: 5512 };
        assert_eq!(parse_stat(&format!("7 (a) R 1) S {rest}")), Some(expected));
        assert_eq!(parse_stat("7 (a) S 1 4"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn a_number_that_was_reused_is_another_process() {
        let own = Identity::own().unwrap();
        assert!(own.is_alive());
        let child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let mut child = Guard(child);
        let pid = child.0.id().cast_signed();
        let real = Identity { pid, start: stat(pid).unwrap().start, boot: own.boot.clone() };
        let earlier = Identity { start: real.start - 1, ..real.clone() };
        let other_boot = Identity { boot: "other".into(), ..real.clone() };
        for wrong in [earlier, other_boot] {
            assert!(!wrong.is_alive() && !wrong.signal(Signal::KILL));
        }
        assert!(child.0.try_wait().unwrap().is_none(), "the other process lives on");
        assert!(real.signal(Signal::KILL));
        child.0.wait().unwrap();
        assert!(!real.is_alive() && !real.signal(Signal::KILL));
    }

    struct Guard(std::process::Child);

    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
