//! Faults that a real server cannot be made to give on demand.
//!
//! Hooks act on HTTP, around the S3 protocol and the storage: what is behind
//! them stays correct, and the fault is exactly what a client would see of a
//! broken network or a server in trouble. They are for tests and say nothing of
//! how a particular real server fails.

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
    /// It is served as it should be.
    #[default]
    Pass,
    /// It is served after this time.
    Delay(Duration),
    /// It is served when the gate is open; until then its body is not read.
    Hold(Gate),
    /// It is served, and answered when the gate is open.
    HoldReply(Gate),
    /// It is answered with this failure instead, after its body was read.
    Fail(Failure),
    /// It is answered with status 200 and this S3 error code in the body,
    /// without effect, as S3 may answer CompleteMultipartUpload and CopyObject.
    FailInside(&'static str),
    /// The connection is reset.
    Reset(Moment),
    /// It is never answered; the connection stays open.
    Stall,
    /// It is delivered twice, one after the other, and the second reply is sent.
    Twice,
    /// It is served with one bit of the byte at this offset of its body wrong. A
    /// shorter body stays as it is.
    FlipRequest(u64),
    /// It is served, but the reply's body ends after so many bytes, with the
    /// headers of the whole, and the connection is closed.
    Truncate(u64),
    /// It is served, but the reply's body ends after so many bytes, and its
    /// headers say that this is all.
    Shorten(u64),
    /// It is served, but a reply with a part of an object says that the part
    /// begins so many bytes later.
    Shift(u64),
    /// It is served, but the reply's body is what this function makes of it.
    Rewrite(fn(&str) -> String),
    /// It is served, but one bit of the byte at this offset of the reply's body
    /// is wrong. A shorter body stays as it is.
    Flip(u64),
    /// It is served, but the reply's body comes in pieces of so many bytes, with
    /// this pause before each.
    Trickle(u64, Duration),
    /// It is served, but the reply's body stops after so many bytes while the
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

/// An S3 error that a hook answers with.
#[derive(Debug, Clone)]
pub struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Failure {
    /// Status `status` with the S3 error code `code`; status 500 if `status` is
    /// not an HTTP status.
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

    /// With one more header. A name or value that HTTP does not allow is left
    /// out.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a Retry-After of so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header("retry-after", seconds.to_string())
    }
}

/// Holds requests until a test lets them go. Clones are the same gate.
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

    /// Opens the gate for good.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until a request has come to the gate.
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
    // The sender is borrowed, so the wait cannot end by its loss.
    let _ = of.subscribe().wait_for(|now| *now).await;
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// Hooks that follow rules; the first rule that fits decides.
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
    /// No rules yet. The seed decides the rules with a probability; the same
    /// requests in the same order give the same faults.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Script { rules: Vec::new(), random: seed }))
    }

    /// Adds a rule behind those that are there.
    #[must_use]
    pub fn rule(self, rule: Rule, action: Action) -> Self {
        self.add(rule, action);
        self
    }

    /// Adds a rule while the server runs.
    pub fn add(&self, rule: Rule, action: Action) {
        self.lock().rules.push(Entry { rule, action, seen: 0, fired: 0 });
    }

    /// How often each rule acted, in the order they were added. A test asserts
    /// with this that its fault took place.
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

/// Which requests a fault is for.
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

    /// Only after so many requests that fit have passed.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// At most so often.
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
        let request = |uri: &str| RequestInfo::parse(&Method::PUT, &uri.parse().unwrap(), &HeaderMap::new());
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
