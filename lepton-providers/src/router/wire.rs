//! What goes over the control socket: one JSON document a line, a command and its answer.

use std::time::Duration;

use lepton_core::data_set::Side;
use lepton_core::traffic::{
    Backend, Counters, Hold, HoldId, HoldLimits, InFlight, InFlightPolicy, Route, SideCounters, Weights,
};
use lepton_core::{Effect, Error, ErrorKind, Result, RetryClass};
use serde::{Deserialize, Serialize};

/// The version of the protocol.
pub(super) const VERSION: u32 = 1;

/// The longest line.
pub(super) const LONGEST: u64 = 1 << 20;

/// A command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) version: u32,
    pub(super) command: Command,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Command {
    Get,
    Set {
        side: Side,
        backends: Vec<Backend>,
        if_version: u64,
    },
    Verify,
    Hold {
        epoch: u64,
        limits: HoldLimits,
        all: bool,
    },
    Renew {
        hold: HoldId,
    },
    /// `cleared` is the epoch of the clearance.
    Switch {
        to: Side,
        cleared: u64,
        hold: HoldId,
        epoch: u64,
    },
    Release {
        hold: HoldId,
        epoch: u64,
    },
    Drain {
        side: Side,
        cut: Option<Duration>,
    },
}

/// The answer to a command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Route(RouteText),
    Counters(CountersText),
    Hold(HoldText),
    InFlight(InFlightText),
    Error(ErrorText),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RouteText {
    version: u64,
    epoch: u64,
    owner: Side,
    a: Vec<Backend>,
    b: Vec<Backend>,
    hold: Option<HoldText>,
}

impl From<Route> for RouteText {
    fn from(route: Route) -> Self {
        let Route { version, epoch, owner, a, b, hold, .. } = route;
        Self { version, epoch, owner, a, b, hold: hold.map(HoldText::from) }
    }
}

impl From<RouteText> for Route {
    fn from(text: RouteText) -> Self {
        let mut route = Self::new();
        (route.version, route.epoch, route.owner) = (text.version, text.epoch, text.owner);
        route.weights = Weights::owned_by(text.owner);
        (route.a, route.b, route.hold) = (text.a, text.b, text.hold.map(Hold::from));
        route
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HoldText {
    id: HoldId,
    epoch: u64,
    waiting: u64,
    age: Duration,
}

impl From<Hold> for HoldText {
    fn from(hold: Hold) -> Self {
        let Hold { id, epoch, waiting, age, .. } = hold;
        Self { id, epoch, waiting, age }
    }
}

impl From<HoldText> for Hold {
    fn from(text: HoldText) -> Self {
        let mut hold = Self::new(text.id, text.epoch);
        (hold.waiting, hold.age) = (text.waiting, text.age);
        hold
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SideText {
    requests: u64,
    writes: u64,
    errors: u64,
    tests: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CountersText {
    a: SideText,
    b: SideText,
    held: u64,
    refused: u64,
}

impl From<Counters> for CountersText {
    fn from(counters: Counters) -> Self {
        let side = |SideCounters { requests, writes, errors, tests, .. }| SideText { requests, writes, errors, tests };
        Self { a: side(counters.a), b: side(counters.b), held: counters.held, refused: counters.refused }
    }
}

impl From<CountersText> for Counters {
    fn from(text: CountersText) -> Self {
        let side = |text: SideText| {
            let mut side = SideCounters::default();
            (side.requests, side.writes, side.errors, side.tests) =
                (text.requests, text.writes, text.errors, text.tests);
            side
        };
        let mut counters = Self::new();
        (counters.a, counters.b) = (side(text.a), side(text.b));
        (counters.held, counters.refused) = (text.held, text.refused);
        counters
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InFlightText {
    requests: u64,
    writes: u64,
    websockets: u64,
    unknown: u64,
}

impl From<InFlight> for InFlightText {
    fn from(open: InFlight) -> Self {
        let InFlight { requests, writes, websockets, unknown, .. } = open;
        Self { requests, writes, websockets, unknown }
    }
}

impl From<InFlightText> for InFlight {
    fn from(text: InFlightText) -> Self {
        let mut open = Self::new();
        (open.requests, open.writes, open.websockets, open.unknown) =
            (text.requests, text.writes, text.websockets, text.unknown);
        open
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ErrorText {
    kind: String,
    message: String,
    effect: String,
    again: bool,
}

// Not `From`: it would leave the type of other errors of this crate open.
impl ErrorText {
    pub(super) fn of(error: &Error) -> Self {
        let effect = match error.effect() {
            Effect::None => "none",
            Effect::Partial => "partial",
            Effect::Applied => "applied",
            _ => "unknown",
        };
        Self {
            kind: error.kind().code().to_owned(),
            message: error.full_message(),
            effect: effect.to_owned(),
            again: error.retry() != RetryClass::Never,
        }
    }

    pub(super) fn error(self) -> Error {
        let kind = ErrorKind::ALL.iter().find(|kind| kind.code() == self.kind);
        let effect = match self.effect.as_str() {
            "none" => Effect::None,
            "partial" => Effect::Partial,
            "applied" => Effect::Applied,
            _ => Effect::Unknown,
        };
        let retry = if self.again { RetryClass::Now } else { RetryClass::Never };
        let kind = kind.copied().unwrap_or(ErrorKind::Unexpected);
        Error::new(kind, self.message).with_effect(effect).with_retry(retry)
    }
}

/// The policy of a drain, from its text.
pub(super) fn policy(cut: Option<Duration>) -> InFlightPolicy {
    cut.map_or(InFlightPolicy::Wait, InFlightPolicy::Cut)
}

/// One line.
pub(super) fn line(document: &impl Serialize) -> Result<Vec<u8>> {
    let failed = |error| Error::new(ErrorKind::Unexpected, "a message cannot be encoded").with_source(error);
    let mut line = serde_json::to_vec(document).map_err(failed)?;
    line.push(b'\n');
    Ok(line)
}
