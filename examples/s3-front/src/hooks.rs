//! Faults that a real server cannot be made to produce on demand.
//!
//! Hooks act on HTTP, around the S3 protocol and the storage: the storage behind them stays
//! correct, and the fault is exactly what a client would see of a broken network or a failing
//! server. They are for tests and do not show how a particular real server fails.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::watch;

use crate::request::RequestInfo;

/// Decides what happens to each request.
pub trait Hooks: Send + Sync + 'static {
    /// Called once for each request, before its body is read.
    fn on_request(&self, request: &RequestInfo) -> Action;
}

/// What happens to a request.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Action {
    /// The request is served normally.
    #[default]
    Pass,
    /// The request is served after this time.
    Delay(Duration),
    /// The request is served when the gate is open; until then its body is not read.
    Hold(Gate),
    /// The request is served, and the reply is sent when the gate is open.
    HoldReply(Gate),
    /// The request is answered with this failure instead, after its body was read.
    Fail(Failure),
    /// The request is answered with status 200 and this S3 error code in the body, without
    /// effect, as S3 may answer CompleteMultipartUpload and CopyObject.
    FailInside(&'static str),
    /// The connection is reset.
    Reset(Moment),
    /// The request is never answered; the connection stays open.
    Stall,
    /// The request is served twice, one after the other, and the second reply is sent.
    Twice,
    /// The request is served with one bit flipped in the byte at this offset of its body. A
    /// shorter body is unchanged.
    FlipRequest(u64),
    /// The request is served, but the reply's body ends after this many bytes, with the headers
    /// of the whole body, and the connection is closed.
    Truncate(u64),
    /// The request is served, but the reply's body ends after this many bytes, and its headers
    /// state this shorter length.
    Shorten(u64),
    /// The request is served, but a reply with a range of an object states that the range
    /// begins this many bytes later.
    Shift(u64),
    /// The request is served, but this function rewrites the reply's body.
    Rewrite(fn(&str) -> String),
    /// The request is served, but one bit is flipped in the byte at this offset of the reply's
    /// body. A shorter body is unchanged.
    Flip(u64),
    /// The request is served, but the reply's body is sent in pieces of this many bytes, with
    /// this pause before each piece.
    Trickle(u64, Duration),
    /// The request is served, but the reply's body stops after this many bytes while the
    /// connection stays open.
    StallAfter(u64),
}

/// When a connection is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the body is read.
    BeforeReading,
    /// After the body was read, without effect.
    BeforeEffect,
    /// After the effect: the reply is lost.
    AfterEffect,
}

/// An S3 error with which a hook answers.
#[derive(Debug, Clone)]
pub struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Failure {
    /// Status `status` with the S3 error code `code`; status 500 if `status` is not a valid
    /// HTTP status.
    pub fn new(status: u16, code: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code: code.into(), headers: Vec::new() }
    }

    /// 503 SlowDown, without a Retry-After.
    pub fn slow_down() -> Self {
        Self::new(503, "SlowDown")
    }

    /// 403 RequestTimeTooSkewed.
    pub fn clock_skew() -> Self {
        Self::new(403, "RequestTimeTooSkewed")
    }

    /// Adds a header. A name or value that HTTP does not allow is omitted.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a Retry-After of this many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header("retry-after", seconds.to_string())
    }
}

/// Holds requests until a test releases them. Clones share the gate.
#[derive(Debug, Clone)]
pub struct Gate {
    open: watch::Sender<bool>,
    reached: watch::Sender<bool>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self { open: watch::Sender::new(false), reached: watch::Sender::new(false) }
    }

    /// Opens the gate permanently.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until a request has reached the gate.
    pub async fn reached(&self) {
        become_true(&self.reached).await;
    }

    /// Waits until the gate is open.
    pub async fn passed(&self) {
        self.reached.send_replace(true);
        become_true(&self.open).await;
    }
}

async fn become_true(of: &watch::Sender<bool>) {
    // The sender is borrowed, so the wait cannot end because it was dropped.
    let _ = of.subscribe().wait_for(|now| *now).await;
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// Hooks that follow rules; the first matching rule decides.
///
/// ```
/// use lepton_s3_front::{Action, Failure, Moment, Rule, ScriptedHooks};
/// let hooks = ScriptedHooks::new(7)
///     .rule(Rule::on("UploadPart").part(2).times(1), Action::Reset(Moment::AfterEffect))
///     .rule(Rule::on("GetObject").probability(0.01), Action::Fail(Failure::slow_down().retry_after(1)));
/// # assert_eq!(hooks.fired(), [0, 0]);
/// ```
#[derive(Debug)]
pub struct ScriptedHooks(Mutex<Script>);

#[derive(Debug)]
struct Script {
    rules: Vec<Entry>,
    random: u64,
}

#[derive(Debug)]
struct Entry {
    rule: Rule,
    action: Action,
    seen: u64,
    fired: u64,
}

impl ScriptedHooks {
    /// Creates hooks without rules. The seed determines the outcome of rules with a
    /// probability; the same requests in the same order give the same faults.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Script { rules: Vec::new(), random: seed }))
    }

    /// Adds a rule after the existing ones.
    #[must_use]
    pub fn rule(self, rule: Rule, action: Action) -> Self {
        self.add(rule, action);
        self
    }

    /// Adds a rule while the server runs.
    pub fn add(&self, rule: Rule, action: Action) {
        self.lock().rules.push(Entry { rule, action, seen: 0, fired: 0 });
    }

    /// How often each rule fired, in the order in which they were added. Tests use this to
    /// assert that their fault occurred.
    pub fn fired(&self) -> Vec<u64> {
        self.lock().rules.iter().map(|entry| entry.fired).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hooks for ScriptedHooks {
    fn on_request(&self, request: &RequestInfo) -> Action {
        let Script { rules, random } = &mut *self.lock();
        for entry in rules {
            if entry.rule.fits(request) && entry.due(random) {
                entry.fired += 1;
                return entry.action.clone();
            }
        }
        Action::Pass
    }
}

impl Entry {
    fn due(&mut self, random: &mut u64) -> bool {
        self.seen += 1;
        let rule = &self.rule;
        self.seen > rule.skip
            && self.fired < rule.times
            && rule.probability.is_none_or(|probability| next_unit(random) < probability)
    }
}

/// The next number of SplitMix64 (Steele, Lea, Flood 2014), from 0 up to 1.
fn next_unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// The requests that a fault applies to.
#[derive(Debug, Clone)]
pub struct Rule {
    operation: Option<&'static str>,
    key: Option<Vec<u8>>,
    part: Option<u32>,
    skip: u64,
    times: u64,
    probability: Option<f64>,
}

impl Rule {
    /// Every request of this operation (`PutObject`, `UploadPart`, …).
    pub fn on(operation: &'static str) -> Self {
        Self { operation: Some(operation), ..Self::always() }
    }

    /// Every request.
    pub fn always() -> Self {
        Self { operation: None, key: None, part: None, skip: 0, times: u64::MAX, probability: None }
    }

    /// Only for keys that begin with this.
    #[must_use]
    pub fn key(mut self, prefix: impl Into<Vec<u8>>) -> Self {
        self.key = Some(prefix.into());
        self
    }

    /// Only for the part of this number.
    #[must_use]
    pub fn part(mut self, number: u32) -> Self {
        self.part = Some(number);
        self
    }

    /// Only after this many matching requests have passed.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// At most this many times.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Only for this share of the requests, from 0 to 1, drawn from the seed.
    #[must_use]
    pub fn probability(mut self, share: f64) -> Self {
        self.probability = Some(share);
        self
    }

    fn fits(&self, request: &RequestInfo) -> bool {
        self.operation.is_none_or(|operation| operation == request.operation)
            && self.part.is_none_or(|part| request.part == Some(part))
            && self
                .key
                .as_ref()
                .is_none_or(|prefix| request.key.as_ref().is_some_and(|key| key.as_bytes().starts_with(prefix)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, Method};

    #[test]
    fn rules_skip_count_and_draw_from_the_seed() {
        let request = |uri: &str| RequestInfo::parse(&Method::PUT, &uri.parse().unwrap(), &HeaderMap::new(), None);
        let run = |seed| {
            let hooks = ScriptedHooks::new(seed)
                .rule(Rule::on("PutObject").key("a/").after(1).times(1), Action::Stall)
                .rule(Rule::on("PutObject").probability(0.3), Action::Truncate(1));
            let uris = (0..100).map(|i| if i % 2 == 0 { "/b/a/x" } else { "/b/c" });
            let stalls = uris.map(|uri| matches!(hooks.on_request(&request(uri)), Action::Stall)).collect::<Vec<_>>();
            assert_eq!(stalls.iter().position(|stalled| *stalled), Some(2));
            hooks.fired()
        };
        let fired = run(1);
        assert_eq!(fired, run(1));
        assert!(fired[0] == 1 && (15..45).contains(&fired[1]), "{fired:?}");
    }
}
