//! The demonstration: starts everything, kills the driver on the way, and checks the result.
//!
//! - `run`: the migration and the way back, watched; `storm`: the moments of the kills
//! - `process`: the driver and the router as processes; `outcome`: what is shown at the end
//! - `options`: the command line

mod options;
mod outcome;
mod process;
mod run;
mod storm;

use std::time::{Duration, Instant};

use lepton::core::SystemRuntime;
use lepton::core::data_set::Side;
use lepton::core::deployment::{Deployment as _, OperationKey, WaitOptions, wait_until_absent, wait_until_ready};
use lepton::core::traffic::{Backend, RouteChange, Traffic as _};
use lepton::migrate::MigrationSpec;
use lepton::providers::router::RouterTraffic;
use lepton::{Error, Result};

pub(crate) use self::options::Options;
use self::process::{RouterProcess, driver};
use self::run::Run;
use crate::children::{Children, start};
use crate::place::STOPPED;
use crate::say::{complain, say};
use crate::signals::Signals;
use crate::site::{Site, WORKLOAD, cloud, letter};

/// The exit code if a write was lost, stale or refused.
const LOST: u8 = 4;

/// Runs the demonstration; returns the exit code.
pub(crate) async fn run(options: &Options) -> Result<u8> {
    let folder = std::env::temp_dir().join(format!("lepton-migrate-app-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| Error::io("cannot make the demonstration's folder", error))?;
    let mut signals = Signals::listen().map_err(|error| Error::io("cannot listen to signals", error))?;
    let site = Site::new(&folder);
    let begun = Instant::now();
    let outcome = tokio::select! {
        outcome = whole(&site, options, begun) => outcome.map(|good| if good { 0 } else { LOST }),
        () = signals.next() => Ok(STOPPED),
    };
    // The application is not a child of this process: its supervisors would keep it running.
    for side in [Side::A, Side::B] {
        if let Err(error) = end_application(&site, side).await {
            complain!("the application at side {side} may still run: {error}");
        }
    }
    say!("\n{:.0} s; journals, logs and manifests are in {}", begun.elapsed().as_secs_f64(), folder.display());
    outcome
}

async fn end_application(site: &Site, side: Side) -> Result<()> {
    let place = site.machine(side).await?;
    place.delete(WORKLOAD).await?;
    let wait = WaitOptions::new().deadline(Duration::from_secs(20));
    wait_until_absent(&place, WORKLOAD, &wait, &*SystemRuntime::shared()).await
}

async fn whole(site: &Site, options: &Options, begun: Instant) -> Result<bool> {
    let mut children = Children::default();
    let (folder, objects) = (site.folder().display().to_string(), options.objects.to_string());
    for side in [Side::A, Side::B] {
        children.add("cloud", start(site, &cloud(side), &["cloud", &folder, letter(side), &objects])?);
    }
    let router = RouterProcess::start(site)?;
    application(site).await?;
    say!("cloud A and cloud B: {} and {}", site.url(Side::A).await?, site.url(Side::B).await?);
    say!("the application runs at A, behind the router at http://{}", site.address("router").await?);
    let load = options.load();
    let arguments = load.arguments();
    let arguments: Vec<&str> = ["load", &folder].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    children.add("load", start(site, "load", &arguments)?);
    let loaded = Instant::now();
    say!("{} users read and write\n", load.users());
    tokio::time::sleep(Duration::from_secs(1)).await;

    let spec = site.specification(&options.terms).await?;
    let shown = spec.display().to_string();
    driver(site, &["plan", &shown])?.end().await?;
    let plan = std::fs::read_to_string(site.at("plan.log")).unwrap_or_default();
    let hash = MigrationSpec::load(&spec)?.digest();
    say!("{}", plan.lines().filter(|line| !line.starts_with("approve")).collect::<Vec<_>>().join("\n"));
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
    let (env, place) = (SystemRuntime::shared(), site.machine(Side::A).await?);
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
