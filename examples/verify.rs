//! Proves a manifest against a destination: `verify MANIFEST DESTINATION`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

#[path = "common/say.rs"]
mod say;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lepton::{Depth, Result, Verification, open, verify};

use say::{complain, say};

/// Compares what a destination holds with what a manifest says it should.
///
/// Exit codes: 0 proven, 2 the command line is wrong, 3 it could not be found out,
/// 4 something is not as the manifest says.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The manifest of a transfer.
    manifest: PathBuf,
    /// The store that the transfer went to: its bucket or root folder.
    destination: String,
    /// Believe the store's sizes, checksums and tags instead of reading every byte.
    #[arg(long)]
    quick: bool,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(found) if found.is_proven() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(4),
        Err(error) => {
            complain!("error: {}", error.report());
            ExitCode::from(3)
        }
    }
}

async fn run(args: &Args) -> Result<Verification> {
    let depth = if args.quick { Depth::Quick } else { Depth::Full };
    let found = verify(&args.manifest, &open(&args.destination).await?, depth).await?;
    if args.json {
        say!("{}", serde_json::json!(found));
        return Ok(found);
    }
    for problem in &found.problems {
        say!("{}: {}", problem.key, problem.what);
    }
    say!("{} objects, {} bytes: {} problems", found.objects, found.bytes, found.failed);
    if found.size_only > 0 {
        say!("of {} objects nothing but the size could be compared; a full verification reads them", found.size_only);
    }
    Ok(found)
}
