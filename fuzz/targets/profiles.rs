//! The shared config files, and what `credential_process` prints.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lepton_providers::fuzz::profiles(bytes));
