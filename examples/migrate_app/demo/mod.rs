//! The demonstration: starts everything, kills the driver on the way, and checks the result.
//!
//! - `run`: the migration and the way back, watched; `storm`: the moments of the kills
//! - `process`: the driver and the router as processes; `outcome`: what is shown at the end

mod outcome;
mod process;
mod run;
mod storm;

use std::time::{Duration, Instant};

use clap::Args;
use lepton::core::SystemEnv;
use lepton::core::data_set::Side;
use lepton::core::deployment::{Deployment as _, OperationKey, WaitOptions, wait_until_absent, wait_until_ready};
use lepton::core::traffic::{Backend, RouteChange, Traffic as _};
use lepton::migrate::MigrationSpec;
use lepton::providers::router::RouterTraffic;
use lepton::{Error, Result};

use self::process::{RouterProcess, driver};
use self::run::Run;
use crate::children::{Children, start};
use crate::load::LoadOptions;
use crate::site::{Site, Terms, WORKLOAD, cloud, letter};

/// What the demonstration does.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten, next_help_heading = "Specification of the demonstration")]
    terms: Terms,
    /// Objects that the application has before it is moved.
    #[arg(long, default_value_t = 200)]
    objects: usize,
    /// The driver gets SIGKILL at this many random moments, half of them on the way back if there
    /// is one. By default it gets one while it copies.
    #[arg(long)]
    kills: Option<usize>,
    /// The router gets SIGKILL at this many random moments.
    #[arg(long, default_value_t = 0)]
    router_kills: usize,
    /// The moments of another run. Default: random.
    #[arg(long)]
    seed: Option<u64>,
    /// Give the writes back to side A afterwards.
    #[arg(long)]
    back: bool,
    /// Begin the way back as soon as side B owns the writes.
    #[arg(long, requires = "back")]
    at_once: bool,
    /// About 500 requests a second for two minutes.
    #[arg(long)]
    long: bool,
    /// How long the users read and write, at least.
    #[arg(long)]
    seconds: Option<u64>,
    /// The driver gets SIGSTOP in these stages of fences, for longer than it may be silent.
    #[arg(long, value_delimiter = ',', value_name = "STAGE")]
    stops: Vec<String>,
}

impl Options {
    fn load(&self) -> LoadOptions {
        let mut load = self.load.clone();
        load.rate = load.rate.or(self.long.then_some(500));
        load
    }

    fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.long { 120 } else { 0 }))
    }

    /// The side that has to own the writes in the end.
    fn owner(&self) -> Side {
        if self.back || self.terms.policy_of_b_only { Side::A } else { Side::B }
    }
}

/// Runs the demonstration; returns whether every write is where it should be.
pub(crate) async fn run(options: &Options) -> Result<bool> {
    let folder = std::env::temp_dir().join(format!("lepton-migrate-app-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| Error::io("cannot make the demonstration's folder", error))?;
    let site = Site::new(&folder);
    let begun = Instant::now();
    let outcome = tokio::select! {
        outcome = whole(&site, options, begun) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Error::invalid_input("stopped by Ctrl-C")),
    };
    // The application is not a child of this process: its supervisors would keep it running.
    for side in [Side::A, Side::B] {
        if let Err(error) = end_application(&site, side).await {
            eprintln!("the application at side {side} may still run: {error}");
        }
    }
    println!("\n{:.0} s; journals, logs and manifests are in {}", begun.elapsed().as_secs_f64(), folder.display());
    outcome
}

async fn end_application(site: &Site, side: Side) -> Result<()> {
    let place = site.machine(side).await?;
    place.delete(WORKLOAD).await?;
    let wait = WaitOptions::new().deadline(Duration::from_secs(20));
    wait_until_absent(&place, WORKLOAD, &wait, &*SystemEnv::shared()).await
}

async fn whole(site: &Site, options: &Options, begun: Instant) -> Result<bool> {
    let mut children = Children::default();
    let (folder, objects) = (site.folder().display().to_string(), options.objects.to_string());
    for side in [Side::A, Side::B] {
        children.add("cloud", start(site, &cloud(side), &["cloud", &folder, letter(side), &objects])?);
    }
    let router = RouterProcess::start(site)?;
    application(site).await?;
    println!("cloud A and cloud B: {} and {}", site.url(Side::A).await?, site.url(Side::B).await?);
    println!("the application runs at A, behind the router at http://{}", site.address("router").await?);
    let load = options.load();
    let arguments = load.arguments();
    let arguments: Vec<&str> = ["load", &folder].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    children.add("load", start(site, "load", &arguments)?);
    let loaded = Instant::now();
    println!("{} users read and write\n", load.users());
    tokio::time::sleep(Duration::from_secs(1)).await;

    let spec = site.specification(&options.terms).await?;
    let shown = spec.display().to_string();
    driver(site, &["plan", &shown])?.end().await?;
    let plan = std::fs::read_to_string(site.at("plan.log")).unwrap_or_default();
    let hash = MigrationSpec::load(&spec)?.digest();
    println!("{}", plan.lines().filter(|line| !line.starts_with("approve")).collect::<Vec<_>>().join("\n"));
    driver(site, &["approve", &shown, &hash])?.end().await?;
    let mut run = Run::start(site, options, spec, router, begun)?;
    run.there().await?;
    if options.back {
        run.back().await?;
    }
    run.wait(options.length().saturating_sub(loaded.elapsed())).await?;
    let (counts, router) = run.end().await?;
    let good = outcome::show(site, options, &mut children, &counts).await;
    drop(router);
    good
}

/// Starts the application at side A and puts it into the route.
async fn application(site: &Site) -> Result<()> {
    let (env, place) = (SystemEnv::shared(), site.machine(Side::A).await?);
    let (spec, secrets) = site.workload(Side::A).await?;
    let revision = place.apply(&spec, &secrets, &OperationKey::new("before", "deploy", "1")).await?;
    let seen = wait_until_ready(&place, WORKLOAD, &revision, &WaitOptions::new(), &*env, |_| {}).await?;
    site.address("router").await?;
    let traffic = RouterTraffic::new(site.router().control_path(), env);
    let version = traffic.get().await?.version;
    let backends = seen.endpoints.iter().map(|endpoint| Backend::new(&endpoint.replica, &endpoint.address)).collect();
    traffic.set(RouteChange::Backends(Side::A, backends), version).await?;
    Ok(())
}
