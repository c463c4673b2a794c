//! The whole migration of a running application, as its program shows it.

#![allow(clippy::unwrap_used, reason = "test")]

use std::process::Command;

#[test]
fn a_running_application_moves_and_no_write_is_lost() {
    let shown = Command::new(env!("CARGO_BIN_EXE_migrate_app")).args(["--users", "4"]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    println!("{out}{err}");
    assert!(shown.status.success(), "{}", shown.status);
    for line in ["owner of the writes   B", "failures              0", "stale reads           0", " 0 of them not as"] {
        assert!(out.contains(line), "{line}");
    }
    assert!(out.contains("the driver gets SIGKILL"));
}
