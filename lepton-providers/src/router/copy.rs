//! Copies of users' reads for side B. Their answers are discarded.

use std::pin::{Pin, pin};
use std::sync::Arc;

use http::{HeaderValue, Method, Request};
use http_body::Body as _;
use hyper::body::Incoming;
use lepton_core::data_set::Side;

use super::bodies::Upload;
use super::exchange::{Answered, Failed, Passed, exchange, head_of};
use super::gate::Pass;
use super::shared::Shared;
use super::timing::within;

/// The header by which the application can tell a copy.
const HEADER: &str = "x-lepton-shadow";

/// Sends a copy of a read of side A to side B, if one is due and there is a place for it. The user
/// does not wait for it.
pub(super) fn copy_read<B: http_body::Body>(shared: &Arc<Shared>, request: &Request<B>, writes: bool) {
    let reads = request.method() == Method::GET && !writes && request.body().is_end_stream();
    let Some(place) = reads.then(|| shared.shadows.place()).flatten() else { return };
    let Some(pass) = shared.gate.shadow() else { return };
    let mut request = head_of(request).map(|()| Upload::empty());
    request.headers_mut().insert(HEADER, HeaderValue::from_static("1"));
    let this = Arc::clone(shared);
    shared.start(async move {
        let _place = place;
        if within(&this.env, this.config.limits.answer_time, send(&this, pass, request)).await != Some(true) {
            this.flights.error(Side::B);
        }
    });
}

/// Sends the copy, and reads the answer to its end; returns whether it is below 500.
async fn send(shared: &Shared, pass: Pass, request: Request<Upload>) -> bool {
    let passed = Passed { flight: pass.flight, turn: pass.turn, request, again: false };
    match exchange(shared, passed).await {
        Ok(Answered { response, mut flight, lease, connection }) => {
            let works = !response.status().is_server_error();
            if !read(response.into_body()).await {
                return false;
            }
            flight.answered();
            Arc::clone(&lease.0).give_back(connection, &shared.env);
            works
        }
        // Side B has no replica yet: nothing was sent, and nothing has failed.
        Err(why) => matches!(why, Failed::NoReplica),
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
