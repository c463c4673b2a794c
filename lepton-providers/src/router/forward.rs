//! One request, from its head to the head of its answer.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, on};
use tokio::sync::oneshot;

use super::answer::AnswerBody;
use super::bodies::{Progress, Upload};
use super::copy::copy_read;
use super::exchange::{Answered, Failed, Passed, exchange};
use super::gate::{Ask, Refusal};
use super::headers;
use super::request::{Client, prepare};
use super::shared::Shared;
use super::websocket::Tunnel;

/// Seconds after which a client may repeat a request that was answered with 503.
const RETRY_AFTER: &str = "2";

type Answer = Response<AnswerBody>;

/// Answers a request of a client. Dropping the future, which the server does when the client is
/// gone, leaves the queue of a hold, but does not end a request that has been sent.
pub(super) async fn answer(shared: &Arc<Shared>, client: Client, mut request: Request<Incoming>) -> Answer {
    let way = match prepare(&shared.config, &client, &mut request) {
        Ok(way) => way,
        Err((status, why)) => return last(text(status, why)),
    };
    let passed = if way.test {
        shared.gate.test(way.class.writes)
    } else {
        shared.gate.pass(Ask { writes: way.class.writes, bytes: way.bytes }).await
    };
    let pass = match passed {
        Ok(pass) => pass,
        Err(Refusal::Closed) => return unavailable("the router waits for a decision about the route"),
        Err(Refusal::Full) => return unavailable("too many requests wait for the route"),
    };
    if !pass.flight.is_noted() {
        return unavailable("the router cannot record the request");
    }
    if !way.test && !way.websocket {
        copy_read(shared, &request, way.class.writes);
    }
    let upgrade = way.websocket.then(|| on(&mut request));
    let limit = shared.config.limits.idle_time;
    let request = request.map(|body| Upload::new(body, &shared.env, limit));
    let progress = request.body().progress();
    let passed = Passed { flight: pass.flight, turn: pass.turn, request, again: way.class.again };
    let (reply, response) = oneshot::channel();
    let upgrade = upgrade.map(|upgrade| (upgrade, client));
    shared.start(send(Arc::clone(shared), passed, upgrade, progress, reply));
    response.await.unwrap_or_else(|_| last(text(StatusCode::BAD_GATEWAY, "the router stops")))
}

/// Sends a request, and passes the answer to the client, or 504 if it takes too long. A request that
/// may write is awaited to its end in any case.
async fn send(
    shared: Arc<Shared>,
    passed: Passed,
    upgrade: Option<(OnUpgrade, Client)>,
    progress: Arc<Progress>,
    tell: oneshot::Sender<Answer>,
) {
    let (side, writes) = (passed.flight.side(), passed.flight.may_write());
    let mut tell = Some(tell);
    let mut sent = pin!(exchange(&shared, passed));
    let limit = shared.config.limits.answer_time;
    let result = loop {
        let seen = progress.frames();
        match select(sent.as_mut(), shared.env.sleep(limit)).await {
            Either::Left((result, _)) => break result,
            Either::Right(_) if progress.frames() != seen => {}
            Either::Right(_) if !writes => break Err(Failed::Timeout),
            Either::Right(_) => {
                if let Some(tell) = tell.take() {
                    shared.flights.error(side);
                    let _ = tell.send(failed(&Failed::Timeout));
                }
                break sent.await;
            }
        }
    };
    let answer = match result {
        Ok(answered) => {
            if tell.is_some() && answered.response.status().is_server_error() {
                shared.flights.error(side);
            }
            pass_on(&shared, answered, upgrade)
        }
        Err(why) => {
            if tell.is_some() && !matches!(why, Failed::Client) {
                shared.flights.error(side);
            }
            failed(&why)
        }
    };
    if let Some(tell) = tell {
        // If the client has disconnected, the answer is dropped, and that of a write is read to its end.
        let _ = tell.send(answer);
    }
}

/// The answer as it is sent to the client.
fn pass_on(shared: &Arc<Shared>, answered: Answered, upgrade: Option<(OnUpgrade, Client)>) -> Answer {
    let Answered { mut response, mut flight, lease, connection } = answered;
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    headers::strip(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    if !switches {
        return response.map(|body| AnswerBody::stream(body, flight, lease, connection, &shared.env));
    }
    let Some((upgrade, client)) = upgrade else {
        return text(StatusCode::BAD_GATEWAY, "the replica has changed the protocol without a request to do so");
    };
    headers::upgrade(response.headers_mut());
    if !flight.upgraded() {
        return unavailable("the router cannot record the WebSocket");
    }
    client.found.stop();
    let tunnel = Tunnel { client: upgrade, replica: on(&mut response), flight, lease, place: client.place };
    shared.start(tunnel.run(Arc::clone(shared)));
    response.map(|_| AnswerBody::Text(None))
}

fn failed(why: &Failed) -> Answer {
    match why {
        Failed::NoReplica => unavailable("no replica works"),
        Failed::Client => last(text(StatusCode::REQUEST_TIMEOUT, "the body of the request has not come")),
        Failed::Replica => text(StatusCode::BAD_GATEWAY, "the replica has not answered"),
        Failed::Timeout => text(StatusCode::GATEWAY_TIMEOUT, "the replica has not answered in time"),
        // No Retry-After: it may have been done.
        Failed::Cut => last(text(StatusCode::GATEWAY_TIMEOUT, "the request was cut off before its answer")),
    }
}

/// 503, with the time after which the client may repeat the request.
fn unavailable(why: &'static str) -> Answer {
    let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, why);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    answer
}

/// An answer of the router itself.
fn text(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(AnswerBody::text(format!("{text}\n")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// The last answer on its connection.
fn last(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}
