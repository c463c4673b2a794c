//! Everything that a server may answer, of S3, Azure and Google: listings, versions, parts,
//! uploads, completions, deletions and errors; and the index pages of web servers.

#![no_main]

libfuzzer_sys::fuzz_target!(|document: &[u8]| lepton_providers::fuzz::documents(document));
