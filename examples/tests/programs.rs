//! Every program starts and prints its usage. As an integration test of this package it also
//! makes Cargo build the programs, which the tests in `tests` run.

#![allow(clippy::unwrap_used, reason = "test")]

use std::process::Command;

#[test]
fn every_program_says_what_it_takes() {
    for program in [
        env!("CARGO_BIN_EXE_migrate"),
        env!("CARGO_BIN_EXE_sync"),
        env!("CARGO_BIN_EXE_verify"),
        env!("CARGO_BIN_EXE_objects"),
        env!("CARGO_BIN_EXE_doctor"),
        env!("CARGO_BIN_EXE_serve_s3"),
    ] {
        let help = Command::new(program).arg("--help").output().unwrap();
        assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("Usage: "), "{program}");
        let wrong = Command::new(program).arg("--no-such-option").output().unwrap();
        assert_eq!(wrong.status.code(), Some(2), "{program}");
        assert!(String::from_utf8_lossy(&wrong.stderr).contains("'--no-such-option'"), "{program}");
    }
}
