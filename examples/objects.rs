//! Inspects and changes single objects: `objects ls|head|cat|put|rm|du PLACE`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

#[path = "common/say.rs"]
mod say;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use futures_util::TryStreamExt as _;
use lepton::core::{Body, GetOptions, HeadOptions, ListRequest, PutOptions};
use lepton::{Error, Location, Result, StorageExt as _, open};
use tokio::io::AsyncReadExt as _;

use say::{complain, say};

/// The largest object that `put` reads from standard input.
const LARGEST: u64 = 64 << 20;

/// Inspects and changes single objects. Places are paths or URLs such as
/// s3://bucket/key?endpoint=…
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List a folder; the names of its subfolders end with `/`.
    Ls {
        /// The folder.
        place: String,
        /// List the contents of subfolders too.
        #[arg(long, short)]
        recursive: bool,
    },
    /// Describe an object, as JSON.
    Head {
        /// The object.
        place: String,
    },
    /// Write an object to standard output.
    Cat {
        /// The object.
        place: String,
    },
    /// Create an object from standard input, at most 64 MiB.
    Put {
        /// The object.
        place: String,
    },
    /// Delete an object; a missing object is not an error.
    Rm {
        /// The object.
        place: String,
    },
    /// Count objects and bytes in a folder.
    Du {
        /// The folder.
        place: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Ls { place, recursive } => ls(&place, recursive).await,
        Command::Head { place } => head(&place).await,
        Command::Cat { place } => cat(&place).await,
        Command::Put { place } => put(&place).await,
        Command::Rm { place } => rm(&place).await,
        Command::Du { place } => du(&place).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain!("error: {}", error.full_message());
            ExitCode::from(3)
        }
    }
}

async fn ls(place: &str, recursive: bool) -> Result<()> {
    let place = open(place).await?;
    let mut request = ListRequest::new().prefix(place.folder());
    if !recursive {
        request = request.delimiter(b'/');
    }
    let mut pages = place.storage().list(request);
    while let Some(page) = pages.try_next().await? {
        for prefix in page.prefixes {
            say!("{:>14}  {prefix}", "-");
        }
        for object in page.objects {
            say!("{:>14}  {}", object.size, object.key);
        }
    }
    Ok(())
}

/// The object that a URL names. A path names a file in its parent folder.
async fn object(place: &str) -> Result<Location> {
    if place.contains(':') || place.ends_with('/') {
        return open(place).await;
    }
    let path = std::path::Path::new(place);
    let name = path.file_name().ok_or_else(|| Error::invalid_input(format!("{place:?} names no file")))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let folder = folder.to_str().ok_or_else(|| Error::invalid_input(format!("{place:?} is not UTF-8")))?;
    Ok(Location::new(open(folder).await?.storage().clone(), name.as_encoded_bytes()))
}

async fn head(place: &str) -> Result<()> {
    let place = object(place).await?;
    let info = place.storage().head(&place.key()?, HeadOptions::new().tags(true)).await?;
    say!("{:#}", serde_json::json!({ "object": info.meta, "attributes": info.attributes }));
    Ok(())
}

async fn cat(place: &str) -> Result<()> {
    let place = object(place).await?;
    let mut body = place.storage().get(&place.key()?, GetOptions::new()).await?.body;
    let mut out = std::io::stdout().lock();
    while let Some(bytes) = body.try_next().await? {
        out.write_all(&bytes).map_err(|e| Error::io("cannot write to standard output", e))?;
    }
    Ok(())
}

async fn put(place: &str) -> Result<()> {
    let place = object(place).await?;
    let mut bytes = Vec::new();
    let mut input = tokio::io::stdin().take(LARGEST + 1);
    input.read_to_end(&mut bytes).await.map_err(|e| Error::io("cannot read standard input", e))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::invalid_input("standard input has more than 64 MiB; write it to a file and migrate that"));
    }
    let receipt = place.storage().put(&place.key()?, Body::from(bytes), PutOptions::new()).await?;
    say!("{}", receipt.etag.map(|etag| etag.to_string()).unwrap_or_default());
    Ok(())
}

async fn rm(place: &str) -> Result<()> {
    let place = object(place).await?;
    place.storage().remove(&place.key()?).await
}

async fn du(place: &str) -> Result<()> {
    let place = open(place).await?;
    let mut objects = place.storage().objects(place.folder());
    let (mut count, mut bytes) = (0u64, 0u64);
    while let Some(object) = objects.try_next().await? {
        count += 1;
        bytes += object.size;
    }
    say!("{count} objects, {bytes} bytes");
    Ok(())
}
