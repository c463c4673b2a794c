//! The driver and the router as processes that are killed.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use lepton::{Error, Result};

use crate::children::{start, start_with};
use crate::place::STOPS;
use crate::say::complain;
use crate::site::{APP, Site};

/// The driver of the migration as a process, with the credentials of both sides as profiles.
pub(super) fn driver(site: &Site, arguments: &[&str]) -> Result<Driver> {
    driver_with(site, arguments, &[])
}

/// The same; it stops itself with SIGSTOP when a fence reaches these stages, in their order.
pub(super) fn driver_with(site: &Site, arguments: &[&str], stops: &[String]) -> Result<Driver> {
    let name = arguments.first().copied().unwrap_or_default();
    let log = site.at(&format!("{name}.log"));
    let credentials = site.profiles()?;
    let variables = [
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.display().to_string()),
        ("APP_SECRET", APP.1.to_owned()),
        (STOPS, stops.join(",")),
    ];
    Ok(Driver { child: start_with(site, name, arguments, &variables)?, log })
}

pub(super) struct Driver {
    child: Child,
    log: PathBuf,
}

impl Driver {
    pub(super) fn kill(&mut self) -> Result<()> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|error| Error::io("cannot kill the driver", error))
    }

    /// Whether the process is stopped by SIGSTOP.
    pub(super) fn is_stopped(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        status.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T'))
    }

    pub(super) fn resume(&self) -> Result<()> {
        match Command::new("kill").args(["-CONT", &self.child.id().to_string()]).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Error::invalid_input(format!("the driver cannot be resumed: {status}"))),
            Err(error) => Err(Error::io("cannot send a signal to the driver", error)),
        }
    }

    /// Waits until it has ended well.
    pub(super) async fn end(mut self) -> Result<()> {
        while !self.ended()? {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Whether it has ended well.
    pub(super) fn ended(&mut self) -> Result<bool> {
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

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.kill();
    }
}

/// The router, which ends with the demonstration.
pub(super) struct RouterProcess {
    site: Site,
    child: Child,
}

impl RouterProcess {
    pub(super) fn start(site: &Site) -> Result<Self> {
        let child = start(site, "router", &["route", &site.folder().display().to_string()])?;
        Ok(Self { site: site.clone(), child })
    }

    /// Ends it with SIGKILL, and starts another one on what it has left.
    pub(super) fn kill_and_start(&mut self) -> Result<()> {
        self.site.router_is_killed()?;
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map_err(|error| Error::io("cannot kill the router", error))?;
        *self = Self::start(&self.site)?;
        let (site, restarts) = (self.site.clone(), self.site.router_restarts());
        tokio::spawn(async move {
            // A router that was killed in a hold refuses everything until the register is settled.
            while !site.route().await.is_ok_and(|route| route.hold.is_none()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if site.router_restarts() == restarts
                && let Err(error) = site.router_is_settled()
            {
                complain!("{error}");
            }
        });
        Ok(())
    }
}

impl Drop for RouterProcess {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
