//! What is shown at the end.

use lepton::{Error, Result};

use super::options::Options;
use super::run::Counts;
use crate::check::check;
use crate::children::Children;
use crate::ledger::Ledger;
use crate::load::{LEDGER, STOP};
use crate::say::say;
use crate::site::Site;

/// Ends the users and compares their ledger with the owner's data; returns whether all is well.
pub(super) async fn show(site: &Site, options: &Options, children: &mut Children, counts: &Counts) -> Result<bool> {
    std::fs::write(site.at(STOP), "").map_err(|error| Error::io("cannot stop the users", error))?;
    children.ended("load").await?;
    let owner = site.route().await?.owner;
    let ledger = Ledger::load(&site.at(LEDGER))?;
    let wrong = check(site, owner, &ledger).await?;
    say!("\n  owner of the writes   {owner}");
    say!("  requests              {} of them {} writes", ledger.requests, ledger.writes - ledger.direct);
    say!("  hung up by the client {}", ledger.hung_up);
    say!("  over a WebSocket      {} writes, {} times restarted", ledger.over_socket, ledger.restarted);
    say!("  writes by a job       {}", ledger.direct);
    say!("  failures              {}", ledger.failures);
    if options.router_kills > 0 {
        say!("  cut off by a kill     {}", ledger.cut_off);
    }
    say!("  stale reads           {}", ledger.stale);
    say!("  longest request       {} ms", ledger.longest);
    if counts.stops == 0 {
        say!("  longest hold          {} ms", counts.hold.as_millis());
    }
    say!("  fences given up       {}", counts.given_up);
    say!("  kills                 {} of the driver, {} of the router", counts.kills, counts.router_kills);
    if counts.stops > 0 {
        say!("  stops of the driver   {}", counts.stops);
    }
    let entries = ledger.items.len() + ledger.posts.len();
    say!("  items in the ledger   {entries}, {} of them not as acknowledged", wrong.len());
    for item in wrong.iter().take(10) {
        say!("    WRONG {item}");
    }
    for failure in ledger.failed.iter().take(3) {
        say!("    FAILED {failure}");
    }
    // A driver that stands still after the quiesce leaves the owner without writes.
    let served = ledger.failures == 0 || counts.stops > 0;
    let router = ledger.cut_off == 0 || options.router_kills > 0;
    Ok(owner == options.owner() && wrong.is_empty() && ledger.stale == 0 && served && router)
}
