//! A user who writes over a WebSocket. At a fence the router closes it with code 1012, and the user
//! opens another one.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use lepton::{Error, Result};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::send::Sender;
use super::shared::{Items, lock};
use crate::ledger::{Content, Known};

const PAUSE: Duration = Duration::from_millis(20);
/// The pause before another WebSocket is opened.
const AGAIN: Duration = Duration::from_millis(50);

/// The longest that an answer may take.
const LONGEST: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<TcpStream>;

/// What a write has come to.
enum Outcome {
    Stored,
    /// The WebSocket was closed with code 1012, service restart. The write may have been stored.
    Restart,
}

pub(super) async fn run(address: String, sender: Sender, stop: PathBuf) {
    let mut items = Items::new("user-socket-item", 6);
    let (mut socket, mut value) = (None, 0);
    while !stop.exists() {
        value += 1;
        let (name, content, before) = (items.name(value), Content::small(value), sender.before());
        let outcome = match socket.take() {
            Some(open) => Ok(open),
            None => open(&address).await,
        };
        let outcome = match outcome {
            Ok(mut open) => {
                let outcome = tokio::time::timeout(LONGEST, write(&mut open, &name, content)).await;
                let outcome = outcome.unwrap_or_else(|_| Err(broken(&"there is no answer")));
                if matches!(outcome, Ok(Outcome::Stored)) {
                    socket = Some(open);
                }
                lock(&sender.ledger).wrote(&name, Known::Value(content), matches!(outcome, Ok(Outcome::Stored)));
                outcome
            }
            // The write was not sent.
            Err(error) => Err(error),
        };
        if socket.is_none() {
            items.leave(value);
            tokio::time::sleep(AGAIN).await;
        }
        match outcome {
            Ok(Outcome::Stored) => lock(&sender.ledger).over_socket += 1,
            Ok(Outcome::Restart) => lock(&sender.ledger).restarted += 1,
            Err(_) => {}
        }
        sender.count(before, &format!("a message with {name}"), outcome.as_ref().map(drop));
        tokio::time::sleep(PAUSE).await;
    }
    if let Some(mut socket) = socket {
        // Whether the other end answers is of no interest any more.
        let _ = socket.close(None).await;
    }
}

async fn open(address: &str) -> Result<Socket> {
    let stream = TcpStream::connect(address).await.map_err(|error| Error::io("cannot connect", error))?;
    let opened = client_async(format!("ws://{address}/socket"), stream).await;
    opened.map(|(socket, _)| socket).map_err(|error| broken(&error))
}

/// Sends an item and waits until it is stored.
async fn write(socket: &mut Socket, name: &str, content: Content) -> Result<Outcome> {
    let mut message = format!("{name}\n").into_bytes();
    message.extend(content.bytes());
    // The close frame that explains a failure is still to be read.
    let sent = socket.send(Message::binary(message)).await;
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.as_str() == "stored" => return Ok(Outcome::Stored),
            Some(Ok(Message::Close(Some(close)))) if close.code == CloseCode::Restart => return Ok(Outcome::Restart),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(other)) => return Err(broken(&format!("unexpected: {other}"))),
            Some(Err(error)) => return Err(broken(&error)),
            None => return Err(sent.err().map_or_else(|| broken(&"no close frame"), |error| broken(&error))),
        }
    }
}

fn broken(error: &dyn std::fmt::Display) -> Error {
    Error::invalid_input(format!("the WebSocket broke off: {error}"))
}
