//! The specification of a migration in each format: it is refused or read, and what is read can be
//! checked, ordered, written, and read again as the same specification.

#![no_main]

use lepton_migrate::{Format, MigrationSpec};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for format in [Format::Toml, Format::Yaml, Format::Json] {
        let Ok(spec) = MigrationSpec::parse(text, format) else { continue };
        let _ = (spec.check(), spec.order());
        let written = serde_json::to_string(&spec).expect("a specification is JSON");
        let again = MigrationSpec::parse(&written, Format::Json).expect("what was written is read");
        assert_eq!(again.digest(), spec.digest());
    }
});
