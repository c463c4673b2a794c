//! The specification of a migration in each format: it is refused or read, and what is read can be
//! checked, ordered and written again.

#![no_main]

use lepton_migrate::{Format, MigrationSpec};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for format in [Format::Toml, Format::Yaml, Format::Json] {
        let Ok(spec) = MigrationSpec::parse(text, format) else { continue };
        let _ = (spec.check(), spec.order());
        let written = |spec: &MigrationSpec| serde_json::to_string(spec).expect("a specification is JSON");
        // Seconds with more than fifteen digits lose the last ones when they are first written.
        let Ok(again) = MigrationSpec::parse(&written(&spec), Format::Json) else { continue };
        let third = MigrationSpec::parse(&written(&again), Format::Json).expect("what was written is read");
        assert_eq!(third.digest(), again.digest());
    }
});
