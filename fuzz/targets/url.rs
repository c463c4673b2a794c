//! URLs of places, their options, settings files, connection strings and files of credentials.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    lepton_providers::fuzz::url(text);
    // Settings are refused or taken, whatever they hold.
    let _ = serde_json::from_str::<lepton_providers::StoreConfig>(text);
    let _ = serde_json::from_str::<lepton_data::TransferConfig>(text);
});
