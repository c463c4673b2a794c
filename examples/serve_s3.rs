//! Serves any Lepton storage over the S3 protocol, for trying things out:
//!
//! ```text
//! cargo run --bin serve_s3 -- --bucket photos=memory: --bucket logs=/tmp/logs
//! aws --endpoint-url http://127.0.0.1:9000 s3 ls s3://photos
//! ```
//!
//! Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; without them a pair is
//! generated and printed. On Ctrl-C, SIGTERM and SIGHUP running requests are allowed to finish.

#[path = "common/signals.rs"]
mod signals;

use std::sync::Arc;

use clap::Parser;
use lepton::core::SystemRuntime;
use lepton::{Error, Result, SharedStorage};
use lepton_s3_front::{S3Front, SinkStorage, tls_from_files};
use signals::Signals;

#[derive(Parser)]
#[command(about = "Serves any Lepton storage over the S3 protocol")]
struct Arguments {
    /// The address to listen on; port 0 selects a free port.
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: String,
    /// A bucket and the storage behind it; may be repeated. The URL is any that Lepton opens
    /// (`memory:`, a path, `s3://…`), or `sink:`, which checks what it receives and stores
    /// nothing.
    #[arg(long = "bucket", required = true, value_name = "NAME=URL", value_parser = bucket)]
    buckets: Vec<(String, String)>,
    /// The name of the region that clients use.
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Serve over TLS with this certificate, in PEM.
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<std::path::PathBuf>,
    /// The private key of the certificate, in PEM.
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<std::path::PathBuf>,
}

fn bucket(argument: &str) -> std::result::Result<(String, String), String> {
    let (name, url) = argument.split_once('=').ok_or("a bucket is given as NAME=URL")?;
    Ok((name.to_owned(), url.to_owned()))
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match serve(Arguments::parse()).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serve_s3: {}", error.full_message());
            std::process::ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> Result<()> {
    let mut signals = Signals::listen().map_err(|source| Error::io("cannot listen to signals", source))?;
    let (access, secret) = credentials(&arguments.region);
    let mut front = S3Front::builder().credentials(access, secret).region(arguments.region);
    for (name, url) in &arguments.buckets {
        front = front.bucket(name, storage(name, url).await?);
    }
    let front = front.build()?;
    let server = match arguments.tls_cert.zip(arguments.tls_key) {
        Some((cert, key)) => front.serve_tls(&arguments.listen, tls_from_files(&cert, &key)?).await?,
        None => front.serve(&arguments.listen).await?,
    };
    for (name, url) in &arguments.buckets {
        println!("{}/{name} serves {url}", server.endpoint());
    }
    signals.next().await;
    println!("stopping; running requests end first");
    server.stop().await;
    Ok(())
}

async fn storage(name: &str, url: &str) -> Result<SharedStorage> {
    let location = match url {
        "sink:" => return Ok(Arc::new(SinkStorage::new(format!("sink:{name}")))),
        // Each in-memory bucket is a separate store.
        "memory:" => lepton::open(&format!("memory:{name}")).await?,
        _ => lepton::open(url).await?,
    };
    if !location.path().is_empty() {
        let message = format!("{url} names a place within a store; a bucket is a whole store");
        return Err(Error::invalid_input(message));
    }
    Ok(location.storage().clone())
}

/// The pair from the environment, or a generated pair, which is printed.
fn credentials(region: &str) -> (String, String) {
    if let (Ok(access), Ok(secret)) = (std::env::var("AWS_ACCESS_KEY_ID"), std::env::var("AWS_SECRET_ACCESS_KEY")) {
        return (access, secret);
    }
    let env = SystemRuntime::shared();
    let access = format!("LEPTON{:016X}", env.random());
    let secret = format!("{:016x}{:016x}", env.random(), env.random());
    println!("export AWS_ACCESS_KEY_ID={access} AWS_SECRET_ACCESS_KEY={secret} AWS_REGION={region}");
    (access, secret)
}
