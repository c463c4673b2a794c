//! The users: each writes, deletes and reads items of its own through the router, and keeps a
//! ledger of what was acknowledged.
//!
//! - `user`: a user in a hurry; `slow`: one who uploads slowly; `hasty`: one who hangs up
//! - `socket`: a user who writes over a WebSocket
//! - `direct`: a job that writes to the store without the router
//! - `send`: requests, and how they are counted; `shared`: what all of them use

mod direct;
mod hasty;
mod send;
mod shared;
mod slow;
mod socket;
mod user;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use lepton::{Error, Result};
use tokio::task::JoinSet;

use self::send::Sender;
use self::shared::{Shared, lock};
use crate::site::Site;

/// The file that ends the users, and the one with their ledger.
pub(crate) const STOP: &str = "load.stop";
pub(crate) const LEDGER: &str = "ledger.json";

/// How much the users do.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadOptions {
    /// How many users read and write. Default: 8, and 50 with a rate.
    #[arg(long)]
    pub(crate) users: Option<u64>,
    /// Requests a second of all users. By default each pauses for 20 ms after two requests.
    #[arg(long)]
    pub(crate) rate: Option<u64>,
    /// No job writes to the store without the router.
    #[arg(long)]
    pub(crate) no_job: bool,
}

impl LoadOptions {
    pub(crate) fn users(&self) -> u64 {
        self.users.unwrap_or(if self.rate.is_some() { 50 } else { 8 })
    }

    /// The arguments of a process with these options.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--users".to_owned(), self.users().to_string()];
        if let Some(rate) = self.rate {
            arguments.extend(["--rate".to_owned(), rate.to_string()]);
        }
        if self.no_job {
            arguments.push("--no-job".to_owned());
        }
        arguments
    }

    /// The time for two requests of a user.
    fn turn(&self) -> Option<Duration> {
        self.rate.map(|rate| Duration::from_micros(2_000_000 * self.users() / rate.max(1)))
    }

    /// Each how manieth write is of a large item.
    fn large(&self) -> u64 {
        if self.rate.is_some() { 1_000 } else { 40 }
    }
}

/// Sends requests until the file is there, then saves the ledger.
pub(crate) async fn run(site: &Site, options: &LoadOptions) -> Result<()> {
    let ledger = Shared::default();
    let sender = Sender::new(site, Arc::clone(&ledger)).await?;
    let stop = site.at(STOP);
    let mut tasks = JoinSet::new();
    for number in 0..options.users() {
        tasks.spawn(user::run(number, options.turn(), options.large(), sender.clone(), stop.clone()));
    }
    tasks.spawn(slow::run(sender.clone(), stop.clone()));
    tasks.spawn(socket::run(site.address("router").await?, sender.clone(), stop.clone()));
    tasks.spawn(hasty::run(sender, stop.clone()));
    if !options.no_job {
        tasks.spawn(direct::run(direct::Sides::open(site).await?, Arc::clone(&ledger), stop));
    }
    loop {
        tokio::select! {
            joined = tasks.join_next() => match joined {
                None => break,
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(Error::invalid_input(format!("a user has ended by itself: {error}"))),
            },
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
        }
        // The demonstration shows the counters meanwhile.
        lock(&ledger).save(&site.at(LEDGER))?;
    }
    lock(&ledger).save(&site.at(LEDGER))
}
