//! One request at the replicas of one side, with its retries.

use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

use super::bodies::Upload;
use super::flight::Flight;
use super::pool::{Unanswered, connect, send};
use super::shared::Shared;
use super::sides::Lease;
use super::timing::unless;

/// The most replicas that one request is sent to.
const ATTEMPTS: usize = 3;

/// An answer whose body has not been read.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) response: Response<Incoming>,
    pub(super) flight: Flight,
    pub(super) lease: Lease,
    pub(super) connection: SendRequest<Upload>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// The side has no replica that works.
    NoReplica,
    /// The client has not sent its body.
    Client,
    /// The replica has not answered.
    Replica,
    /// The replica has not begun to answer in time.
    Timeout,
    /// A drain has cut it off.
    Cut,
}

/// A request that has passed the gate.
pub(super) struct Passed {
    pub(super) flight: Flight,
    pub(super) turn: u64,
    pub(super) request: Request<Upload>,
    /// It may be sent again after a replica may have received it.
    pub(super) again: bool,
}

/// Sends a request, and returns the head of the answer.
pub(super) async fn exchange(shared: &Shared, mut passed: Passed) -> Result<Answered, Failed> {
    let cut = passed.flight.cut();
    let attempts = attempts(shared, &mut passed.flight, passed.turn, passed.request, passed.again);
    let (response, lease, connection) = unless(cut, attempts).await.unwrap_or(Err(Failed::Cut))?;
    Ok(Answered { response, flight: passed.flight, lease, connection })
}

type Reply = (Response<Incoming>, Lease, SendRequest<Upload>);

async fn attempts(
    shared: &Shared,
    flight: &mut Flight,
    turn: u64,
    mut request: Request<Upload>,
    again: bool,
) -> Result<Reply, Failed> {
    let progress = request.body().progress();
    let copy = (again && request.body().is_end_stream()).then(|| head_of(&request));
    let (mut tried, mut last) = (Vec::new(), Failed::NoReplica);
    while tried.len() < ATTEMPTS {
        // Never across the fence, and so never across the sides.
        if !tried.is_empty() && !shared.gate.same(turn) {
            break;
        }
        let Some(lease) = shared.sides.choose(flight.side(), &tried) else { break };
        let failed = match attempt(shared, flight, &lease, request).await {
            Ok((response, connection)) => {
                shared.sides.worked(&lease.0);
                return Ok((response, lease, connection));
            }
            Err(failed) => failed,
        };
        if progress.broken() {
            return Err(Failed::Client);
        }
        shared.sides.failed(&lease.0);
        tracing::debug!(address = lease.0.address, "{}", failed.error.full_message());
        last = Failed::Replica;
        request = match (failed.unsent, &copy) {
            (Some(unsent), _) => *unsent,
            (None, Some(copy)) => {
                if !flight.lost() {
                    break;
                }
                copy.clone().map(|()| Upload::empty())
            }
            (None, None) => break,
        };
        tried.push(std::sync::Arc::clone(&lease.0));
    }
    Err(last)
}

/// A copy of the head of a request.
pub(super) fn head_of<B>(request: &Request<B>) -> Request<()> {
    let mut head = Request::new(());
    head.method_mut().clone_from(request.method());
    head.uri_mut().clone_from(request.uri());
    head.headers_mut().clone_from(request.headers());
    head
}

/// Sends the request to one replica, on a connection that was used before or on a new one.
async fn attempt(
    shared: &Shared,
    flight: &mut Flight,
    lease: &Lease,
    mut request: Request<Upload>,
) -> Result<(Response<Incoming>, SendRequest<Upload>), Unanswered> {
    let limits = &shared.config.limits;
    while let Some(mut connection) = lease.0.pool.take(shared.env.uptime(), limits.keep_alive) {
        flight.sent();
        match send(&mut connection, request).await {
            Ok(response) => return Ok((response, connection)),
            // The replica had closed the connection.
            Err(Unanswered { unsent: Some(unsent), .. }) => {
                flight.answered();
                request = *unsent;
            }
            Err(sent) => return Err(sent),
        }
    }
    let mut connection = match connect(&shared.env, &lease.0.address, limits.connect_time).await {
        Ok(connection) => connection,
        Err(error) => return Err(Unanswered { error, unsent: Some(Box::new(request)) }),
    };
    flight.sent();
    match send(&mut connection, request).await {
        Ok(response) => Ok((response, connection)),
        Err(failed) => {
            if failed.unsent.is_some() {
                flight.answered();
            }
            Err(failed)
        }
    }
}
