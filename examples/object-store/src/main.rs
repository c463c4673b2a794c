//! Moves everything from one place to another with the stores of the object_store crate, and
//! verifies it.
//!
//! `cargo run -p lepton-object-store -- s3://photos/2024 az://photos`, with the settings of
//! both clouds in the environment. An argument that is not a URL is a folder on this machine.

#![allow(clippy::print_stdout, reason = "a program talks to its user")]

use std::process::ExitCode;

use lepton::{Error, Location, Result, Status, Transfer, VerifyDepth, verify};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}", error.full_message());
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<bool> {
    let places: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = places.as_slice() else {
        return Err(Error::invalid_input("usage: lepton-object-store SOURCE DESTINATION"));
    };
    lepton_object_store::set_cryptography();
    let destination = place(to).await?;
    let transfer =
        Transfer::builder().from(place(from).await?).to(destination.clone()).journal("object-store.journal").build()?;
    let report = transfer.run().await?;
    println!("{:?}: {} objects, {} bytes in {:?}", report.status, report.objects, report.bytes, report.elapsed);
    for failure in &report.failures {
        println!("{} failed: {}", failure.key, failure.error);
    }
    let (Status::Complete, Some(manifest)) = (report.status, &report.manifest) else { return Ok(false) };
    let found = verify(manifest, &destination, VerifyDepth::Full).await?;
    println!("proven: {} ({})", found.is_proven(), manifest.display());
    Ok(found.is_proven())
}

async fn place(text: &str) -> Result<Location> {
    if text.contains("://") { lepton_object_store::open(text) } else { lepton::open(text).await }
}
