//! A WebSocket: bytes both ways, and its end at a fence.
//!
//! At a fence no further message of the client is sent on: both directions stop at the end of
//! the frame in which they are, and both ends receive a close frame with code 1012. The WebSocket is
//! in flight until the replica has closed its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, FutureExt as _, Shared as Signal, join, select};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use super::flight::Flight;
use super::frames::{CLOSE_FOR_CLIENT, Frames, close_for_server};
use super::request::Place;
use super::shared::Shared;
use super::sides::Lease;
use super::timing::{unless, within};

/// How long each step of a close may last: the rest of a frame, and the answer of the other end.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// How long a replica may take to close its end after the client has closed its own.
const LINGER: Duration = Duration::from_secs(60);

/// The two ends of a WebSocket that is being accepted.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) replica: OnUpgrade,
    pub(super) flight: Flight,
    pub(super) lease: Lease,
    pub(super) place: Place,
}

type Stop = Signal<futures_core::future::BoxFuture<'static, ()>>;

/// Why one direction has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The sender or the receiver has closed the connection.
    Closed,
    /// It was stopped between two frames.
    Stopped,
}

impl Tunnel {
    pub(super) async fn run(self, shared: Arc<Shared>) {
        let Self { client, replica, mut flight, lease: _lease, place: _place } = self;
        let cut = flight.cut();
        let stop = flight.close().shared();
        let tunnel = async {
            let (Ok(client), Ok(replica)) = join(client, replica).await else { return false };
            connected(&shared, client, replica, stop).await
        };
        if unless(cut, tunnel).await == Some(true) {
            flight.answered();
        }
    }
}

/// Passes bytes both ways, and returns whether the replica has closed its end.
async fn connected(shared: &Shared, client: Upgraded, replica: Upgraded, stop: Stop) -> bool {
    let env = &shared.env;
    let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(client));
    let (mut from_replica, mut to_replica) = tokio::io::split(TokioIo::new(replica));
    let (mut up, mut down) = (Frames::default(), Frames::default());
    let upward = async {
        let end = pump(&mut from_client, &mut to_replica, &mut up, stop.clone()).await;
        if end == End::Stopped {
            let [a, b, c, d, ..] = env.random().to_le_bytes();
            let _ = to_replica.write_all(&close_for_server([a, b, c, d])).await;
        } else {
            let _ = to_replica.shutdown().await;
        }
        end
    };
    let downward = async {
        let end = pump(&mut from_replica, &mut to_client, &mut down, stop.clone()).await;
        if end == End::Stopped {
            let _ = to_client.write_all(&CLOSE_FOR_CLIENT).await;
        }
        let _ = to_client.flush().await;
        end
    };
    let limit = async {
        stop.clone().await;
        env.sleep(CLOSE_TIME).await;
    };
    match unless(limit, both(env, upward, downward)).await {
        // The replica has closed its end first, or after the client.
        Some((_, Some(End::Closed))) => {
            let _ = to_client.shutdown().await;
            true
        }
        Some((_, Some(End::Stopped))) => {
            let (_, closed) = join(
                within(env, CLOSE_TIME, read_to_close(&mut from_client, &mut up)),
                within(env, CLOSE_TIME, read_to_close(&mut from_replica, &mut down)),
            )
            .await;
            let _ = join(to_client.shutdown(), to_replica.shutdown()).await;
            closed.is_some()
        }
        Some((_, None)) | None => false,
    }
}

/// Runs both directions. When the replica's ends, the client's has no use; when the client's
/// ends, the replica's gets a time to end, too.
async fn both(
    env: &lepton_core::SharedRuntime,
    up: impl Future<Output = End>,
    down: impl Future<Output = End>,
) -> (Option<End>, Option<End>) {
    let (mut up, mut down) = (pin!(up), pin!(down));
    match select(up.as_mut(), down.as_mut()).await {
        Either::Left((ended, _)) => {
            let limit = if ended == End::Stopped { CLOSE_TIME } else { LINGER };
            (Some(ended), within(env, limit, down).await)
        }
        Either::Right((End::Closed, _)) => (None, Some(End::Closed)),
        Either::Right((End::Stopped, _)) => (within(env, CLOSE_TIME, up).await, Some(End::Stopped)),
    }
}

type Reader = ReadHalf<TokioIo<Upgraded>>;

/// Passes bytes one way until an end is closed or the direction is stopped between two frames.
async fn pump(from: &mut Reader, to: &mut WriteHalf<TokioIo<Upgraded>>, frames: &mut Frames, mut stop: Stop) -> End {
    let mut buffer = vec![0; 16 << 10];
    let mut stopping = false;
    loop {
        if stopping && frames.between() {
            return End::Stopped;
        }
        let read = if stopping {
            from.read(&mut buffer).await
        } else {
            match select(&mut stop, pin!(from.read(&mut buffer))).await {
                Either::Left(_) => {
                    stopping = true;
                    continue;
                }
                Either::Right((read, _)) => read,
            }
        };
        let Some(count) = read.ok().filter(|count| *count > 0) else { return End::Closed };
        let mut bytes = &buffer[..count];
        if stopping {
            bytes = &bytes[..frames.take(bytes)];
        } else {
            frames.follow(bytes);
        }
        if to.write_all(bytes).await.is_err() || to.flush().await.is_err() {
            return End::Closed;
        }
    }
}

/// Reads what still comes, up to a close frame or the end.
async fn read_to_close(from: &mut Reader, frames: &mut Frames) {
    let mut buffer = vec![0; 4 << 10];
    while !frames.closed() {
        match from.read(&mut buffer).await {
            Ok(count) if count > 0 => frames.follow(&buffer[..count]),
            _ => return,
        }
    }
}
