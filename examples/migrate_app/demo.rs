//! The demonstration: starts everything, kills the driver on the way, and checks the result.

use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use lepton::core::SystemEnv;
use lepton::core::data_set::Side;
use lepton::core::deployment::{Deployment as _, OperationKey, WaitOptions, wait_until_absent, wait_until_ready};
use lepton::core::migration::Event;
use lepton::core::traffic::{Backend, RouteChange, Traffic as _};
use lepton::migrate::{MigrationSpec, read_events};
use lepton::providers::router::RouterTraffic;
use lepton::{Error, Result};

use crate::check::check;
use crate::children::{Children, start, start_with};
use crate::commands::journal;
use crate::ledger::Ledger;
use crate::load::{LEDGER, STOP};
use crate::site::{APP, Site, WORKLOAD, cloud, letter};

/// Runs the demonstration; returns whether every write is where it should be.
pub(crate) async fn run(users: u64) -> Result<bool> {
    let folder = std::env::temp_dir().join(format!("lepton-migrate-app-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| Error::io("cannot make the demonstration's folder", error))?;
    let site = Site::new(&folder);
    let begun = Instant::now();
    let outcome = tokio::select! {
        outcome = whole(&site, users, begun) => outcome,
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

async fn whole(site: &Site, users: u64, begun: Instant) -> Result<bool> {
    let mut children = Children::default();
    let folder = site.folder().display().to_string();
    for side in [Side::A, Side::B] {
        children.add("cloud", start(site, &cloud(side), &["cloud", &folder, letter(side)])?);
    }
    children.add("router", start(site, "router", &["route", &folder])?);
    application(site).await?;
    println!("cloud A and cloud B: {} and {}", site.url(Side::A).await?, site.url(Side::B).await?);
    println!("the application runs at A, behind the router at http://{}", site.address("router").await?);
    children.add("load", start(site, "load", &["load", &folder, &users.to_string()])?);
    println!("{users} users read and write\n");
    tokio::time::sleep(Duration::from_secs(1)).await;

    let spec = site.specification().await?;
    let shown = spec.display().to_string();
    driver(site, &["plan", &shown])?.end().await?;
    let plan = std::fs::read_to_string(site.at("plan.log")).unwrap_or_default();
    let hash = MigrationSpec::load(&spec)?.digest();
    println!("{}", plan.lines().filter(|line| !line.starts_with("approve")).collect::<Vec<_>>().join("\n"));
    driver(site, &["approve", &shown, &hash])?.end().await?;
    let mut running = driver(site, &["run", &shown, "--until", "holding"])?;
    let mut watch = Watch { site, journal: journal(&spec), begun, seen: 0, last: (0, begun) };
    watch.until(|events| events.iter().any(|event| matches!(event, Event::Approved { .. })), &mut running).await?;
    tokio::time::sleep(Duration::from_millis(400)).await;
    running.kill()?;
    println!("       the driver gets SIGKILL while it copies, and is started again");
    let mut running = driver(site, &["run", &shown, "--until", "holding"])?;
    let reversed = |events: &[Event]| events.iter().any(|event| matches!(event, Event::Reversed { .. }));
    watch.until(reversed, &mut running).await?;
    running.end().await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    result(site, &mut children).await
}

/// The driver of the migration as a process, with the credentials of both sides as profiles.
fn driver(site: &Site, arguments: &[&str]) -> Result<Driver> {
    let name = arguments.first().copied().unwrap_or_default();
    let log = site.at(&format!("{name}.log"));
    let credentials = site.profiles()?;
    let variables =
        [("AWS_SHARED_CREDENTIALS_FILE", credentials.display().to_string()), ("APP_SECRET", APP.1.to_owned())];
    Ok(Driver { child: start_with(site, name, arguments, &variables)?, log })
}

struct Driver {
    child: Child,
    log: PathBuf,
}

impl Driver {
    fn kill(&mut self) -> Result<()> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|error| Error::io("cannot kill the driver", error))
    }

    /// Waits until it has ended well.
    async fn end(mut self) -> Result<()> {
        loop {
            match self.ended()? {
                true => return Ok(()),
                false => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Whether it has ended well.
    fn ended(&mut self) -> Result<bool> {
        match self.child.try_wait().map_err(|error| Error::io("cannot wait for the driver", error))? {
            Some(status) if !status.success() => {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let message = format!("the driver ended with {status}; see {}\n{log}", self.log.display());
                Err(Error::invalid_input(message))
            }
            status => Ok(status.is_some()),
        }
    }
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

/// Shows each event, and once a second the traffic.
struct Watch<'a> {
    site: &'a Site,
    journal: PathBuf,
    begun: Instant,
    seen: usize,
    last: (u64, Instant),
}

impl Watch<'_> {
    async fn until(&mut self, done: impl Fn(&[Event]) -> bool, driver: &mut Driver) -> Result<()> {
        for turn in 0..6000 {
            let events = read_events(&self.journal).unwrap_or_default();
            for event in events.iter().skip(self.seen) {
                println!("{:5.1} s {}", self.begun.elapsed().as_secs_f64(), event.name());
            }
            self.seen = self.seen.max(events.len());
            if done(&events) {
                return Ok(());
            }
            if turn % 20 == 19 {
                self.traffic().await;
            }
            driver.ended()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Error::invalid_input("the migration has taken more than five minutes"))
    }

    async fn traffic(&mut self) {
        let (Ok(ledger), Ok(route)) = (Ledger::load(&self.site.at(LEDGER)), self.site.route().await) else { return };
        let rate = (ledger.requests - self.last.0) as f64 / self.last.1.elapsed().as_secs_f64();
        self.last = (ledger.requests, Instant::now());
        let held = route.hold.map_or_else(String::new, |hold| format!(", {} held", hold.waiting));
        println!(
            "{:5.1} s   {}, {rate:.0} requests a second, {} failures{held}",
            self.begun.elapsed().as_secs_f64(),
            route.weights,
            ledger.failures
        );
    }
}

/// Ends the users and compares their ledger with the owner's data.
async fn result(site: &Site, children: &mut Children) -> Result<bool> {
    let owner = site.route().await?.owner;
    std::fs::write(site.at(STOP), "").map_err(|error| Error::io("cannot stop the users", error))?;
    children.ended("load").await?;
    let ledger = Ledger::load(&site.at(LEDGER))?;
    let wrong = check(site, owner, &ledger).await?;
    println!("\n  owner of the writes   {owner}");
    println!("  requests              {} of them {} writes", ledger.requests, ledger.writes);
    println!("  failures              {}", ledger.failures);
    println!("  stale reads           {}", ledger.stale);
    println!("  longest request       {} ms", ledger.longest);
    println!("  items in the ledger   {}, {} of them not as acknowledged", ledger.items.len(), wrong.len());
    for item in wrong.iter().take(10) {
        println!("    WRONG {item}");
    }
    Ok(owner == Side::B && wrong.is_empty() && ledger.stale == 0 && ledger.failures == 0)
}
