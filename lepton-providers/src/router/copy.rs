//! Copies of users' reads for side B. Their answers are discarded.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request};
use http_body::Body as _;
use hyper::body::Incoming;
use lepton_core::data_set::Side;

use super::bodies::Upload;
use super::exchange::{Answered, Failed, Passed, exchange, head_of};
use super::gate::Pass;
use super::headers::SHADOW;
use super::shared::Shared;
use super::timing::within;

/// The longest time for the body of an answer.
const LONGEST: Duration = Duration::from_secs(10);

/// Sends a copy of a read of side A to side B, if one is due and there is a place for it. The user
/// does not wait for it.
pub(super) fn copy_read<B: http_body::Body>(shared: &Arc<Shared>, request: &Request<B>, writes: bool) {
    let reads = request.method() == Method::GET && !writes && request.body().is_end_stream();
    let Some(place) = reads.then(|| shared.shadows.place()).flatten() else { return };
    let Some(pass) = shared.gate.shadow() else { return };
    let mut request = head_of(request).map(|()| Upload::empty());
    request.headers_mut().insert(SHADOW, HeaderValue::from_static("1"));
    let this = Arc::clone(shared);
    shared.start(async move {
        let _place = place;
        send(&this, pass, request).await;
    });
}

/// Sends the copy, counts an answer that fails, and reads the rest of it for a limited time.
async fn send(shared: &Shared, pass: Pass, request: Request<Upload>) {
    let (env, limit) = (&shared.env, shared.config.limits.answer_time);
    let passed = Passed { flight: pass.flight, turn: pass.turn, request, again: false };
    let answered = match within(env, limit, exchange(shared, passed)).await {
        Some(Ok(answered)) => answered,
        // Side B has no replica yet: nothing was sent, and nothing has failed.
        Some(Err(Failed::NoReplica)) => return,
        _ => return shared.flights.error(Side::B),
    };
    let Answered { response, mut flight, lease, connection } = answered;
    if response.status().is_server_error() {
        shared.flights.error(Side::B);
    }
    // An answer may be a stream without an end.
    if within(env, limit.min(LONGEST), read(response.into_body())).await == Some(true) {
        flight.answered();
        Arc::clone(&lease.0).give_back(connection, env);
    }
}

async fn read(body: Incoming) -> bool {
    let mut body = pin!(body);
    while let Some(frame) = std::future::poll_fn(|cx| Pin::as_mut(&mut body).poll_frame(cx)).await {
        if frame.is_err() {
            return false;
        }
    }
    true
}
