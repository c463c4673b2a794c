//! The probes of a running replica.

use lepton_core::Result;
use lepton_core::deployment::{Probe, ProbeAction};

use super::check::Target;
use super::context::Context;
use super::environment::Environment;
use super::prober::{Prober, Seen, Times, seconds};
use crate::process::overlay::Overlay;
use crate::process::state::Record;

/// The probes that are running.
#[derive(Debug, Default)]
pub(super) struct Probes {
    startup: Option<Prober>,
    readiness: Option<Prober>,
    liveness: Option<Prober>,
}

/// The result of the probes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It should get traffic, as far as the probes know; `None` without a probe that decides
    /// this.
    Ready(Option<bool>),
    /// It must be restarted, for this reason.
    Restart(String),
}

impl Probes {
    /// Starts the probes. `adopted` is whether an earlier supervisor saw the replica ready, where
    /// there was one.
    pub(super) fn start(context: &Context, owner: &str, record: &Record, adopted: Option<bool>) -> Result<Self> {
        let spec = &record.applied.spec;
        let mut probes = Self::default();
        if let Some(probe) = spec.startup_probe.as_ref().filter(|_| adopted != Some(true)) {
            probes.startup = Some(prober(context, owner, record, probe, None, (adopted == Some(true), true))?);
            return Ok(probes);
        }
        probes.start_others(context, owner, record, adopted)?;
        Ok(probes)
    }

    fn start_others(&mut self, context: &Context, owner: &str, record: &Record, adopted: Option<bool>) -> Result<()> {
        let spec = &record.applied.spec;
        let start = |probe: &Option<Probe>, well, eager| {
            let prober = |probe| prober(context, owner, record, probe, well, (adopted == Some(true), eager));
            probe.as_ref().map(prober).transpose()
        };
        self.readiness = start(&spec.readiness_probe, adopted.filter(|ready| *ready), true)?;
        self.liveness = start(&spec.liveness_probe, None, false)?;
        Ok(())
    }

    /// Their result at this moment.
    pub(super) fn verdict(&mut self, context: &Context, owner: &str, record: &Record) -> Result<Verdict> {
        if let Some(startup) = &self.startup {
            let seen = startup.seen();
            match seen.well {
                Some(true) => {
                    self.startup = None;
                    self.start_others(context, owner, record, None)?;
                }
                Some(false) => return Ok(failed("startup", seen)),
                None => return Ok(Verdict::Ready(Some(false))),
            }
        }
        match self.liveness.as_ref().map(Prober::seen) {
            Some(seen) if seen.well == Some(false) => return Ok(failed("liveness", seen)),
            _ => {}
        }
        let ready = self.readiness.as_ref().map(|readiness| readiness.seen().well == Some(true));
        // A replica that has passed its startup probe needs no time to settle.
        Ok(Verdict::Ready(ready.or(record.applied.spec.startup_probe.as_ref().map(|_| true))))
    }

    /// The last failure of the probe that keeps the replica from being ready.
    pub(super) fn failure(&self) -> Option<String> {
        let of = |name: &str, prober: &Option<Prober>| {
            let failure = prober.as_ref()?.seen().failure?;
            Some(format!("the {name} probe fails: {failure}"))
        };
        of("startup", &self.startup).or_else(|| of("readiness", &self.readiness))
    }
}

fn failed(name: &str, seen: Seen) -> Verdict {
    let failure = seen.failure.unwrap_or_default();
    Verdict::Restart(format!("the {name} probe has failed: {failure}"))
}

fn prober(
    context: &Context,
    owner: &str,
    record: &Record,
    probe: &Probe,
    well: Option<bool>,
    (adopted, eager): (bool, bool),
) -> Result<Prober> {
    let port = |name: &str| record.ports.get(name).copied();
    let (port, environment) = match probe.action()? {
        ProbeAction::HttpGet(get) => (port(&get.port), None),
        ProbeAction::TcpSocket(socket) => (port(&socket.port), None),
        ProbeAction::Exec(_) => (None, Some(Environment::of(&context.state_dir, owner, record)?)),
    };
    let directory = Overlay::of(&record.applied.spec)?.folder();
    let target = Target { probe: probe.clone(), port, directory, environment };
    // A replica that an earlier supervisor saw ready has started long ago.
    let delay = seconds(if adopted { 0 } else { probe.initial_delay_seconds });
    Ok(Prober::start(&context.env, target, well, Times { delay, eager }))
}
