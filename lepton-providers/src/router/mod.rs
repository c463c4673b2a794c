//! The router between the users and the two sides of a migration: HTTP/1.1 in and out.
//!
//! It sends every request to the side that owns the writes. A fence holds writes back; a switch moves
//! the ownership, and a release sends what waits to the owner. The register on disk decides: the owner
//! is there before the first request goes out to it.
//!
//! - [`Router`] starts one in this process, with [`RouterConfig`]; [`RunningRouter`] is its handle
//! - [`RouterTraffic`] drives one over its control socket, as
//!   [`Traffic`](lepton_core::traffic::Traffic)
//!
//! What it does with requests:
//!
//! - Bodies stream both ways. A request that is held has not been read: the client receives no
//!   `100 Continue`, and what it sends waits in its own buffers and in at most 128 KiB here.
//! - A WebSocket may write, unless a route declares that it reads: a hold holds it back, and a drain
//!   or a switch closes it with code 1012.
//! - A request is sent again only before the first byte of its answer, to a replica of the same
//!   side, and while no fence has begun or ended since: if nothing of it was sent, or if it has
//!   no body and is safe or its route is declared idempotent.
//! - A request that may write is in flight until the end of the replica's answer, also after its
//!   client has disconnected or received 504. If there is never an answer, it is unknown until a
//!   switch to the other side. A write that cannot be recorded on disk is answered with 503.
//! - A drain may cut off the writes that are still in flight after a time, but only during its hold,
//!   and never reads.
//! - A hold that would exceed one of its limits ends by itself, whether the limit is that of the
//!   requests, the bytes, the length or the silence of the driver: the owner of that moment
//!   receives the requests that wait. A request for which the hold has no room gets 503 with
//!   `Retry-After`, also while the register is being written. If the router is started again
//!   during a hold, it answers every request with 503 until the hold is released or ends by
//!   itself; its times start again.
//! - If the settings say so, side B gets copies of users' `GET` requests before the switch, whose
//!   answers are discarded ([`Shadow`]).
//! - The counters are those of this process and start at 0 with it.
//!
//! The folder of the register has mode 0700; `docs/formats/router.md` describes its files and what
//! is synced when. A router does not start on a register that is damaged, gone or of another
//! version.
//!
//! Not built: HTTP/2, TLS to the replicas, and weights other than all and nothing.
//!
//! The files, each importing only from those below it: `build` starts and stops; `control` and
//! `client` are the two ends of the control socket, `wire` what goes over it; `server` accepts
//! users, `tls` has their certificate, `heads` examines what they send and `hooks` the
//! stream; `forward` answers a request, `websocket` a WebSocket, `copy` copies reads, and
//! `exchange` sends it to replicas, with retries; `probe` checks their health; `fence` has the
//! commands; `gate`, `sides`, `shadow` and `flight` the state; `register` and `flight_file` the
//! files.

mod answer;
mod bodies;
mod build;
mod classify;
mod client;
mod config;
mod control;
mod copy;
mod exchange;
mod fence;
mod flight;
mod flight_file;
mod forward;
mod frames;
mod gate;
mod headers;
mod heads;
mod hooks;
mod limits;
mod pool;
mod probe;
mod register;
mod request;
mod server;
mod shadow;
mod shared;
mod sides;
mod timing;
mod tls;
mod websocket;
mod wire;

pub use build::{Router, RouterBuilder, RunningRouter};
pub use client::RouterTraffic;
pub use config::{Access, HoldScope, RouteRule, RouterConfig, TestRoute, TlsFiles};
pub use limits::{Health, Limits};
pub use shadow::Shadow;
