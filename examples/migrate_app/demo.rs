//! The demonstration: starts everything, kills the driver on the way, and checks the result.

use std::time::{Duration, Instant};

use lepton::core::SystemEnv;
use lepton::core::data_set::Side;
use lepton::core::deployment::{Deployment as _, OperationKey, WaitOptions, wait_until_absent, wait_until_ready};
use lepton::core::migration::Event;
use lepton::core::traffic::{Backend, RouteChange, Traffic as _};
use lepton::migrate::read_events;
use lepton::providers::router::RouterTraffic;
use lepton::{Error, Result};

use crate::check::check;
use crate::children::{Children, start};
use crate::cloud::set_policy;
use crate::drive::{JOURNAL, place, route_now};
use crate::ledger::Ledger;
use crate::load::{LEDGER, STOP};
use crate::route;
use crate::site::{Site, WORKLOAD, cloud, letter};

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
        let place = place(&site, side).await?;
        place.delete(WORKLOAD).await?;
        let wait = WaitOptions::new().deadline(Duration::from_secs(20));
        wait_until_absent(&place, WORKLOAD, &wait, &*SystemEnv::shared()).await?;
    }
    println!("\n{:.0} s; journals, logs and manifests are in {}", begun.elapsed().as_secs_f64(), folder.display());
    outcome
}

async fn whole(site: &Site, users: u64, begun: Instant) -> Result<bool> {
    let mut children = Children::default();
    let folder = site.folder().display().to_string();
    for side in [Side::A, Side::B] {
        children.add("cloud", start(site, &cloud(side), &["cloud", &folder, letter(side)])?);
    }
    // Before the switch the application may not write at side B.
    set_policy(site, Side::B, true)?;
    children.add("router", start(site, "router", &["route", &folder])?);
    application(site).await?;
    println!("cloud A and cloud B: {} and {}", site.url(Side::A).await?, site.url(Side::B).await?);
    println!("the application runs at A, behind the router at http://{}", site.address("router").await?);
    children.add("load", start(site, "load", &["load", &folder, &users.to_string()])?);
    println!("{users} users read and write; the driver begins\n");
    tokio::time::sleep(Duration::from_secs(1)).await;

    let mut driver = start(site, "driver", &["drive", &folder])?;
    let mut watch = Watch { site, begun, seen: 0, last: (0, begun) };
    watch.until(|events| events.iter().any(|event| matches!(event, Event::Approved { .. })), &mut driver).await?;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let failed = |error| Error::io("cannot kill the driver", error);
    driver.kill().map_err(failed)?;
    driver.wait().map_err(failed)?;
    println!("       the driver gets SIGKILL while it copies, and is started again");
    let mut driver = start(site, "driver", &["drive", &folder])?;
    let reversed = |events: &[Event]| events.iter().any(|event| matches!(event, Event::Reversed { .. }));
    watch.until(reversed, &mut driver).await?;
    let status = driver.wait().map_err(failed)?;
    if !status.success() {
        return Err(Error::invalid_input(format!("the driver ended with {status}; see {folder}/driver.log")));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    result(site, &mut children).await
}

/// Starts the application at side A and puts it into the route.
async fn application(site: &Site) -> Result<()> {
    let (env, place) = (SystemEnv::shared(), place(site, Side::A).await?);
    let (spec, secrets) = site.workload(Side::A).await?;
    let revision = place.apply(&spec, &secrets, &OperationKey::new("before", "deploy", "1")).await?;
    let seen = wait_until_ready(&place, WORKLOAD, &revision, &WaitOptions::new(), &*env, |_| {}).await?;
    site.address("router").await?;
    let traffic = RouterTraffic::new(route::config(site).control_path(), env);
    let version = traffic.get().await?.version;
    let backends = seen.endpoints.iter().map(|endpoint| Backend::new(&endpoint.replica, &endpoint.address)).collect();
    traffic.set(RouteChange::Backends(Side::A, backends), version).await?;
    Ok(())
}

/// Shows each event, and once a second the traffic.
struct Watch<'a> {
    site: &'a Site,
    begun: Instant,
    seen: usize,
    last: (u64, Instant),
}

impl Watch<'_> {
    async fn until(&mut self, done: impl Fn(&[Event]) -> bool, driver: &mut std::process::Child) -> Result<()> {
        for turn in 0..6000 {
            let events = read_events(&self.site.at(JOURNAL)).unwrap_or_default();
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
            if let Ok(Some(status)) = driver.try_wait()
                && !status.success()
            {
                let log = self.site.at("driver.log");
                return Err(Error::invalid_input(format!("the driver ended with {status}; see {}", log.display())));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Error::invalid_input("the migration has taken more than five minutes"))
    }

    async fn traffic(&mut self) {
        let (Ok(ledger), Ok(route)) = (Ledger::load(&self.site.at(LEDGER)), route_now(self.site).await) else { return };
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
    let owner = route_now(site).await?.owner;
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
