//! The router between the users and the two sides of a migration, as a program:
//!
//! ```text
//! cargo run --features router --bin router -- \
//!     --state /var/lib/lepton-router --a 10.0.0.1:8080 --b 10.1.0.1:8080
//! ```
//!
//! The settings are flags, or a file in JSON with the names of `RouterConfig`; flags win. SIGHUP
//! loads the certificate again. SIGTERM and Ctrl-C let running requests end; a second signal does
//! not wait for them. Whoever drives the router uses `RouterTraffic` on its control socket.

use std::path::{Path, PathBuf};

use clap::Parser;
use lepton::core::traffic::Backend;
use lepton::providers::router::{Router, RouterConfig, RunningRouter, TlsFiles};
use lepton::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Parser)]
#[command(about = "Sends users to the side that owns the writes")]
struct Arguments {
    /// A file with the settings, in JSON.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address to listen on; port 0 selects a free port.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// The folder of the register.
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// The control socket; by default control.sock in the folder of the register.
    #[arg(long, value_name = "FILE")]
    control: Option<PathBuf>,
    /// A replica of side A at the first start; may be repeated.
    #[arg(long, value_name = "HOST:PORT")]
    a: Vec<String>,
    /// A replica of side B at the first start; may be repeated.
    #[arg(long, value_name = "HOST:PORT")]
    b: Vec<String>,
    /// The path that each replica is asked for, to find out whether it works.
    #[arg(long, value_name = "PATH")]
    health: Option<String>,
    /// Serve over TLS with this certificate, in PEM.
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM.
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(Arguments::parse()).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("router: {}", error.full_message());
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let listen = |kind| signal(kind).map_err(|source| Error::io("cannot listen to signals", source));
    let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let (mut ends, mut hangup) = (Ends { interrupt, terminate }, listen(SignalKind::hangup())?);
    let router = Router::builder().config(settings(arguments)?).start().await?;
    println!("serving on {}, driven at {}", router.address(), router.control().display());
    loop {
        tokio::select! {
            () = ends.next() => break,
            _ = hangup.recv() => reload(&router).await,
        }
    }
    println!("stopping; running requests end first");
    tokio::select! {
        stopped = router.stop() => stopped,
        () = ends.next() => Ok(()),
    }
}

async fn reload(router: &RunningRouter) {
    if let Err(error) = router.reload().await {
        eprintln!("router: the certificate stays as it is: {}", error.full_message());
    }
}

/// The signals that end the program.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The settings of the file, changed by the flags.
fn settings(arguments: Arguments) -> Result<RouterConfig> {
    let mut config = arguments.config.as_deref().map_or_else(|| Ok(RouterConfig::default()), read)?;
    let backends = |addresses: Vec<String>| -> Vec<Backend> {
        addresses.into_iter().map(|address| Backend::new(address.clone(), address)).collect()
    };
    config.listen = arguments.listen.unwrap_or(config.listen);
    config.state = arguments.state.unwrap_or(config.state);
    config.control = arguments.control.or(config.control);
    config.health.path = arguments.health.or(config.health.path);
    if !arguments.a.is_empty() {
        config.a = backends(arguments.a);
    }
    if !arguments.b.is_empty() {
        config.b = backends(arguments.b);
    }
    if let Some((certificate, key)) = arguments.tls_cert.zip(arguments.tls_key) {
        config.tls = Some(TlsFiles::new(certificate, key));
    }
    Ok(config)
}

fn read(path: &Path) -> Result<RouterConfig> {
    let at = |error: Error| error.with_context("path", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| at(Error::io("cannot read the settings", error)))?;
    serde_json::from_str(&text)
        .map_err(|error| at(Error::invalid_input(format!("the settings are wrong: {error}")).with_source(error)))
}
