//! The migration and the way back, watched, with the kills.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lepton::core::data_set::Side;
use lepton::core::migration::{Event, State};
use lepton::migrate::{MigrationSpec, read_events};
use lepton::{Error, Result};

use super::options::Options;
use super::process::{Driver, RouterProcess, driver, driver_with};
use super::storm::{Moment, Storm, Target};
use crate::ledger::Ledger;
use crate::load::LEDGER;
use crate::place::Place;
use crate::random::Numbers;
use crate::say::{complain, say};
use crate::show::{behind, lag, reason, stage};
use crate::site::Site;

/// The longest that a direction may take.
const LONGEST: Duration = Duration::from_secs(300);
/// The time between two looks at the journal.
const LOOK: Duration = Duration::from_millis(20);

/// How much longer than its silence may be the driver is stopped.
const LONGER: Duration = Duration::from_secs(1);

/// What has happened.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) kills: usize,
    pub(super) router_kills: usize,
    pub(super) stops: usize,
    pub(super) given_up: usize,
    /// The longest hold.
    pub(super) hold: Duration,
}

pub(super) struct Run<'a> {
    site: &'a Site,
    options: &'a Options,
    spec: PathBuf,
    journal: PathBuf,
    driver: Driver,
    router: RouterProcess,
    numbers: Numbers,
    storm: Storm,
    begun: Instant,
    /// The events that were shown, and those of them before this direction.
    seen: usize,
    before: usize,
    held: Option<Instant>,
    last: (u64, Instant),
    counts: Counts,
}

impl<'a> Run<'a> {
    pub(super) fn start(
        site: &'a Site,
        options: &'a Options,
        spec: PathBuf,
        router: RouterProcess,
        begun: Instant,
    ) -> Result<Self> {
        let seed = options.seed.unwrap_or_else(|| u64::from(std::process::id()) * 7919 + 1);
        if options.kills.is_some() || options.router_kills > 0 {
            say!("seed {seed}");
        }
        Ok(Self {
            site,
            options,
            journal: Place::of(&spec).journal(),
            driver: driver_with(site, &["run", &spec.display().to_string()], &options.stops)?,
            spec,
            router,
            numbers: Numbers::new(seed),
            storm: Storm::usual(),
            begun,
            seen: 0,
            before: 0,
            held: None,
            last: (0, begun),
            counts: Counts::default(),
        })
    }

    /// The way there, or up to a fence that was given up where that is to be shown.
    pub(super) async fn there(&mut self) -> Result<()> {
        let (kills, router) = self.share(false);
        if let Some(kills) = kills {
            self.storm = Storm::new(&mut self.numbers, false, kills, router);
        }
        let (given_up, at_once) = (self.options.terms.policy_of_b_only, self.options.at_once);
        let done = |events: &[Event]| {
            let mut after = events.iter().skip_while(|event| !ends_fence(event));
            let moved = |event: &Event| matches!(event, Event::Register { owner: Side::B, .. });
            match (given_up, at_once) {
                (true, _) => after.any(|event| matches!(event, Event::Register { .. })),
                (_, true) => events.iter().any(moved),
                _ => events.iter().any(|event| matches!(event, Event::Reversed { .. })),
            }
        };
        self.until(done).await?;
        if !at_once {
            self.rest().await?;
            // Users write at the new owner.
            self.wait(Duration::from_secs(1)).await?;
        }
        Ok(())
    }

    /// The way back.
    pub(super) async fn back(&mut self) -> Result<()> {
        let (kills, router) = self.share(true);
        self.before = self.seen;
        let storm = Storm::new(&mut self.numbers, true, kills.unwrap_or(0), router);
        let missed = std::mem::replace(&mut self.storm, storm).rest();
        self.storm.add(missed);
        self.command("rollback", |state| matches!(state, State::RollingBack(_) | State::Undoing | State::RolledBack))
            .await?;
        self.until(|events| events.iter().any(|event| matches!(event, Event::Undone))).await?;
        self.rest().await
    }

    /// The kills of the driver and of the router in a direction.
    fn share(&self, back: bool) -> (Option<usize>, usize) {
        let half = |all: usize| match (self.options.back, back) {
            (false, _) => all,
            (true, false) => all.div_ceil(2),
            (true, true) => all / 2,
        };
        let kills = self.options.kills.or((self.options.router_kills > 0).then_some(0));
        (kills.map(half), half(self.options.router_kills))
    }

    /// The kills whose event did not come.
    async fn rest(&mut self) -> Result<()> {
        for moment in self.storm.rest() {
            self.wait(moment.delay()).await?;
            self.strike(moment)?;
        }
        Ok(())
    }

    /// Sends a command until the migration is in a state.
    async fn command(&mut self, command: &str, reached: impl Fn(&State) -> bool) -> Result<()> {
        let spec = self.spec.display().to_string();
        for _ in 0..100 {
            // A driver that has just been started may not listen yet.
            let sent = driver(self.site, &[command, &spec])?.end().await;
            if reached(&self.state()?) {
                return Ok(());
            }
            if let Err(error) = sent {
                complain!("{error}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(Error::invalid_input(format!("the command {command} does not reach the driver")))
    }

    fn state(&self) -> Result<State> {
        let machine = MigrationSpec::load(&self.spec)?.state(&Place::of(&self.spec).folder())?;
        Ok(machine.state().clone())
    }

    /// Watches for a time.
    pub(super) async fn wait(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        self.until(|_| Instant::now() >= end).await
    }

    /// Ends the driver; the router still runs.
    pub(super) async fn end(mut self) -> Result<(Counts, RouterProcess)> {
        self.driver.kill()?;
        Ok((self.counts, self.router))
    }

    /// Shows each event, and once a second the traffic; kills in between.
    async fn until(&mut self, done: impl Fn(&[Event]) -> bool) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < LONGEST {
            let events = read_events(&self.journal).unwrap_or_default();
            for event in events.iter().skip(self.seen) {
                self.show(event);
            }
            self.seen = self.seen.max(events.len());
            self.stop().await?;
            if let Some(moment) = self.storm.due() {
                self.strike(moment)?;
            }
            if done(events.get(self.before..).unwrap_or_default()) {
                return Ok(());
            }
            if self.last.1.elapsed() > Duration::from_secs(1) {
                self.traffic().await;
                if let State::NeedsDecision { question, .. } = self.state()?
                    && !self.options.terms.policy_of_b_only
                {
                    return Err(Error::invalid_input(format!("{}: {}", question.text, question.evidence.join("; "))));
                }
            }
            let rests = matches!(events.last(), Some(Event::TestsPassed | Event::Register { .. }));
            if rests && self.options.terms.cut_over_by_command && matches!(self.state()?, State::Tested) {
                self.command("cut-over", |state| !matches!(state, State::Tested)).await?;
            }
            self.driver.ended()?;
            tokio::time::sleep(LOOK).await;
        }
        Err(Error::invalid_input(format!("the migration has taken more than {LONGEST:?}")))
    }

    fn show(&mut self, event: &Event) {
        let why = reason(event);
        say!("{:5.1} s {} {why}", self.begun.elapsed().as_secs_f64(), event.name());
        self.storm.saw(event.name());
        match event {
            Event::Held => self.held = Some(Instant::now()),
            Event::Register { holding: false, .. } => {
                let held = self.held.take().map_or(Duration::ZERO, |held| held.elapsed());
                self.counts.hold = self.counts.hold.max(held);
            }
            event if ends_fence(event) && self.held.is_some() => self.counts.given_up += 1,
            _ => {}
        }
    }

    /// If the driver has stopped itself at a stage of the fence, lets it continue after a time.
    async fn stop(&mut self) -> Result<()> {
        if !self.driver.is_stopped() {
            return Ok(());
        }
        let time = Duration::from_millis(self.options.terms.silence) + LONGER;
        let stage = stage(&self.state()?).unwrap_or("after it");
        say!("       the driver gets SIGSTOP in the stage {stage} for {time:?}");
        self.counts.stops += 1;
        tokio::time::sleep(time).await;
        self.driver.resume()
    }

    fn strike(&mut self, moment: Moment) -> Result<()> {
        let when = match moment.after {
            "approved" => "while it copies".to_owned(),
            event => format!("after the event {event}"),
        };
        if moment.target == Target::Router {
            say!("       the router gets SIGKILL {when}, and is started again");
            self.counts.router_kills += 1;
            return self.router.kill_and_start();
        }
        say!("       the driver gets SIGKILL {when}, and is started again");
        self.counts.kills += 1;
        self.driver.kill()?;
        self.driver = driver_with(self.site, &["run", &self.spec.display().to_string()], &self.options.stops)?;
        Ok(())
    }

    async fn traffic(&mut self) {
        let since = self.last.1.elapsed().as_secs_f64();
        self.last.1 = Instant::now();
        let (Ok(ledger), Ok(route)) = (Ledger::load(&self.site.at(LEDGER)), self.site.route().await) else { return };
        let rate = (ledger.requests - self.last.0) as f64 / since;
        self.last.0 = ledger.requests;
        let held = route.hold.map_or_else(String::new, |hold| format!(", {} held", hold.waiting));
        // While the driver is killed or stopped, nobody knows it.
        let lags = lag(&Place::of(&self.spec), route.owner).await;
        let lag = lags.map_or_else(|_| String::new(), |lags| format!("; {}", behind(&lags)));
        say!(
            "{:5.1} s   {}, {rate:.0} requests a second, {} failures{held}{lag}",
            self.begun.elapsed().as_secs_f64(),
            route.weights,
            ledger.failures
        );
    }
}

/// In a fence these events give it up.
fn ends_fence(event: &Event) -> bool {
    matches!(event, Event::GivenUp { .. } | Event::Failed { .. })
}
