//! Workloads as processes of this machine, with real processes.
//!
//! The program of these tests is also the supervisor and the replicas, so it has a main function
//! of its own: `program` is what the replicas run, `place` a state folder whose processes are
//! ended when the test ends. Arguments that are no options select tests by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test without the harness")]

mod adoption;
mod conformance;
mod files;
mod kill;
mod lifecycle;
mod logs;
mod place;
mod probes;
mod program;
mod secrets;
mod silence;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

/// A test.
type Test = (&'static str, fn() -> Pin<Box<dyn Future<Output = ()>>>);

/// The tests of a module.
macro_rules! tests {
    ($($module:ident: $($name:ident),+;)*) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), || Box::pin($module::$name()))),+),*]
    };
}

const TESTS: &[Test] = tests! {
    conformance: the_suite_passes;
    adoption: replicas_outlive_their_driver_and_their_supervisor, a_second_supervisor_is_refused,
        a_start_without_a_record_is_adopted_or_withdrawn, a_number_that_was_reused_is_not_signalled,
        the_supervisor_leaves_when_nothing_is_left, a_program_that_is_no_supervisor_is_reported;
    kill: a_killed_supervisor_does_nothing_twice_and_leaves_nothing,
        a_killed_driver_is_followed_by_one_that_does_nothing_twice;
    lifecycle: a_program_that_ignores_the_signal_is_killed, a_program_that_crashes_is_restarted_more_and_more_rarely,
        a_program_that_does_not_exist_is_reported, what_a_replica_has_started_ends_with_it,
        traffic_ends_before_the_signal, recreate_never_runs_both, more_replicas_by_a_spec_replace_none,
        what_cannot_be_honoured_is_refused_by_name, drivers_that_apply_at_once_make_one_revision;
    probes: each_kind_decides_when_a_replica_is_ready, a_replica_that_is_not_alive_is_restarted,
        a_startup_probe_holds_the_others_back;
    logs: lines_of_each_replica_are_read_and_followed, a_replica_that_talks_a_lot_keeps_its_last_lines;
    secrets: values_are_in_no_file_and_reach_a_restarted_replica, lost_values_are_requested_by_a_reason,
        values_of_a_workload_that_was_never_made_are_wiped_by_a_delete;
    silence: a_stopped_supervisor_is_reported_and_replaced, drivers_that_replace_a_supervisor_at_once_leave_one,
        a_change_does_not_hang_on_a_stopped_supervisor_with_the_lock, a_process_without_the_lock_is_no_supervisor_and_lives_on, a_supervisor_that_does_not_begin_is_replaced,
        a_supervisor_works_while_a_stopped_driver_has_the_lock,
        a_driver_opens_without_the_lock_and_changes_nothing_without_it;
    files: a_damaged_file_is_reported_by_name, a_folder_that_others_can_read_is_refused;
};

fn main() -> ExitCode {
    if let Some(code) = lepton_providers::process::supervise_if_asked() {
        return code;
    }
    if !cfg!(target_os = "linux") {
        println!("skipped: this provider is for Linux");
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("program") => return program::run(&arguments[1..]),
        Some("driver") => return adoption::driver(&arguments[1..]),
        _ => {}
    }
    let chosen = |name: &str| {
        let mut filters = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
        filters.peek().is_none() || filters.any(|filter| name.contains(filter.as_str()))
    };
    let mut failed = 0;
    for (name, test) in TESTS.iter().filter(|(name, _)| chosen(name)) {
        if arguments.iter().any(|argument| argument == "--list") {
            println!("{name}: test");
            continue;
        }
        let start = std::time::Instant::now();
        let run = move || tokio::runtime::Runtime::new().unwrap().block_on(test());
        let done = std::thread::Builder::new().name((*name).into()).spawn(run).unwrap().join();
        println!("test {name} ... {} ({:.1?})", if done.is_ok() { "ok" } else { "FAILED" }, start.elapsed());
        failed += u32::from(done.is_err());
    }
    if failed > 0 {
        println!("{failed} tests failed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
