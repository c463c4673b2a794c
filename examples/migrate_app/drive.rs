//! The driver of a migration, until it ends or is stopped.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use lepton::core::SystemRuntime;
use lepton::core::data_set::Side;
use lepton::core::migration::{Machine, State};
use lepton::migrate::{Commander, Control, Migration, MigrationSpec, Observed, control_socket};
use lepton::{Error, ErrorKind, Result};
use serde_json::json;

use crate::place::{Place, STOPPED, STOPS, resolver};
use crate::say::complain;
use crate::show::{behind, lag_fields, show, stage};
use crate::signals::Signals;

/// How often the lag is shown.
const LAG: Duration = Duration::from_secs(5);

/// How long the journal may stay locked: a program that a driver was just starting when it was
/// killed has the lock for a moment longer, and a command where no driver runs takes it too.
const RELEASE: Duration = Duration::from_secs(2);

/// What the driver has to know about itself while it runs.
struct Watch {
    /// Ends at the end of the fence, because a signal has arrived.
    stopping: Cell<bool>,
    in_fence: Cell<bool>,
    /// The owner whose follower is behind, if one follows.
    followed: Cell<Option<Side>>,
}

impl Watch {
    fn new(machine: &Machine) -> Self {
        let watch = Self { stopping: Cell::new(false), in_fence: Cell::new(false), followed: Cell::new(None) };
        watch.saw(machine.state());
        watch
    }

    fn saw(&self, state: &State) {
        self.in_fence.set(is_fence(state));
        self.followed.set(match state {
            State::Copying { .. } | State::Delta { .. } | State::Deployed | State::Tested => Some(Side::A),
            State::Holding => Some(Side::B),
            _ => None,
        });
    }
}

/// Drives the migration until it ends, or until `until` is reached; returns the exit code.
pub(crate) async fn drive(place: &Place, until: Option<&str>) -> Result<u8> {
    let mut signals = Signals::listen().map_err(|error| Error::io("cannot listen to signals", error))?;
    let spec = MigrationSpec::load(place.spec())?;
    let opened = tokio::select! {
        opened = open(place, &spec) => opened,
        () = signals.next() => return Ok(stopped(place)),
    };
    let mut migration = opened?;
    check_approval(&spec, migration.machine())?;
    let end = run(place, until, &mut migration, &mut signals).await?;
    drop(migration);
    match end {
        End::Reached => return Ok(0),
        End::Stopped => changes_end(place, &mut signals).await,
        End::StoppedAtOnce => {}
    }
    Ok(stopped(place))
}

/// Why a driver has ended.
enum End {
    /// The migration has ended, or reached the state that was asked for.
    Reached,
    Stopped,
    StoppedAtOnce,
}

fn stopped(place: &Place) -> u8 {
    place.say("stopped; the same command resumes", &json!({"event": "stopped"}));
    STOPPED
}

async fn run(place: &Place, until: Option<&str>, migration: &mut Migration, signals: &mut Signals) -> Result<End> {
    let commander = migration.commander();
    let _control = Control::serve(control_socket(&place.folder()), commander.clone(), &SystemRuntime::shared())?;
    show(place, None, migration.state());
    let (watch, reached) = (Watch::new(migration.machine()), Cell::new(false));
    let ends = |state: &State| {
        reached.set(match until {
            Some(name) => state.name() == name,
            None => matches!(state, State::RolledBack | State::Finalized | State::Decommissioned),
        });
        reached.get() || (watch.stopping.get() && !is_fence(state))
    };
    let mut stops = Stops::of_variable();
    let observe = |observed: Observed<'_>| {
        show(place, Some(observed.event), observed.state);
        watch.saw(observed.state);
        stops.saw(observed.state);
    };
    let driven = migration.run(ends, observe);
    tokio::pin!(driven);
    let mut looks = tokio::time::interval(LAG);
    looks.reset();
    loop {
        tokio::select! {
            ended = &mut driven => {
                ended?;
                let stopped = watch.stopping.get() && !reached.get();
                return Ok(if stopped { End::Stopped } else { End::Reached });
            }
            () = signals.next() => {
                if !watch.in_fence.get() {
                    return Ok(End::Stopped);
                }
                if watch.stopping.replace(true) {
                    return Ok(End::StoppedAtOnce);
                }
                let line = "stopping at the end of the fence, which holds requests; another signal stops at once";
                place.say(line, &json!({"event": "stopping"}));
            }
            _ = looks.tick() => show_lag(place, &commander, watch.followed.get()).await,
        }
    }
}

/// Waits until a change that was begun, such as the program of a step, has ended: until then the
/// journal is locked. Another signal ends the wait.
async fn changes_end(place: &Place, signals: &mut Signals) {
    let lock = place.journal().join("journal.lock");
    let ended = async {
        let mut said = false;
        while std::fs::File::open(&lock).is_ok_and(|lock| lock.try_lock().is_err()) {
            if !std::mem::replace(&mut said, true) {
                let line = "waiting for the end of a change that was begun; another signal stops at once";
                place.say(line, &json!({"event": "stopping"}));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = ended => {}
        () = signals.next() => {}
    }
}

async fn open(place: &Place, spec: &MigrationSpec) -> Result<Migration> {
    let folder = place.folder();
    std::fs::create_dir_all(&folder).map_err(|error| Error::io("cannot create the folder of the state", error))?;
    let begun = Instant::now();
    loop {
        match spec.open(&folder, &resolver(), &SystemRuntime::shared()).await?.open().await {
            Err(error) if error.kind() == ErrorKind::Locked && begun.elapsed() < RELEASE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            opened => return opened,
        }
    }
}

fn is_fence(state: &State) -> bool {
    matches!(state, State::Fence(_) | State::RollingBack(_))
}

fn check_approval(spec: &MigrationSpec, machine: &Machine) -> Result<()> {
    let refused = |why: String| Err(Error::new(ErrorKind::PreconditionFailed, why));
    if matches!(machine.state(), State::Draft | State::Planned) {
        return refused(format!("the migration is {}: `plan` it and `approve` the plan first", machine.state()));
    }
    match machine.plan() {
        Some(approved) if approved != spec.digest() => {
            let message = "the specification is not the one that was approved; restore it, or roll back and plan anew";
            refused(message.to_owned())
        }
        _ => Ok(()),
    }
}

async fn show_lag(place: &Place, commander: &Commander, followed: Option<Side>) {
    let Some(from) = followed else { return };
    match commander.lag(from).await {
        Ok(lags) => {
            let fields = json!({"event": "lag", "from": from, "data_sets": lag_fields(&lags)});
            place.say(&behind(&lags), &fields);
        }
        Err(error) => complain!("migrate_app: the lag is not known: {error}"),
    }
}

/// The stages at which the driver of the demonstration stops itself, in their order.
struct Stops(VecDeque<String>);

impl Stops {
    fn of_variable() -> Self {
        let stops = std::env::var(STOPS).unwrap_or_default();
        Self(stops.split(',').filter(|stage| !stage.is_empty()).map(str::to_owned).collect())
    }

    fn saw(&mut self, state: &State) {
        if self.0.front().is_some_and(|stop| stage(state) == Some(stop)) {
            self.0.pop_front();
            // The demonstration lets it continue. If the signal cannot be sent, its count shows that.
            let _ = std::process::Command::new("kill").args(["-STOP", &std::process::id().to_string()]).status();
        }
    }
}
