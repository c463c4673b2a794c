//! Everything that an S3 server may answer: listings, versions, parts, uploads,
//! completions, deletions and errors.

#![no_main]

libfuzzer_sys::fuzz_target!(|document: &[u8]| lepton_providers::fuzz::documents(document));
